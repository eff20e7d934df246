"""Weight sets: the most important weights of each matrix, and what one task has to itself."""

from collections.abc import Iterable, Mapping, Sequence
from math import floor
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from repalign.attribution.finding import Matrix, chosen
from repalign.attribution.scoring import Scored, importance
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel

WeightSets = Mapping[str, Int[Tensor, " kept"]]
"""For the name of each parameter the weights meant: ascending places in the flattened matrix."""


def top(scores: Tensor, share: float) -> Bool[Tensor, "..."]:
    """Mark the highest share of a matrix, ranked over the flattened matrix and not by row.

    Of equal scores the first are taken; a score of 0 is never among the top, so fewer are marked
    where fewer weights matter at all.

    Args:
        scores: at least 0.
        share: above 0, at most 1; rounded down to a number of weights, one at least.

    Raises:
        InputError: a share outside, or scores that are not finite.

    Example:
        >>> top(torch.tensor([[1.0, 4.0], [3.0, 2.0]]), 0.5).tolist()
        [[False, True], [True, False]]
    """
    if not 0 < share <= 1:
        raise InputError(f"A share of the weights is above 0 and at most 1; {share} was given.")
    flat = scores.detach().reshape(-1)
    count = max(1, floor(share * len(flat) + 1e-9))
    if flat.device.type == "cpu":
        # Several times as fast as torch's own selection.
        edge = float(np.partition(flat.numpy(), len(flat) - count)[len(flat) - count])
    else:
        edge = float(flat.kthvalue(len(flat) - count + 1).values)
    if not np.isfinite(edge) or not bool(torch.isfinite(flat.max())):
        raise InputError("The scores of a matrix are not finite; its gradients have overflowed.")
    kept = flat > max(edge, 0.0)
    missing = count - int(kept.sum())
    if edge > 0 and missing:
        kept[(flat == edge).nonzero()[:missing, 0]] = True
    return kept.reshape(scores.shape)


def selected(scored: Iterable[Scored], share: float) -> dict[str, Tensor]:
    """The top share of each matrix as weight sets."""
    return {matrix.name: _places(top(scores, share)) for matrix, scores in scored}


def exclusive(
    model: LanguageModel,
    wanted: Sequence[Example],
    others: Sequence[Example],
    *,
    q: float = 0.1,
    p: float = 0.1,
    method: str = "snip",
    among: Sequence[Matrix] | None = None,
    **options: Any,
) -> dict[str, Tensor]:
    """Weights that matter for one set of responses and not for another.

    `Top-q(wanted) less Top-p(others)` in each matrix (arXiv 2402.05162, set difference).

    Args:
        model: it stays as it is.
        wanted: whose weights are looked for.
        others: whose weights are spared.
        q: share of each matrix that counts as important for `wanted`.
        p: share that counts as important for `others`.
        method: `snip` or `wanda`.
        among: some of `matrices(model)`; all unless given.
        options: passed to the importance.

    Returns:
        Weight sets for `zeroed`; matrices with none are left out.
    """
    options["among"] = chosen(model, among)
    both = zip(
        importance(model, wanted, method, **options),
        importance(model, others, method, **options),
        strict=True,
    )
    found = {
        matrix.name: _places(top(scores, q) & ~top(spared, p))
        for (matrix, scores), (_, spared) in both
    }
    return {name: places for name, places in found.items() if len(places)}


def random_like(model: LanguageModel, sets: WeightSets, seed: int = 0) -> dict[str, Tensor]:
    """As many weights of each matrix, drawn from all of it: the control of a weight set."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randperm(model.network.get_parameter(name).numel(), generator=generator)[
            : len(places)
        ]
        .sort()
        .values
        for name, places in sorted(sets.items())
    }


def _places(mask: Tensor) -> Int[Tensor, " kept"]:
    return mask.reshape(-1).nonzero()[:, 0].cpu()
