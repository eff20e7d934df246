"""Penalties on the probabilities of paired rows, and the linear score that minimises them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse
from scipy.optimize import OptimizeResult, minimize
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from .arrays import Floats
from .contrasts import Pairs
from .linear_probe import LinearScore
from .ridge_coordinates import RidgeCoordinates

# All restarts take this many steps together; then only the best goes on to its optimum.
SCREENING_STEPS = 50
MAX_STEPS = 2000


class Penalty(NamedTuple):
    """Values of a penalty on probabilities `p`, `q` and its derivatives; `(pairs, restarts)`."""

    value: Floats
    by_left: Floats
    by_right: Floats


class PairTerm(NamedTuple):
    """A penalty and the pairs of rows it applies to."""

    penalty: Callable[[Floats, Floats], Penalty]
    pairs: Pairs
    strength: float = 1.0


class PairFit(NamedTuple):
    """What the best of several restarts found."""

    score: LinearScore
    loss: float
    restart_losses: Floats
    """Loss of every restart after the screening steps, shape `(restarts,)`."""


def contrast(p: Floats, q: Floats) -> Penalty:
    """Penalty of CCS: `min(p, q)^2 + (p + q - 1)^2`. One holds and the other does not."""
    smaller = np.minimum(p, q)
    excess = p + q - 1.0
    left_smaller = p <= q
    return Penalty(
        smaller**2 + excess**2,
        2.0 * (excess + smaller * left_smaller),
        2.0 * (excess + smaller * ~left_smaller),
    )


def agreement(p: Floats, q: Floats) -> Penalty:
    """`(p - q)^2 / 2`: both hold or neither does."""
    gap = p - q
    return Penalty(gap**2 / 2, gap, -gap)


def contradiction(p: Floats, q: Floats) -> Penalty:
    """`p * q`: not both hold."""
    return Penalty(p * q, q, p)


def fit_pair_loss(
    rows: Floats,
    contrasts: Pairs,
    terms: Sequence[PairTerm],
    alpha: float,
    restarts: int,
    random: np.random.RandomState,
) -> PairFit:
    """Minimise penalties on `sigmoid(rows @ w + b)` plus `alpha / 2 * |w|^2`.

    Args:
        rows: Standardised rows, shape `(n, d)`.
        contrasts: Pairs whose probabilities are to differ; they suggest starting points.
        terms: The penalties; each is averaged over its pairs.
        alpha: Strength of the L2 penalty.
        restarts: Number of starting points, optimised side by side.
        random: Source of the random starting points.

    Warns:
        ConvergenceWarning: if the best restart did not reach a stationary point.
    """
    # A squared error of probabilities has curvature of about 2 * (1/4)^2 in the score, per pair.
    space = RidgeCoordinates.of(rows, curvature=0.25 / len(rows), ridge=alpha)
    losses = _Losses(space, terms)
    points = np.vstack([_starts(space, contrasts, restarts, random), np.zeros(restarts)])
    points = _minimise(losses, points, SCREENING_STEPS).x.reshape(points.shape)
    screened = losses(points)[0]
    found = _minimise(losses, points[:, [int(screened.argmin())]], MAX_STEPS)
    steepest = float(np.abs(found.jac).max())
    if steepest > 1e-3:
        warnings.warn(
            f"the contrast loss stopped short of an optimum (gradient {steepest:.1e}; "
            f"{found.message}); a greater alpha makes the problem easier.",
            ConvergenceWarning,
            stacklevel=3,
        )
    local = space.local_weights(found.x[:-1])
    score = LinearScore(space.weights(local), float(found.x[-1]))
    return PairFit(score, float(found.fun), screened)


def _starts(
    space: RidgeCoordinates, contrasts: Pairs, restarts: int, random: np.random.RandomState
) -> Floats:
    """Starting points of about unit length, shape `(k, restarts)`.

    With many features the loss has many poor minima, and random starts end in them: of 640 rows
    in 4096 features none of 10 came within twice the loss reached from the axes along which the
    contrasts are largest relative to the whole spread. So half the starts are those axes.
    """
    leading = min((restarts + 1) // 2, space.size)
    differences = space.rows[contrasts.left] - space.rows[contrasts.right]
    moment = differences.T @ (contrasts.weight[:, np.newaxis] * differences)
    whitened = space.whitened(moment)
    span = [space.size - leading, space.size - 1]
    axes = linalg.eigh(whitened, subset_by_index=span, check_finite=False)[1]
    drawn = random.standard_normal((space.size, restarts - leading)) / np.sqrt(space.size)
    return np.hstack([axes[:, ::-1], drawn])


class _Losses:
    """The loss of every restart, with its gradient, at points `(k + 1, restarts)`."""

    def __init__(self, space: RidgeCoordinates, terms: Sequence[PairTerm]) -> None:
        self.space = space
        self.terms = [(term, *_gathering(term.pairs, len(space.rows))) for term in terms]

    def __call__(self, points: Floats) -> tuple[Floats, Floats]:
        local = self.space.local_weights(points[:-1])
        p = expit(self.space.rows @ local + points[-1])
        losses = 0.5 * self.space.ridge * np.sum(local**2, axis=0)
        by_probability = np.zeros_like(p)
        for term, left, right in self.terms:
            penalty = term.penalty(left @ p, right @ p)
            weight = term.strength * term.pairs.weight
            losses += weight @ penalty.value
            for side, slope in ((left, penalty.by_left), (right, penalty.by_right)):
                by_probability += side.T @ (weight[:, np.newaxis] * slope)
        by_score = by_probability * p * (1.0 - p)
        gradient = self.space.gradient(by_score, local)
        return losses, np.vstack([gradient, by_score.sum(axis=0)])


def _gathering(pairs: Pairs, rows: int) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Matrices `(pairs, rows)` that pick the left and the right row of every pair."""
    order = np.arange(len(pairs.left))
    ones = np.ones(len(order))
    left, right = (
        sparse.csr_array((ones, (order, side)), shape=(len(order), rows))
        for side in (pairs.left, pairs.right)
    )
    return left, right


def _minimise(losses: _Losses, points: Floats, steps: int) -> OptimizeResult:
    """L-BFGS on the sum over restarts, which do not influence each other's optimum."""

    def total(flat: Floats) -> tuple[float, Floats]:
        values, gradient = losses(flat.reshape(points.shape))
        return float(values.sum()), gradient.ravel()

    options = {"maxiter": steps, "maxfun": 2 * steps, "ftol": 0.0, "gtol": 1e-7}
    return minimize(total, points.ravel(), jac=True, method="L-BFGS-B", options=options)
