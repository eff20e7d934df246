"""Preference: which of two models' answers is better, and how much of a gap was closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from repalign.errors import InputError, unknown
from repalign.metrics.estimate import (
    Estimate,
    bootstrapped,
    cluster_codes,
    mean,
    own_groups,
)

Values = Sequence[float] | Sequence[int] | NDArray[Any]
Groups = Sequence[str] | NDArray[Any] | None
OUTCOMES = {"win": 1.0, "tie": 0.5, "lose": 0.0}


@dataclass(frozen=True, eq=False)
class Wins:
    """Comparisons judged in both orders; an item counts as won only if it is won in both."""

    first: Float[np.ndarray, " item"]
    """1 won, 0.5 tied, 0 lost, with our answer shown first."""
    second: Float[np.ndarray, " item"]
    """The same with it shown second."""
    groups: np.ndarray

    @classmethod
    def of(cls, first: Sequence[str], second: Sequence[str], groups: Groups = None) -> "Wins":
        """Take a judge's verdicts on our answer, `win`, `tie` or `lose`, in both orders.

        Raises:
            InputError: no verdicts, unequal numbers of them, or another word.
        """
        if not len(first) or len(first) != len(second):
            raise InputError(
                f"Every item is judged in both orders; {len(first)} and {len(second)} verdicts "
                "were given."
            )
        one, other = (np.array([_outcome(word) for word in part]) for part in (first, second))
        return cls(one, other, own_groups(groups, len(first)))

    @property
    def rate(self) -> Estimate:
        """The share won, ties counting half, over both orders: 0.5 is even."""
        return mean((self.first + self.second) / 2, self.groups)

    @property
    def counts(self) -> dict[str, int]:
        """Items won in both orders, lost in both, and all others, which count as ties."""
        both = self.first + self.second
        won, lost = int((both == 2).sum()), int((both == 0).sum())
        return {"win": won, "tie": len(both) - won - lost, "lose": lost}

    @property
    def first_shown(self) -> Estimate:
        """How often the answer shown first wins, ties counting half: 0.5 is a fair judge."""
        return mean((self.first + 1 - self.second) / 2, self.groups)

    @property
    def agreement(self) -> Estimate:
        """The share of items judged alike in both orders."""
        return mean(self.first == self.second, self.groups)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        names = ("rate", "first_shown", "agreement")
        return {**self.counts, **{name: getattr(self, name).to_json() for name in names}}


def calibrated_reward(reward: float, reference: Values) -> float:
    """The share of the reference model's answers to the same prompt that a reward is above.

    Ties count half, so that it averages 0.5 over the reference's own answers (InfAlign, arXiv
    2412.19792).

    Args:
        reward: of one answer.
        reference: rewards of answers that the reference model sampled.

    Example:
        >>> calibrated_reward(2.0, [1.0, 2.0, 3.0, 0.0])
        0.625
    """
    others = np.asarray(reference, dtype=np.float64)
    if not len(others) or not (np.isfinite(others).all() and np.isfinite(reward)):
        raise InputError("Rewards are finite, and the reference has at least one.")
    return float(np.mean(reward > others) + 0.5 * np.mean(np.equal(reward, others)))


def best_of_n_win_rate(
    policy: Sequence[Values], reference: Sequence[Values], n: int, groups: Groups = None
) -> Estimate:
    """How often the policy's best of n answers beats the reference's best of n; ties count half.

    For each prompt the exact mean over all ways to take n of the answers at hand, so more than n
    of them make it steadier.

    Args:
        policy: for each prompt the rewards of its answers, n or more.
        reference: the same of the reference model, for the same prompts.
        n: how many answers one would choose from.
        groups: what the interval resamples; each prompt by itself without them.

    Raises:
        InputError: no prompts, unequal numbers of them, fewer than n answers, or rewards that are
            not finite.

    Example:
        >>> best_of_n_win_rate([[1.0, 3.0]], [[2.0, 2.0]], n=1).value
        0.5
        >>> best_of_n_win_rate([[1.0, 3.0]], [[2.0, 2.0]], n=2).value
        1.0
    """
    if len(policy) != len(reference) or not len(policy):
        raise InputError(
            f"Both models answer the same prompts; {len(policy)} and {len(reference)} were given."
        )
    won = []
    for ours, theirs in zip(policy, reference, strict=True):
        (a, a_chance), (b, b_chance) = _best_of(ours, n), _best_of(theirs, n)
        ahead = (a[:, None] > b) + 0.5 * (a[:, None] == b)
        won.append(a_chance @ ahead @ b_chance)
    return mean(won, groups)


@dataclass(frozen=True)
class Recovered:
    """How much of the gap between a weak and a strong model was closed, with what it is made of."""

    weak: Estimate
    transferred: Estimate
    ceiling: Estimate
    share: Estimate | None
    """None where the ceiling is not above the weak model. Unstable where it is hardly so: the
    interval says."""


def performance_gap_recovered(
    weak: Values, transferred: Values, ceiling: Values, groups: Groups = None
) -> Recovered:
    """The share of the gap that weak supervision recovers: (transferred - weak)/(ceiling - weak).

    Args:
        weak: score of each item, of the weak supervisor.
        transferred: of the strong model trained on the weak one's labels, the same items.
        ceiling: of the strong model trained on true labels.
        groups: what intervals resample; each item by itself without them.

    Raises:
        InputError: no items, unequal numbers of them, or scores that are not finite.
    """
    parts = [np.asarray(part, dtype=np.float64) for part in (weak, transferred, ceiling)]
    if len({part.shape for part in parts}) > 1:
        raise InputError(
            f"The three score the same items; their shapes are {[p.shape for p in parts]}."
        )
    low, middle, high = (mean(part, groups) for part in parts)

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        lows, middles, highs = (weights @ part / weights.sum(axis=1) for part in parts)
        gap = highs - lows
        return np.divide(middles - lows, gap, out=np.full(len(gap), np.nan), where=gap > 0)

    share = None
    if high.value > low.value:
        share = bootstrapped(statistic, cluster_codes(groups, len(parts[0])))
    return Recovered(low, middle, high, share)


def _best_of(rewards: Values, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rewards in order, and the chance that each is the best of n taken at random."""
    ordered = np.sort(np.asarray(rewards, dtype=np.float64))
    if n < 1 or len(ordered) < n or not np.isfinite(ordered).all():
        raise InputError(
            f"The best of {n} needs at least as many finite rewards a prompt; {len(ordered)} were "
            "given."
        )
    ways = comb(len(ordered), n)
    return ordered, np.array([comb(place, n - 1) / ways for place in range(len(ordered))])


def _outcome(word: str) -> float:
    if word not in OUTCOMES:
        raise unknown("verdict", word, OUTCOMES)
    return OUTCOMES[word]
