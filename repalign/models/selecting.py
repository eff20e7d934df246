"""Sites by the words that command lines and plans use."""

import re

from repalign.errors import InputError
from repalign.models.language_model import LanguageModel
from repalign.sites import STREAMS, Site

_RANGE = re.compile(r"(\d+)-(\d+)(?:\.(\w+))?")


def parse_sites(text: str, model: LanguageModel) -> list[Site]:
    """Read a list of sites.

    Args:
        text: `all` (the residual stream after every layer), the name of a stream (at every layer),
            a range of layers such as `10-20` or `10-20.attn_out`, a site such as `L12.mlp_out`, a
            layer such as `12`, or several of these with commas.
        model: the model they must exist in.

    Raises:
        InputError: a word that is none of these, or a site the model lacks.
    """
    sites: list[Site] = []
    for word in (part.strip() for part in text.split(",")):
        match = _RANGE.fullmatch(word)
        if word == "all":
            sites += model.sites()
        elif word in STREAMS:
            sites += model.sites(word)
        elif match:
            first, last = int(match[1]), int(match[2])
            if first > last:
                raise InputError(f"The range of layers {word!r} runs backwards.")
            sites += [Site(layer, match[3] or "resid_post") for layer in range(first, last + 1)]
        else:
            sites.append(Site.parse(word))
    for site in sites:
        model.architecture.check(site)
    return list(dict.fromkeys(sites))
