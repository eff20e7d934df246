"""Comparison: what two sets have in common, in a matrix, a layer, a kind or the whole model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, reduce
from operator import add
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from repalign.attribution.blocks import from_left_out
from repalign.attribution.counting import Counts
from repalign.attribution.finding import Matrix
from repalign.errors import InputError, unknown
from repalign.metrics import Estimate

BY = ("kind", "layer", "matrix")


@dataclass(frozen=True)
class Measured:
    """Two sets compared; intervals leave out blocks of groups. None where a gradient is 0.

    Half a set has noisier gradients than the whole, so `across`, half of one set against half of
    the other, is what the two `within` are fairly compared with; `gap` is the difference. A gap
    whose interval holds 0 does not tell the sets apart, however low the overlap.
    """

    cosine: Estimate | None
    """Of the two mean gradients: below 0, what makes one likelier makes the other less likely."""
    cosine_across: Estimate | None
    cosine_within: tuple[Estimate | None, Estimate | None]
    """Of the halves of each set: its ceiling at half the size."""
    cosine_gap: Estimate | None
    """Across less the geometric mean of within, what it would be if both sets were one."""
    jaccard: Estimate | None
    """Weights in both tops, of those in either."""
    jaccard_across: Estimate | None
    jaccard_within: tuple[Estimate | None, Estimate | None]
    jaccard_gap: Estimate | None
    """Across less the mean of within."""
    jaccard_floor: Estimate | None
    """With the gradients of one set shuffled over the matrix and its weights in place: what large
    weights alone give. Two shuffles, one of each set; the ends are these two."""
    chance: float
    """Of two random tops of that size, `q / (2 − q)`: arithmetic, no measurement."""
    signs: Estimate | None
    """Share of equal signs among the weights of either top; 0.5 is chance."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Conflict:
    """Sets of responses compared in every matrix."""

    sets: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    matrices: tuple[Matrix, ...]
    counts: tuple[Counts, ...]
    """Of each matrix."""
    groups: Mapping[str, int]
    """Independent groups of each set."""
    q: float
    origin: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Model, weights, settings, and how many examples and tokens each set had."""

    def __str__(self) -> str:
        """A line for each pair."""
        return "\n".join(
            f"{a} – {b}: cosine {_said(found.cosine)} (ceiling {_both(found.cosine_within)}, half "
            f"against half {_said(found.cosine_across)}); Jaccard {_said(found.jaccard)} (ceiling "
            f"{_both(found.jaccard_within)}, half against half {_said(found.jaccard_across)}, "
            f"floor {_said(found.jaccard_floor)}, chance {found.chance:.3f}); equal signs "
            f"{_said(found.signs)}"
            for a, b in self.pairs
            for found in [self.overall(a, b)]
        )

    def overall(self, one: str, other: str) -> Measured:
        """Two sets in all matrices together, as if these were one vector.

        Raises:
            InputError: there is no such set, or both are the same.
        """
        return self._measured(self._pair(one, other), self._everything)

    def table(self, one: str, other: str, by: str = "kind") -> dict[str, Measured]:
        """Two sets in each kind of matrix, each layer or each matrix.

        Raises:
            InputError: there is no such set or no such table.
        """
        if by not in BY:
            raise unknown("table", by, BY)
        pair = self._pair(one, other)
        return {
            place: self._measured(pair, reduce(add, counts))
            for place, counts in self._places(by).items()
        }

    def to_json(self) -> dict[str, Any]:
        """As plain data: for each pair overall, by kind, by layer and by matrix."""
        return {
            **dict(self.origin),
            "q": self.q,
            "sets": list(self.sets),
            "groups": dict(self.groups),
            "matrices": [
                {"name": m.name, "place": str(m), "layer": m.layer, "kind": m.kind}
                for m in self.matrices
            ],
            "pairs": [
                {
                    "sets": [a, b],
                    "overall": self.overall(a, b).to_json(),
                    **{
                        f"by_{by}": {
                            place: found.to_json() for place, found in self.table(a, b, by).items()
                        }
                        for by in BY
                    },
                }
                for a, b in self.pairs
            ],
        }

    @cached_property
    def _everything(self) -> Counts:
        return reduce(add, self.counts)

    def _places(self, by: str) -> dict[str, list[Counts]]:
        named: Mapping[str, Callable[[Matrix], str]] = {
            "kind": lambda matrix: matrix.kind,
            "layer": lambda matrix: f"L{matrix.layer}",
            "matrix": str,
        }
        places: dict[str, list[Counts]] = {}
        for matrix, counts in zip(self.matrices, self.counts, strict=True):
            places.setdefault(named[by](matrix), []).append(counts)
        return places

    def _pair(self, one: str, other: str) -> int:
        for name in (one, other):
            if name not in self.sets:
                raise unknown("set", name, self.sets)
        if (one, other) not in self.pairs:
            raise InputError(
                f"There is no pair {one!r}, {other!r}; the pairs are "
                f"{', '.join(f'{a!r}, {b!r}' for a, b in self.pairs)}."
            )
        return self.pairs.index((one, other))

    def _measured(self, pair: int, counts: Counts) -> Measured:
        places = [self.sets.index(name) for name in self.pairs[pair]]
        sizes = [self.groups[name] for name in self.pairs[pair]]
        n = min(sizes)
        whole, across, within = _cosines(counts.gram, places[0], places[1])
        signed = (-1.0, 1.0)
        likeness = np.sqrt(np.clip(within[0], 0, None) * np.clip(within[1], 0, None))
        halves = [_ratio(counts.within[place]) for place in places]
        between = _ratio(counts.across[pair])
        floor = _ratio(counts.floor[pair])
        agree, differ = counts.signs[pair].T
        return Measured(
            from_left_out(whole, n, signed),
            from_left_out(across, n, signed),
            _two(within, sizes, signed),
            from_left_out(across - likeness, n, (-2.0, 2.0)),
            from_left_out(_ratio(counts.whole[pair]), n, (0.0, 1.0)),
            from_left_out(between, n, (0.0, 1.0)),
            _two(halves, sizes, (0.0, 1.0)),
            from_left_out(between - (halves[0] + halves[1]) / 2, n, signed),
            _ends(floor),
            self.q / (2 - self.q),
            from_left_out(_divided(agree, agree + differ), n, (0.0, 1.0)),
        )


def _cosines(
    gram: Float[np.ndarray, "set block set block"], one: int, other: int
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """At every setting: of the whole sets, of half against other half, of each set's halves."""
    blocks = gram.shape[1]
    kept = np.vstack([np.ones(blocks), 1 - np.eye(blocks)])
    first = np.arange(blocks) < blocks // 2
    halves = kept * first, kept * ~first

    def cosine(a: int, wa: np.ndarray, b: int, wb: np.ndarray) -> np.ndarray:
        def inner(x: int, wx: np.ndarray, y: int, wy: np.ndarray) -> np.ndarray:
            return np.einsum("sj,jk,sk->s", wx, gram[x, :, y, :], wy)

        product = inner(a, wa, b, wb)
        return _divided(product, np.sqrt(inner(a, wa, a, wa) * inner(b, wb, b, wb)))

    crossed = (cosine(one, halves[0], other, halves[1]), cosine(one, halves[1], other, halves[0]))
    within = [cosine(place, halves[0], place, halves[1]) for place in (one, other)]
    return cosine(one, kept, other, kept), (crossed[0] + crossed[1]) / 2, within


def _ratio(overlap: np.ndarray) -> Float[np.ndarray, " setting"]:
    return _divided(overlap[..., 0], overlap[..., 1])


def _divided(part: np.ndarray, whole: np.ndarray) -> Float[np.ndarray, " setting"]:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _two(
    values: Sequence[np.ndarray], n: Sequence[int], bounds: tuple[float, float]
) -> tuple[Estimate | None, Estimate | None]:
    return from_left_out(values[0], n[0], bounds), from_left_out(values[1], n[1], bounds)


def _ends(values: Float[np.ndarray, " shuffle"]) -> Estimate | None:
    if not np.isfinite(values).all():
        return None
    return Estimate(float(values.mean()), float(values.min()), float(values.max()), len(values))


def _said(found: Estimate | None) -> str:
    return "not defined" if found is None else str(found)


def _both(found: tuple[Estimate | None, Estimate | None]) -> str:
    return " and ".join("not defined" if one is None else f"{one.value:.3f}" for one in found)
