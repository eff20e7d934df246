"""Which rows are contrasted with which: groups, polarities and pairs of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .arrays import Bools, Floats, Indices
from .linear_probe import Problem


class Pairs(NamedTuple):
    """Pairs of rows, by index."""

    left: Indices
    """Shape `(pairs,)`."""
    right: Indices
    """Shape `(pairs,)`."""
    weight: Floats
    """Shape `(pairs,)`, summing to 1; every group has the same total."""


def group_codes(groups: ArrayLike, honest: Bools) -> Indices:
    """Number the groups 0, 1, ...; shape `(n,)`.

    Args:
        groups: One name or number per row; rows of one group are contrasted with each other.
        honest: The label of every row.

    Raises:
        ValueError: for another number of groups than rows, missing values, or a group without
            both labels.
        TypeError: for names of types that cannot be compared.
    """
    names = _one_per_row("groups", groups, honest)
    try:
        distinct, codes = np.unique(names, return_inverse=True)
    except TypeError as error:
        raise TypeError(
            "groups mixes types that cannot be sorted; give strings or integers."
        ) from error
    rows = np.bincount(codes)
    honest_rows = np.bincount(codes, weights=honest)
    incomplete = (honest_rows == 0) | (honest_rows == rows)
    if incomplete.any():
        raise ValueError(
            f"{incomplete.sum()} of {len(distinct)} groups hold rows of one label only (first: "
            f"{distinct[incomplete][0]!r}); a contrast needs at least one honest and one "
            "dishonest row in every group: drop the incomplete groups, or pass groups=None."
        )
    return codes


def polarity_codes(polarity: ArrayLike, honest: Bools) -> NDArray[np.int_]:
    """Check polarities: +1 affirmed, -1 negated, 0 neither; shape `(n,)`.

    Raises:
        ValueError: for another number of polarities than rows, another value, or a polarity
            whose rows all have one label, since polarity and truth could then not be told apart.
    """
    values = _one_per_row("polarity", polarity, honest)
    present = set(values.tolist())
    if not present <= {-1, 0, 1}:
        strange = sorted(present - {-1, 0, 1}, key=repr)[0]
        raise ValueError(
            f"polarity holds {strange!r}; give +1 for an affirmed row, -1 for a negated one, "
            "0 for neither."
        )
    codes = values.astype(int)
    for value in sorted(present):
        labels = honest[codes == value]
        if labels.all() or not labels.any():
            raise ValueError(
                f"all rows of polarity {int(value):+d} have one label; give both labels for every "
                "polarity, or pass polarity=None."
            )
    return codes


def all_pairs(codes: Indices, left: Bools, right: Bools) -> Pairs:
    """Every pair of a `left` row and a `right` row of the same group.

    Args:
        codes: Group number of every row, shape `(n,)`.
        left: Rows that may stand on the left; every group needs one.
        right: Rows that may stand on the right; every group needs one.
    """
    sides = [_incidence(codes, side) for side in (left, right)]
    counts = np.bincount(codes, left) * np.bincount(codes, right)
    found = sparse.find(sides[0] @ sides[1].T)
    first, second = (index.astype(np.intp) for index in found[:2])
    return Pairs(first, second, 1.0 / (counts[codes[first]] * len(counts)))


def pairs_in_order(honest: Bools) -> Pairs:
    """The i-th honest row with the i-th dishonest row; the shorter class is gone round again."""
    left, right = np.flatnonzero(honest), np.flatnonzero(~honest)
    count = max(len(left), len(right))
    return Pairs(np.resize(left, count), np.resize(right, count), np.full(count, 1.0 / count))


def group_differences(rows: Floats, honest: Bools, codes: Indices) -> Floats:
    """Mean honest row minus mean dishonest row of every group; shape `(groups, d)`."""
    means = []
    for side in (honest, ~honest):
        incidence = _incidence(codes, side)
        means.append((incidence.T @ rows) / np.bincount(codes, side)[:, np.newaxis])
    return means[0] - means[1]


class CommonContrasts(NamedTuple):
    """Differences of groups that many problems use alike, up to sign."""

    differences: Floats
    """Shape `(g, d)`."""
    chosen: list[Indices | None]
    """For each problem, sorted indices of the differences of its groups; None if it splits a
    group, relabels a part of one, or has a group of one label."""


def common_contrasts(
    rows: Floats, problems: Sequence[Problem], groups: NDArray[Any]
) -> CommonContrasts | None:
    """Differences of the groups, with the labels of the first problem that has the group.

    Args:
        rows: Shape `(n, d)`.
        problems: Rows and labels of each.
        groups: One name per row.

    Returns:
        None if no group is whole and has both labels, or the groups cannot be told apart (names
        missing, or of several types).
    """
    used = np.zeros(len(rows), dtype=bool)
    try:
        codes = np.unique(_one_per_row("groups", groups, used), return_inverse=True)[1]
    except (TypeError, ValueError):
        return None  # refused, in their own words, where a problem is fitted
    reference = np.zeros(len(rows), dtype=bool)
    for chosen, honest in reversed(problems):
        reference[chosen], used[chosen] = honest, True
    sizes = np.bincount(codes)
    honest_rows = np.bincount(codes, weights=reference)
    whole = np.bincount(codes, weights=used) == sizes
    contrasted = whole & (honest_rows > 0) & (honest_rows < sizes)
    if not contrasted.any():
        return None
    place = np.cumsum(contrasted) - 1
    kept = contrasted[codes]
    differences = group_differences(rows[kept], reference[kept], place[codes[kept]])

    def of(problem: Problem) -> Indices | None:
        chosen, honest = problem
        inside = codes[chosen]
        held = np.bincount(inside, minlength=len(sizes))
        alike = np.bincount(inside, weights=honest == reference[chosen], minlength=len(sizes))
        present = held > 0
        fits = contrasted & (held == sizes) & ((alike == held) | (alike == 0))
        distinct = np.bincount(chosen, minlength=len(rows)).max() <= 1
        return place[present] if distinct and fits[present].all() else None

    return CommonContrasts(differences, [of(problem) for problem in problems])


def _incidence(codes: Indices, side: Bools) -> sparse.csr_array:
    """Ones where a row of `side` belongs to a group; shape `(n, groups)`."""
    rows = np.flatnonzero(side)
    entries = (np.ones(len(rows)), (rows, codes[rows]))
    return sparse.csr_array(entries, shape=(len(codes), int(codes.max()) + 1))


def _one_per_row(name: str, values: ArrayLike, honest: Bools) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape != honest.shape:
        raise ValueError(
            f"{name} has shape {array.shape}; X has {len(honest)} rows: give one value per row."
        )
    missing = [value is None or value != value for value in array.tolist()]
    if any(missing):
        raise ValueError(f"{name} misses a value at row {missing.index(True)}; give one per row.")
    return array
