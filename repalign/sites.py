"""Site: a place in a transformer where a tensor `[batch pos d_model]` passes."""

import re
from dataclasses import dataclass

from repalign.errors import InputError, unknown

STREAMS = ("resid_pre", "resid_mid", "resid_post", "heads", "attn_out", "mlp_out")
_PATTERN = re.compile(r"L(-?\d+)\.(\w+)")


@dataclass(frozen=True, order=True)
class Site:
    """A layer and a stream.

    Streams are the residual stream before, amid and after a block (`resid_pre`, `resid_mid`,
    `resid_post`), what attention and MLP add to it (`attn_out`, `mlp_out`), and `heads`: what the
    attention's output projection reads, all heads side by side, which may be wider or narrower.

    `resid_post` of layer L is what block L puts out: `hidden_states[L + 1]` of transformers, bit
    for bit, except the last entry of `hidden_states`, which has passed the final norm.

    Example:
        >>> Site.parse("L12.resid_post")
        Site(layer=12, stream='resid_post')
        >>> print(Site(12, "resid_post"))
        L12.resid_post
    """

    layer: int
    """Blocks counted from 0."""
    stream: str = "resid_post"

    def __post_init__(self) -> None:
        """Refuse a stream that does not exist and a layer that cannot be meant."""
        if self.stream not in STREAMS:
            raise unknown("stream", self.stream, STREAMS)
        if self.layer < 0:
            raise InputError(
                f"Layer {self.layer} is negative; layers count blocks from 0. "
                "Take the last one from model.sites()[-1]."
            )

    def __str__(self) -> str:
        """Print as `L12.resid_post`."""
        return f"L{self.layer}.{self.stream}"

    @classmethod
    def parse(cls, text: str) -> "Site":
        """Read `L12.resid_post`, or `12` for the residual stream after layer 12."""
        if text.strip().isdecimal():
            return cls(int(text))
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise InputError(
                f"{text!r} is not a site. Write it as L12.resid_post, or 12 for the residual "
                f"stream after layer 12; streams are {', '.join(STREAMS)}."
            )
        return cls(int(match[1]), match[2])
