"""Penalised logistic regression on many subsets, labellings and strengths of the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from scipy import linalg
from sklearn.utils import check_array

from .arrays import Bools, Floats, Indices
from .linear_probe import LinearScore, Problem
from .logistic_single import logistic_score
from .logistic_solver import Batch, Features, solve
from .ridge_coordinates import RidgeCoordinates
from .row_subsets import are_distinct
from .standardisation import Standardisation, feature_scale

CELLS = 4_000_000
"""Problems times rows that are solved together, at most: about ten arrays of this size are held."""
SUSPECT = 1e-6
"""Below this share of its variance over all rows, that of a feature within a subset is computed
from the subset alone: a difference of two sums has lost too many digits."""


class _Scores(NamedTuple):
    """Scores of several problems in the features as given, at several strengths."""

    weights: Floats
    """Shape `(strengths, p, d)`."""
    offsets: Floats
    """Shape `(strengths, p)`."""
    solved: Bools
    """Which reached the tolerance; shape `(strengths, p)`."""


def logistic_scores(
    X: Floats, problems: Sequence[Problem], strengths: Sequence[float]
) -> list[list[LinearScore]]:
    """Log-odds by logistic regression on standardised features, for all problems and strengths.

    The same optimum as `LogisticRegression(C=strength).fit` on the rows of each problem. No score
    of a row that any problem uses (with fewer rows than features: that the problem itself uses) is
    off by more than 1e-4, relative to the score where that is above 1.

    Args:
        X: Rows, shape `(n, d)`.
        problems: Rows and labels; features are standardised on the rows of each.
        strengths: Values of `C`.

    Returns:
        For each strength, in the order given, one score a problem.

    Raises:
        ValueError: for NaN or infinity, or a problem that lacks a label.

    Warns:
        ConvergenceWarning: if the optimum of a problem was not reached; names the problem.
    """
    if not problems:
        return [[] for _ in strengths]
    ascending, order = np.unique(np.asarray(strengths, dtype=np.float64), return_inverse=True)
    used = np.unique(np.concatenate([problem.rows for problem in problems]))
    rows = cast(Floats, check_array(X[used], dtype=cast(Any, np.float64)))
    local = [_localised(problem, used, place) for place, problem in enumerate(problems)]
    found: list[list[LinearScore | None]] = [[None] * len(local) for _ in ascending]
    for places in _parts(local, rows.shape):
        scores = _solve([local[place] for place in places], rows, ascending)
        for level, column in zip(*np.nonzero(scores.solved), strict=True):
            score = LinearScore(scores.weights[level, column], float(scores.offsets[level, column]))
            found[level][places[column]] = score
    finished = [
        [
            score or _alone(rows, problem, float(strength), place)
            for place, (problem, score) in enumerate(zip(local, level, strict=True))
        ]
        for strength, level in zip(ascending, found, strict=True)
    ]
    return [finished[level] for level in order]


def _localised(problem: Problem, used: Indices, place: int) -> Problem:
    if problem.honest.all() or not problem.honest.any():
        raise ValueError(
            f"Problem {place} holds rows of one class; a probe needs rows of two classes: "
            "add rows of the other label."
        )
    return Problem(np.searchsorted(used, problem.rows), problem.honest)


def _alone(rows: Floats, problem: Problem, strength: float, place: int) -> LinearScore:
    """One problem by the solver for single ones, which warns if it fails too."""
    name = f"problem {place} (C={strength:g})"
    return logistic_score(rows[problem.rows], problem.honest, strength, name)


def _parts(problems: Sequence[Problem], shape: tuple[int, ...]) -> Iterator[list[int]]:
    """Places of problems to solve together: all on shared features, or those of the same rows.

    With fewer rows than features, features are the coordinates within the span of the rows, in
    which only problems of the same rows have the same penalty.
    """
    count, width = shape
    together: dict[bytes, list[int]] = {}
    for place, problem in enumerate(problems):
        if not are_distinct(problem.rows, count):
            continue  # A row may then have two labels: not expressible here.
        key = b"" if count >= width else np.sort(problem.rows).tobytes()
        together.setdefault(key, []).append(place)
    size = max(1, CELLS // count)
    for places in together.values():
        for start in range(0, len(places), size):
            part = places[start : start + size]
            # A problem alone is as fast by itself.
            if len(part) > 1 or count < width:
                yield part


def _solve(problems: Sequence[Problem], rows: Floats, strengths: Floats) -> _Scores:
    if len(rows) < rows.shape[1]:
        return _solve_in_span(problems, rows, strengths)
    frame = Standardisation.of(rows)
    standard = frame.apply(rows)
    scales = _spreads(problems, rows, standard, frame)
    constant = np.isinf(scales)
    signs = _signs(problems, len(rows))
    points, solved = _optimum(standard, signs, np.where(constant, 1.0, scales), strengths)
    # The optimum gives a feature that is constant on the training rows no weight, but for rounding.
    weights = np.where(constant, 0.0, points[..., :-1]) / frame.scale
    return _Scores(weights, points[..., -1] - weights @ frame.mean, solved)


def _solve_in_span(problems: Sequence[Problem], rows: Floats, strengths: Floats) -> _Scores:
    chosen = np.sort(problems[0].rows)
    own = rows[chosen]
    frame = Standardisation.of(own)
    space = RidgeCoordinates.of(frame.apply(own), curvature=0.25, ridge=1.0 / strengths[-1])
    signs = _signs(problems, len(rows))[:, chosen]
    scales = np.ones((len(problems), space.size))
    points, solved = _optimum(space.rows, signs, scales, strengths)
    flat = points[..., :-1].reshape(-1, space.size)
    weights = np.stack([space.weights(local) for local in flat]) / frame.scale
    weights = weights.reshape(*points.shape[:2], -1)
    return _Scores(weights, points[..., -1] - weights @ frame.mean, solved)


def _optimum(
    rows: Floats, signs: Floats, scales: Floats, strengths: Floats
) -> tuple[Floats, Bools]:
    try:
        return solve(Features.of(rows), Batch(signs, scales), strengths)
    except linalg.LinAlgError:
        # Strengths beyond what the factors resolve: left to the solver for single problems.
        shape = (len(strengths), len(signs))
        return np.zeros((*shape, rows.shape[1] + 1)), np.zeros(shape, dtype=bool)


def _signs(problems: Sequence[Problem], count: int) -> Floats:
    signs = np.zeros((len(problems), count))
    for row, problem in zip(signs, problems, strict=True):
        row[problem.rows] = np.where(problem.honest, 1.0, -1.0)
    return signs


def _spreads(
    problems: Sequence[Problem], rows: Floats, standard: Floats, frame: Standardisation
) -> Floats:
    """Standard deviation of the standardised features on the rows of each problem; `(p, d)`.

    That of a feature that does not vary is infinite.
    """
    counts = np.array([len(problem.rows) for problem in problems])[:, np.newaxis]
    members = np.zeros((len(problems), len(rows)))
    for row, problem in zip(members, problems, strict=True):
        row[problem.rows] = 1.0
    means = members @ standard / counts
    variances = members @ standard**2 / counts - means**2
    scales = np.sqrt(np.maximum(variances, 0.0))
    for place, problem in enumerate(problems):
        suspects = np.flatnonzero(variances[place] < SUSPECT)
        if len(suspects):
            own = rows[np.ix_(problem.rows, suspects)]
            spread = feature_scale(own - own.mean(axis=0), np.abs(own).max(axis=0), np.inf)
            varies = np.isfinite(spread)
            scales[place, suspects] = np.inf
            scales[place, suspects[varies]] = spread[varies] / frame.scale[suspects[varies]]
    return scales
