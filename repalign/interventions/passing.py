"""Passing: the forward pass that is under way, as those who write need to know it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from repalign.errors import InputError, unknown
from repalign.sites import Site

# What families call their key-value cache or recurrent state.
_CACHES = ("past_key_values", "cache_params", "state")


@dataclass(eq=False)
class Passing:
    """One forward pass: its tokens, and how many of their text came before it in the cache."""

    ids: Int[Tensor, "batch pos"] | None
    """Token ids; None where the model was given embeddings."""
    attended: Bool[Tensor, "batch pos"]
    """True at real tokens."""
    start: int
    """Positions that lie in the key-value cache already; 0 where a prompt begins."""
    cache: Any = None
    """The cache or state that goes on from pass to pass."""
    read: dict[Site, Tensor] = field(default_factory=dict)
    """What was read of this pass so far, for interventions that ask for it."""
    memory: dict[Any, Any] = field(default_factory=dict)
    """Lasts from a prompt to the end of what is generated after it."""

    @classmethod
    def of(cls, inputs: Mapping[str, Any], before: "Passing | None") -> "Passing":
        """What the inputs of a decoder say.

        Args:
            inputs: its arguments by name.
            before: the pass before this one, whose memory goes on with what it generates.
        """
        ids, embedded = inputs.get("input_ids"), inputs.get("inputs_embeds")
        shown = ids if ids is not None else embedded
        if shown is None:
            raise InputError("A pass without input_ids and inputs_embeds cannot be written to.")
        found = (inputs[name] for name in _CACHES if inputs.get(name) is not None)
        cache = next(found, None)
        start = 0 if cache is None else _cached(cache)
        # Of another cache it would be the memory of other texts.
        goes_on = start > 0 and before is not None and before.cache is cache
        return cls(
            ids,
            _attended(inputs.get("attention_mask"), shown, start),
            start,
            cache,
            memory=before.memory if before is not None and goes_on else {},
        )

    def keep_cache(self, output: Any) -> None:
        """Take the cache from what the decoder put out, where it was given none and made one."""
        if self.cache is None and isinstance(output, Mapping | tuple):
            held = output.values() if isinstance(output, Mapping) else output
            self.cache = next((one for one in held if hasattr(one, "get_seq_length")), None)

    def repeats(self, before: "Passing | None") -> bool:
        """Whether this pass computes the texts of the one before again, with one token more."""
        if before is None or self.start or self.ids is None or before.ids is None:
            return False
        same_shape = self.ids.shape == (before.ids.shape[0], before.ids.shape[1] + 1)
        return same_shape and torch.equal(self.ids[:, :-1], before.ids)


def _attended(mask: Any, shown: Tensor, start: int) -> Bool[Tensor, "batch pos"]:
    batch, width = shown.shape[:2]
    if isinstance(mask, Mapping):
        # One mask for each kind of layer; those of windows hide tokens that are real.
        mask = mask.get("full_attention")
    if isinstance(mask, Tensor) and mask.ndim == 2:
        return mask[:, -width:].bool()
    if isinstance(mask, Tensor) and mask.ndim == 4:
        # What the last position sees of this pass; generation pads on the left, so it is real.
        seen = mask[:, 0, -1, start : start + width]
        return (seen if seen.dtype == torch.bool else seen >= 0).expand(batch, width)
    return torch.ones(batch, width, dtype=torch.bool, device=shown.device)


def _cached(cache: Any) -> int:
    if not hasattr(cache, "get_seq_length"):
        raise InputError(
            f"{type(cache).__name__} does not tell how many tokens it holds, so prompt and "
            "generated tokens cannot be told apart. Write at all positions."
        )
    try:
        return int(cache.get_seq_length())
    except ValueError:
        # A recurrent state counts no tokens; it only knows whether it has seen any.
        return int(bool(cache.has_previous_state()))


Where = Callable[[Passing], Tensor | bool]
"""Which positions of a pass are written: Bool `[batch pos]`, or True or False for all or none."""


def _last(passing: Passing) -> Tensor | bool:
    width = passing.attended.shape[1]
    if width == 1:
        return True
    places = torch.arange(width, device=passing.attended.device)
    last = torch.where(passing.attended, places, -1).amax(dim=1, keepdim=True)
    return places == last


PLACES: Mapping[str, Where] = {
    "all": lambda _passing: True,
    "prompt": lambda passing: passing.start == 0,
    "generated": lambda passing: passing.start > 0,
    "last": _last,
}
"""By name. `all` positions; the `prompt`, which is all of a pass that begins a text; what was
`generated` after it (the tokens that were decoded, from the second pass on); the `last` position of
each row in each pass, from which the next token is chosen: the end of the prompt and every
generated token."""


def place(where: str | Where) -> Where:
    """The function of a name.

    Raises:
        InputError: no such name.
    """
    if callable(where):
        return where
    if where not in PLACES:
        raise unknown("place to write at", where, PLACES)
    return PLACES[where]


def refuse_unclear(passing: Passing, before: Passing | None, why: str) -> None:
    """Refuse passes in which prompt and generated tokens cannot be told apart.

    Raises:
        InputError: generation without a cache, or several tokens at once after cached ones.
    """
    if passing.repeats(before):
        raise InputError(
            f"{why} depends on where the prompt ends, and this pass computes the texts of the one "
            "before again with one token more: generation without a key-value cache. Generate with "
            "use_cache=True, or write at all positions."
        )
    width = passing.attended.shape[1]
    if passing.start and width > 1:
        raise InputError(
            f"{why} depends on where the prompt ends, and this pass brings {width} tokens after "
            f"{passing.start} cached ones: a prompt read in chunks, a chat that goes on, or "
            "speculative decoding. Give whole prompts and decode token by token, or write at all "
            "positions."
        )
