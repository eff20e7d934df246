"""both_orders(): two answers compared twice, so that no judge can win by the place of an answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from repalign.errors import InputError
from repalign.judges.case import Case, Ruling
from repalign.metrics.preference import Wins

Rules = Callable[[Sequence[Case]], list[Ruling]]
_WORDS = {1.0: "win", 0.5: "tie", 0.0: "lose"}


@dataclass(frozen=True)
class Compared:
    """Pairs of answers, each judged in both orders."""

    rulings: tuple[tuple[Ruling, Ruling], ...]
    """A pair's: with `answer` shown first, and with `other` shown first."""
    wins: Wins | None
    """Over the pairs with a ruling in both orders; None where there is no such pair."""
    unruled: int
    """Pairs that lack one, and are left out."""

    @property
    def outcomes(self) -> tuple[str | None, ...]:
        """`win` or `lose` of `answer` in both orders, else `tie`; None where a ruling lacks."""
        return tuple(_outcome(*pair) for pair in self.rulings)


def both_orders(
    rules: Rules, cases: Sequence[Case], groups: Sequence[str] | NDArray[np.str_] | None = None
) -> Compared:
    """Compare `answer` with `other` of each case, in this order and in the other.

    A pair is won only if it is won in both orders; `wins.first_shown` says how much the judge likes
    what it sees first.

    Args:
        rules: gives a ruling a case, such as
            `lambda cases: judge.rules(RUBRICS["prefers"], cases)`; called once, with both orders.
        cases: pairs of answers.
        groups: what intervals resample; each pair by itself without them.

    Raises:
        InputError: no pairs, or one with a single answer.
    """
    if not cases or any(case.other is None for case in cases):
        raise InputError(
            f"Pairs of answers are compared; of {len(cases)} cases "
            f"{sum(case.other is None for case in cases)} have no other answer."
        )
    turned = [replace(case, answer=case.other or "", other=case.answer) for case in cases]
    found = rules([*cases, *turned])
    pairs = tuple(zip(found[: len(cases)], found[len(cases) :], strict=True))
    whole = [
        (place, one.value, two.value)
        for place, (one, two) in enumerate(pairs)
        if one.value is not None and two.value is not None
    ]
    wins = None
    if whole:
        wins = Wins.of(
            [_WORDS[one] for _, one, _ in whole],
            [_WORDS[1 - two] for _, _, two in whole],
            None if groups is None else np.asarray(groups)[[place for place, _, _ in whole]],
        )
    return Compared(pairs, wins, len(pairs) - len(whole))


def _outcome(one: Ruling, two: Ruling) -> str | None:
    if one.value is None or two.value is None:
        return None
    return _WORDS[one.value] if one.value == 1 - two.value else "tie"
