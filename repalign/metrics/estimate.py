"""Estimate: a number with its interval. A bare float never reaches a report."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repalign.errors import InputError

RESAMPLES = 1000
Values = Sequence[float] | Sequence[bool] | NDArray[Any]


@dataclass(frozen=True)
class Estimate:
    """A value, the ends of its interval, how many independent groups it rests on, and the level.

    Example:
        >>> print(Estimate(0.9312, 0.9001, 0.9587, 300))
        0.931 [0.900, 0.959]
    """

    value: float
    low: float
    high: float
    n: int
    """Independent groups, not rows: what the interval resamples."""
    level: float = 0.95

    def __str__(self) -> str:
        """Print as `0.931 [0.900, 0.959]`."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def cluster_codes(groups: Sequence[str] | NDArray[Any] | None, n: int) -> NDArray[np.intp]:
    """Number the groups of n rows from 0; without groups each row is its own."""
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise InputError(f"{len(groups)} groups were given for {n} rows.")
    return np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)


def own_groups(groups: Sequence[str] | NDArray[Any] | None, n: int) -> NDArray[Any]:
    """The groups of n rows as an array; without groups each row is its own."""
    kept = np.arange(n) if groups is None else np.asarray(groups)
    cluster_codes(kept, n)
    return kept


def bootstrap_counts(
    codes: NDArray[np.intp], resamples: int, seed: int | np.random.Generator
) -> NDArray[np.float64]:
    """How often each row occurs in each resample of groups, `[resample row]`."""
    n_groups = int(codes.max()) + 1
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=resamples)
    return drawn[:, codes].astype(np.float64)


def bootstrapped(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    codes: NDArray[np.intp],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Estimate a statistic with a percentile interval from resampling groups.

    Rows of one group (a statement and its opposite, the tokens of one text) are not independent, so
    whole groups are resampled. Resamples in which the statistic is not defined, because they hold
    one class only, are left out.

    Args:
        statistic: from row weights `[resample row]` to values `[resample]`, NaN where undefined.
        codes: the group number of each row.
        level: coverage of the interval.
        resamples: how many; 0 leaves the interval out.
        seed: of the resampling.

    Returns:
        The statistic on the rows as given, and its interval.

    Raises:
        InputError: the statistic is undefined on the rows as given.
    """
    value = float(statistic(np.ones((1, len(codes))))[0])
    if np.isnan(value):
        raise InputError(
            f"The statistic is not defined on these {len(codes)} rows: they hold one class only."
        )
    n_groups = int(codes.max()) + 1
    if resamples == 0:
        return Estimate(value, value, value, n_groups, level)
    block = max(1, 4_000_000 // len(codes))
    generator = np.random.default_rng(seed)
    drawn = np.concatenate(
        [
            statistic(bootstrap_counts(codes, min(block, resamples - start), generator))
            for start in range(0, resamples, block)
        ]
    )
    tail = (1 - level) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), n_groups, level)


def shares(
    weights: NDArray[np.float64], part: NDArray[np.bool_], whole: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """For row weights `[resample row]`, what part weighs of the whole; NaN where that is empty."""
    counted, of = (weights @ rows.astype(np.float64) for rows in (part, whole))
    return np.divide(counted, of, out=np.full(len(of), np.nan), where=of > 0)


def share(
    part: NDArray[np.bool_], whole: NDArray[np.bool_], groups: Sequence[str] | NDArray[Any] | None
) -> Estimate | None:
    """The share of a part of the rows in a larger one, resampled by group; None of an empty one.

    `n` counts the groups of the larger one; a share of 0 or 1 has an open end, see `open_ended`.
    """
    if not whole.any():
        return None
    codes = cluster_codes(groups, len(part))
    found = bootstrapped(lambda weights: shares(weights, part, whole), codes)
    return open_ended(replace(found, n=len(np.unique(codes[whole]))))


def open_ended(found: Estimate) -> Estimate:
    """Open the interval of a share of 0 or 1, in which resampling finds no spread.

    The open end is the exact one of a binomial share of as many groups.
    """
    if found.value == 0:
        return replace(found, low=0.0, high=max(found.high, _reach(found)))
    if found.value == 1:
        return replace(found, low=min(found.low, 1 - _reach(found)), high=1.0)
    return found


def _reach(found: Estimate) -> float:
    """The largest share at which as many groups may well show none."""
    return 1 - ((1 - found.level) / 2) ** (1 / found.n)


def mean(
    values: Values,
    groups: Sequence[str] | NDArray[Any] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """The mean of one value per row, resampled by group; of booleans a share, see `open_ended`.

    Raises:
        InputError: no values, or values that are not finite.
    """
    given = np.asarray(values)
    array = given.astype(np.float64)
    if len(array) == 0 or not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise InputError(f"A mean needs finite values; {len(array)} were given, {bad} are not.")

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return weights @ array / weights.sum(axis=1)

    found = bootstrapped(statistic, cluster_codes(groups, len(array)), level=level, seed=seed)
    return open_ended(found) if given.dtype == bool else found


def mean_of_rows(rows: Sequence[tuple[float | bool, str]]) -> Estimate | None:
    """The `mean` of values that come each with its group; None of none.

    Example:
        >>> print(mean_of_rows([(2.0, "a"), (2.0, "b")]), mean_of_rows([]))
        2.000 [2.000, 2.000] None
    """
    return mean([value for value, _ in rows], [group for _, group in rows]) if rows else None


def paired(
    first: Values,
    second: Values,
    groups: Sequence[str] | NDArray[Any] | None = None,
) -> tuple[Estimate, Estimate, Estimate]:
    """The means of two values per row, and of the first less the second, resampled alike.

    Where all values are 0 or 1 they are shares, see `open_ended`. So is their difference if it is
    the same in every row: it is opened to both sides where no row differs.

    Example:
        >>> print(*paired([1.0] * 4, [0.0] * 4))
        1.000 [0.398, 1.000] 0.000 [0.000, 0.602] 1.000 [0.398, 1.000]
    """
    one, two = (np.asarray(values, dtype=np.float64) for values in (first, second))
    difference = mean(one - two, groups)
    if not np.isin([one, two], (0, 1)).all():
        return mean(one, groups), mean(two, groups), difference
    return mean(one == 1, groups), mean(two == 1, groups), _opened(difference)


def _opened(difference: Estimate) -> Estimate:
    value, reach = difference.value, _reach(difference)
    if difference.low < difference.high or value not in (-1, 0, 1):
        return difference
    return replace(difference, low=max(-1.0, value - reach), high=min(1.0, value + reach))
