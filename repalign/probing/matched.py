"""Matched: statements with their opposites, what is read of them, and how they are split."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from repalign.errors import InputError
from repalign.examples import Example

SUFFIXES = ("Yes", "No")
_PARTS = (0.5, 0.2)
"""Shares of the groups that are fitted on and that choose the layer; the rest is reported."""


class Matched(NamedTuple):
    """A statement and its opposite."""

    statement: str
    opposite: str
    label: int
    """1 where the statement is true, 0 where its opposite is."""
    group: str


def matched(affirmed: Sequence[Example], negated: Sequence[Example] = ()) -> list[Matched]:
    """Pair statements with their opposites.

    Args:
        affirmed: labelled statements; without `negated`, each with its `opposite` in `meta`, or
            affirmed and negated ones where each group has one of either.
        negated: the opposites in the same order, such as `cities_negated` of `cities`.

    Raises:
        InputError: conversations, labels missing, or statements that cannot be paired.
    """
    rows = [*affirmed, *negated]
    bad = [row for row in rows if row.is_chat or row.label is None]
    if bad or not rows:
        raise InputError(
            f"Matched statements are plain texts with labels; {len(bad)} of {len(rows)} are not"
            + (f", first {bad[0].text[:60]!r}." if bad else ".")
        )
    if negated:
        pairs = list(zip(affirmed, negated, strict=True))
        told = [(one, other.text, other) for one, other in pairs]
        unlike = [one for one, _, other in told if one.label == other.label]
    elif all("opposite" in row.meta for row in affirmed):
        told, unlike = [(one, one.meta["opposite"], one) for one in affirmed], []
    else:
        told = [(one, other.text, other) for one, other in _by_group(affirmed)]
        unlike = [one for one, _, other in told if one.label == other.label]
    if unlike:
        raise InputError(
            f"{len(unlike)} statements have the label of their opposite, first "
            f"{unlike[0].text[:60]!r}: of two opposites one is true."
        )
    return [
        Matched(one.text, opposite, int(one.label or 0), one.group or f"pair {i}")
        for i, (one, opposite, _) in enumerate(told)
    ]


def _by_group(rows: Sequence[Example]) -> list[tuple[Example, Example]]:
    groups: dict[str, list[Example]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    wrong = [
        name
        for name, some in groups.items()
        if sorted(row.polarity for row in some) != [-1, 1] or not name
    ]
    if wrong:
        raise InputError(
            f"{len(wrong)} of {len(groups)} groups, such as {wrong[0]!r}, are no pair of an "
            "affirmed and a negated statement. Give a column `opposite`, or `group` and `polarity` "
            "with one statement of either polarity in each group."
        )
    return [
        (some[0], some[1]) if some[0].polarity == 1 else (some[1], some[0])
        for some in groups.values()
    ]


def texts(pairs: Sequence[Matched]) -> list[Example]:
    """What is read: four texts a pair, in the order of `Polar`."""
    return [
        Example.of_text(f"{words} {suffix}", group=pair.group)
        for pair in pairs
        for words in (pair.statement, pair.opposite)
        for suffix in SUFFIXES
    ]


def split(pairs: Sequence[Matched], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places of the pairs to fit on, to choose the layer by and to report; groups stay whole."""
    names = sorted({pair.group for pair in pairs})
    if len(names) < 12:
        raise InputError(
            f"{len(names)} groups of matched statements are too few to fit on some, choose a "
            "layer by others and report others again; give 12 or more."
        )
    drawn = sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    ends = [round(len(names) * share) for share in np.cumsum(_PARTS)]
    place = {name: int(np.searchsorted(ends, i, side="right")) for i, name in enumerate(drawn)}
    part = np.array([place[pair.group] for pair in pairs])
    found = [np.flatnonzero(part == number) for number in range(3)]
    return found[0], found[1], found[2]
