"""Counting: of one matrix, what the comparison of sets needs, so that the matrix can be let go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from repalign.attribution.weight_sets import top

Scorer = Callable[[Tensor], Tensor]
"""From the sums of some blocks to the importance of each weight."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Of one or of several matrices; a setting is everything, then each block left out.

    Overlaps are pairs of numbers: weights in both tops, and in either.
    """

    gram: Float[np.ndarray, "set block set block"]
    """Inner products of the summed gradients of blocks."""
    whole: Int[np.ndarray, "pair setting 2"]
    """Overlap of the tops of two sets."""
    within: Int[np.ndarray, "set setting 2"]
    """Overlap of the tops of the two halves of a set."""
    across: Int[np.ndarray, "pair setting 2"]
    """Overlap of half of one set with the other half of another, both ways together."""
    floor: Int[np.ndarray, "pair shuffle 2"]
    """Overlap after the gradients of one set were shuffled over the matrix; each in turn."""
    signs: Int[np.ndarray, "pair setting 2"]
    """Weights of either top whose gradients agree in sign, and those that differ."""

    def __add__(self, other: "Counts") -> "Counts":
        """Of both together, as if they were one matrix."""
        return Counts(
            self.gram + other.gram,
            self.whole + other.whole,
            self.within + other.within,
            self.across + other.across,
            self.floor + other.floor,
            self.signs + other.signs,
        )


def count(
    signed: Float[Tensor, "set block *shape"],
    sums: Float[Tensor, "set block *what"],
    scorer: Scorer,
    share: float,
    generator: torch.Generator,
) -> Counts:
    """Compare sets in one matrix.

    Args:
        signed: gradients summed over the examples of each block.
        sums: what importance is made of, summed over the examples of each block.
        scorer: makes it.
        share: of the matrix that counts as its top.
        generator: of the shuffles, on the CPU.
    """
    sets, blocks = signed.shape[:2]
    flat = signed.reshape(sets * blocks, -1)
    gram = (flat @ flat.T).double().cpu().numpy().reshape(sets, blocks, sets, blocks)
    tops = [_Tops.of(sums[one], scorer, share) for one in range(sets)]
    pairs = list(combinations(range(sets), 2))
    settings = range(blocks + 1)
    whole, across, signs, floor = [], [], [], []
    for one, other in pairs:
        a, b = tops[one], tops[other]
        whole.append([_overlap(a.whole[at], b.whole[at]) for at in settings])
        across.append(
            [
                np.add(
                    _overlap(a.halves[0][at], b.halves[1][at]),
                    _overlap(a.halves[1][at], b.halves[0][at]),
                )
                for at in settings
            ]
        )
        signs.append(_signs(signed[one], signed[other], a.whole, b.whole))
        floor.append(
            [
                _overlap(_shuffled(sums[one], scorer, share, generator), b.whole[0]),
                _overlap(a.whole[0], _shuffled(sums[other], scorer, share, generator)),
            ]
        )
    within = [[_overlap(t.halves[0][at], t.halves[1][at]) for at in settings] for t in tops]
    return Counts(gram, *(np.array(part) for part in (whole, within, across, floor, signs)))


@dataclass(frozen=True, eq=False)
class _Tops:
    """The top of one set at every setting, and of its halves."""

    whole: Sequence[Bool[Tensor, "..."]]
    halves: tuple[Sequence[Bool[Tensor, "..."]], Sequence[Bool[Tensor, "..."]]]

    @classmethod
    def of(cls, sums: Tensor, scorer: Scorer, share: float) -> "_Tops":
        def mask(summed: Tensor) -> Tensor:
            # A sum less one of its parts may fall below 0 by rounding.
            return top(scorer(summed.clamp(min=0)), share)

        total = sums.sum(0)
        whole = [mask(total), *(mask(total - block) for block in sums)]
        half = len(sums) // 2
        halves = []
        for begin in (0, half):
            part = sums[begin : begin + half].sum(0)
            plain = mask(part)
            halves.append(
                [
                    plain,
                    *(
                        mask(part - sums[at]) if begin <= at < begin + half else plain
                        for at in range(len(sums))
                    ),
                ]
            )
        return cls(whole, (halves[0], halves[1]))


def _overlap(one: Tensor, other: Tensor) -> tuple[int, int]:
    both = int((one & other).count_nonzero())
    return both, int(one.count_nonzero()) + int(other.count_nonzero()) - both


def _signs(
    one: Tensor, other: Tensor, tops: Sequence[Tensor], others: Sequence[Tensor]
) -> list[tuple[int, int]]:
    totals = one.sum(0), other.sum(0)
    found = []
    for at in range(len(tops)):
        a, b = totals if at == 0 else (totals[0] - one[at - 1], totals[1] - other[at - 1])
        product = (a * b)[tops[at] | others[at]]
        found.append((int((product > 0).sum()), int((product < 0).sum())))
    return found


def _shuffled(
    sums: Tensor, scorer: Scorer, share: float, generator: torch.Generator
) -> Bool[Tensor, "..."]:
    """The top that a set would have if its sums lay elsewhere; the weights stay in their places."""
    total = sums.sum(0)
    order = torch.randperm(total.numel(), generator=generator).to(total.device)
    return top(scorer(total.reshape(-1)[order].reshape(total.shape)), share)
