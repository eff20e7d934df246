"""Moments of many overlapping subsets of the same rows, such as the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .arrays import Bools, Floats, Indices
from .linear_probe import Problem
from .moments import Moments

ROOT = -1


def class_means_of(rows: Floats, problems: Sequence[Problem]) -> tuple[Floats, Floats]:
    """Class means of many problems by one matrix product.

    Args:
        rows: Rows without their mean (a large offset would cost digits), shape `(n, d)`.
        problems: Each with both labels.

    Returns:
        Mean honest and mean dishonest row of each problem, each of shape `(problems, d)`.
    """
    weights = np.zeros((2, len(problems), len(rows)))
    for place, (chosen, honest) in enumerate(problems):
        for side, rows_of_side in enumerate((chosen[honest], chosen[~honest])):
            np.add.at(weights[side, place], rows_of_side, 1.0 / len(rows_of_side))
    honest_means, dishonest_means = weights @ rows
    return honest_means, dishonest_means


def has_both_labels(problem: Problem) -> bool:
    """Whether there is something to learn."""
    return bool(problem.honest.any() and not problem.honest.all())


def are_distinct(chosen: Indices, count: int) -> bool:
    """Whether no row of `count` is chosen twice."""
    return bool(np.bincount(chosen, minlength=count).max() <= 1)


def subset_moments(rows: Floats, subsets: Sequence[Indices]) -> Iterator[tuple[int, Moments]]:
    """Moments of subsets of rows, all rows of a subset taken as one class.

    A subset that lacks few of the rows of a larger one is had by taking those out. The subsets
    are gone through as a tree, so that only the matrices from the root to the present one are
    held at once.

    Args:
        rows: Shape `(n, d)`.
        subsets: Indices of distinct rows.

    Yields:
        The place of a subset in `subsets`, and its moments; every subset once, in any order.
    """
    places: dict[bytes, list[int]] = {}
    for place, subset in enumerate(subsets):
        mask = np.zeros(len(rows), dtype=bool)
        mask[subset] = True
        places.setdefault(mask.tobytes(), []).append(place)
    masks = [np.frombuffer(key, dtype=bool) for key in places]
    order = sorted(range(len(masks)), key=lambda index: -int(masks[index].sum()))
    masks = [masks[index] for index in order]
    users = [list(places.values())[index] for index in order]
    union = np.logical_or.reduce(masks)
    parents = _parents(masks, union)
    children: dict[int | None, list[int]] = {}
    for child, parent in enumerate(parents):
        children.setdefault(parent, []).append(child)

    def below(parent: int, mask: Bools, moments: Moments) -> Iterator[tuple[int, Moments]]:
        for child in children.get(parent, []):
            yield from at(child, _taken_out(rows, mask, moments, masks[child]))

    def at(index: int, moments: Moments) -> Iterator[tuple[int, Moments]]:
        for place in users[index]:
            yield place, moments
        yield from below(index, masks[index], moments)

    for index in children.get(None, []):
        yield from at(index, Moments.of(rows[masks[index]]))
    if ROOT in children:
        yield from below(ROOT, union, Moments.of(rows[union]))


def _parents(masks: Sequence[Bools], union: Bools) -> list[int | None]:
    """Which subset to take rows out of for each (None: start afresh; `ROOT`: all of them).

    Args:
        masks: Distinct subsets, largest first; shape `(n,)` each.
        union: Rows in any of them.
    """
    sizes = np.array([int(mask.sum()) for mask in masks])

    def plan(with_root: bool) -> tuple[list[int | None], int]:
        parents: list[int | None] = []
        cost = int(union.sum()) if with_root else 0
        for index, mask in enumerate(masks):
            larger = [other for other in range(index) if not (mask & ~masks[other]).any()]
            parent = min(larger, key=lambda other: sizes[other], default=None)
            size = 0 if parent is None else int(sizes[parent])
            if parent is None and with_root:
                parent, size = ROOT, int(union.sum())
            afresh = parent is None or size - sizes[index] >= sizes[index]
            parents.append(None if afresh else parent)
            cost += int(sizes[index] if afresh else size - sizes[index])
        return parents, cost

    return min((plan(False), plan(True)), key=lambda planned: planned[1])[0]


def _taken_out(rows: Floats, mask: Bools, moments: Moments, kept: Bools) -> Moments:
    """Moments of the rows in `kept`, a subset of `mask` with the given moments."""
    left_out = mask & ~kept
    if not left_out.any():
        return moments
    remaining = moments.without(Moments.of(rows[left_out]))
    return Moments.of(rows[kept]) if remaining is None else remaining
