"""The law of heads."""

import math

import torch
from torch import Tensor

from repalign.checks.outcomes import Outcome
from repalign.checks.readings import ids, relative, worst
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.tokens import Tokens


def heads(model: LanguageModel, tolerance: float) -> Outcome:
    """Compare what attention puts out with what its projection makes of the heads.

    Where they are set to zero nothing of the tokens is left: the same vector at every position.
    """
    law = "attention puts out what the projection makes of heads, and nothing else"

    def outcome(error: float, note: str = "") -> Outcome:
        return Outcome("heads", law, error, tolerance, ("heads",), note)

    if not {"heads", "attn_out"} <= set(model.architecture.streams):
        return outcome(0.0, "this family has no such stream")
    tokens = Tokens.pad(ids(model), model.pad_id)
    sites = [*model.sites("heads"), *model.sites("attn_out")]
    try:
        seen = model.capture(tokens, sites)
        with model.hooked(dict.fromkeys(model.sites("heads"), torch.zeros_like)):
            empty = model.capture(tokens, model.sites("attn_out"))
    except ValueError as error:
        # Of a projection that is split over processes each reads a part.
        return outcome(math.inf, str(error)[:200])

    def errors(layer: int) -> tuple[float, float]:
        out = seen[Site(layer, "attn_out")]
        projected = _projected(model, layer, seen[Site(layer, "heads")]).reshape(out.shape)
        nothing = empty[Site(layer, "attn_out")]
        left = (nothing - nothing[:1, :1]).float().norm() / out.float().norm().clamp(min=1e-12)
        return relative(projected, out), float(left)

    found = [errors(layer) for layer in range(model.n_layers)]
    projection, rest = worst(one for one, _ in found), worst(other for _, other in found)
    return outcome(worst((projection, rest)), f"projection {projection:.1e}, rest {rest:.1e}")


def _projected(model: LanguageModel, layer: int, states: Tensor) -> Tensor:
    projection, attention = (
        model.architecture.projection(layer),
        model.architecture.attention(layer),
    )
    made = projection(states)
    if any(module is projection for module in attention.modules()):
        return made
    # What is added to the stream is this output once more normalised.
    return attention(made)
