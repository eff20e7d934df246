"""Many penalised logistic regressions on the same features, solved side by side.

The problems differ in rows, labels and penalty. What they share is computed once: the products of
the features with all problems are single matrix products, and at first all problems of a strength
are preconditioned by one Hessian, with the mean of their curvatures. Where that converges slowly, a
problem gets the factor of its own Hessian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from .arrays import Bools, Floats, Indices
from .logistic_descent import Descent

TOLERANCE = 1e-4
"""Largest error of the score of any row, relative where the score is above 1. A bound on the error
has to be below it (`Descent.bound`), so that the error itself is mostly a hundredth of it."""
FINE = 1e-2
"""Once no step moves a score by more than this, all is computed in double precision."""
MAX_STEPS = 200
TRIAL = 4
"""Steps before a preconditioner is judged."""
PATIENCE = 20.0
"""A factor of a problem's own pays if it saves this many steps."""
RENEWALS = 8
"""Factors of its own after which a problem that is still slow is given up."""
STALE = 0.2
"""Curvatures that changed by less than this share, apart from their sum, keep their Gram matrix."""
RESOLVED = 3e-7
"""The least penalty, relative to the trace of a Hessian, that single precision resolves."""
NEGLIGIBLE = 5.0
"""Rows whose curvatures together weigh less than this many times the penalty are left out of a
problem's own factor."""

Singles = NDArray[np.float32]


class Features(NamedTuple):
    """Features and a last column of ones, in both precisions; shape `(n, k + 1)`."""

    exact: Floats
    single: Singles

    @classmethod
    def of(cls, rows: Floats) -> Features:
        """Append the ones to rows of shape `(n, k)`."""
        exact = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
        return cls(exact, exact.astype(np.float32))


@dataclass(frozen=True)
class Batch:
    """Problems on the same features: `p` of them, with `n` rows and `k` features."""

    signs: Floats
    """+1 honest, -1 dishonest, 0 not in the problem; shape `(p, n)`."""
    scale: Floats
    """The penalty of a problem is `sum_j (scale_j w_j)^2 / 2 C`; shape `(p, k)`."""


def solve(features: Features, batch: Batch, strengths: Floats) -> tuple[Floats, Bools]:
    """Minimise `sum_i log(1 + exp(-s_i (x_i w + b))) + |scale w|^2 / (2 C)` for every problem.

    Args:
        features: `k` columns that are centred and of about unit scale, and the ones.
        batch: `p` problems.
        strengths: Values of `C` in ascending order; each starts from the solutions before it.

    Returns:
        Weights and, last, the intercept, of shape `(len(strengths), p, k + 1)`; and which problems
        reached the tolerance, of shape `(len(strengths), p)`.
    """
    count, width = len(batch.signs), features.exact.shape[1]
    found = np.zeros((len(strengths), count, width))
    solved = np.zeros((len(strengths), count), dtype=bool)
    gram = SharedGram(features)
    for place, strength in enumerate(strengths):
        start = found[place - 1] if place else found[place]
        if place > 1:
            # Weights change about linearly in the logarithm of C.
            before, last = np.log(strengths[place - 2 : place])
            reach = min(1.0, (np.log(strength) - last) / (last - before))
            start = start + reach * (start - found[place - 2])
        found[place], solved[place] = Stage(features, batch, float(strength), start, gram).run()
    return found, solved


class SharedGram:
    """`X^T diag(curvature) X` over all rows, kept while curvatures change little."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self.curvature = np.zeros(len(features.exact))
        self.gram: NDArray[Any] = np.zeros((0, 0), dtype=np.float32)

    def near(self, curvature: Floats, penalty: float) -> NDArray[Any]:
        """The Gram matrix, or one of about proportional curvatures brought to the same sum."""
        precision = _precision(curvature, penalty, self.features)
        total = self.curvature.sum()
        times = float(curvature.sum() / total) if total else 0.0
        changed = np.abs(curvature - times * self.curvature).sum()
        if changed > STALE * curvature.sum() or self.gram.dtype != precision:
            self.gram, self.curvature = _gram(self.features, curvature, precision), curvature
            return self.gram
        return self.gram * self.gram.dtype.type(times)


class Stage:
    """All problems at one strength."""

    def __init__(
        self, features: Features, batch: Batch, strength: float, start: Floats, shared: SharedGram
    ) -> None:
        self.features, self.penalty = features, 1.0 / strength
        ridge = np.zeros_like(start)
        ridge[:, :-1] = batch.scale**2 / strength
        # Length of every row over the root of the ridge.
        reach = np.sqrt(features.exact[:, :-1] ** 2 @ (1.0 / ridge[:, :-1].T)).T
        self.descent = Descent.start(start, features.exact, batch.signs, ridge, reach)
        self.result = start.copy()
        self.solved = np.zeros(len(start), dtype=bool)
        self.fine = False
        self.factors: dict[int, Any] = {}
        self.share(batch.signs != 0, shared)

    def share(self, members: Bools, shared: SharedGram) -> None:
        """Precondition by the mean curvature of all problems, times their share of the rows."""
        seen = np.maximum(members.sum(axis=0), 1)
        gram = shared.near(self.descent.curvature().sum(axis=0) / seen, self.penalty)
        shares, self.descent.factor = np.unique(members.mean(axis=1).round(1), return_inverse=True)
        ridge = np.append(np.full(gram.shape[1] - 1, self.penalty), 0.0)
        for key, share in enumerate(np.maximum(shares, 0.05)):
            self.factors[key] = _factor(gram * gram.dtype.type(share), ridge)

    def own(self, rows: Indices) -> None:
        """Precondition some problems by their own curvature, and forget earlier directions."""
        curvatures = self.descent.curvature(rows)
        for row, curvature in zip(rows.tolist(), curvatures, strict=True):
            order = np.argsort(curvature)
            weight = np.cumsum(curvature[order]) * (self.features.exact.shape[1] - 1)
            kept = np.sort(order[np.searchsorted(weight, NEGLIGIBLE * self.penalty) :])
            precision = _precision(curvature, self.penalty, self.features)
            key = -1 - int(self.descent.place[row])
            gram = _gram(self.features, curvature, precision, kept)
            self.factors[key] = _factor(gram, self.descent.ridge[row])
            self.descent.factor[row] = key
        self.descent.forget(rows)

    def run(self) -> tuple[Floats, Bools]:
        """Points of all problems, and which of them reached the tolerance."""
        for _ in range(MAX_STEPS):
            self.step()
            if not len(self.descent.place):
                break
        self.result[self.descent.place] = self.descent.points
        return self.result, self.solved

    def step(self) -> None:
        """Move every problem once; put those aside that are solved."""
        descent = self.descent
        rows = self.features.exact if self.fine else self.features.single
        gradient = descent.gradient(rows)
        error = descent.bound(gradient)
        done = self.fine & (error <= TOLERANCE)
        if done.any():
            place = descent.place[done]
            self.result[place], self.solved[place] = descent.points[done], True
            gradient, error = gradient[~done], error[~done]
            self.descent = descent = descent.rows(~done)
            if not len(descent.place):
                return
        newton = self.preconditioned(gradient)
        moves = newton.astype(rows.dtype) @ rows.T
        size = np.abs(moves).max(axis=1).astype(np.float64)
        rate = descent.rate(size)
        descent.turn(gradient, newton.astype(np.float64), moves)
        descent.search()
        if not self.fine and (size <= FINE).all():
            descent.rescore(self.features.exact)
            self.fine = True
        late = descent.steps >= TRIAL
        slow = late & (-np.log(rate) * PATIENCE < np.log(error / TOLERANCE))
        given_up = slow & (descent.renewals >= RENEWALS)
        if given_up.any():
            self.result[descent.place[given_up]] = descent.points[given_up]
            self.descent, slow = descent.rows(~given_up), slow[~given_up]
        if slow.any():
            self.own(np.flatnonzero(slow))

    def preconditioned(self, gradient: Floats) -> Singles:
        """An approximate Newton step uphill for every problem."""
        found = np.empty(gradient.shape, dtype=np.float32)
        for key in np.unique(self.descent.factor).tolist():
            rows = self.descent.factor == key
            found[rows] = _solve(self.factors[key], gradient[rows])
        return found


def _precision(curvature: Floats, penalty: float, features: Features) -> Any:
    trace = curvature.sum() * features.exact.shape[1]
    return np.dtype(np.float32 if penalty > RESOLVED * trace else np.float64)


def _gram(
    features: Features, curvature: Floats, precision: Any, kept: Indices | None = None
) -> NDArray[Any]:
    rows = features.single if precision == np.float32 else features.exact
    if kept is not None:
        rows, curvature = rows[kept], curvature[kept]
    weighted = rows * np.sqrt(curvature).astype(precision)[:, np.newaxis]
    return weighted.T @ weighted


def _factor(gram: NDArray[Any], ridge: Floats) -> NDArray[Any]:
    """Upper Cholesky factor of a Gram matrix, which is overwritten, with the ridge added."""
    # The intercept is not penalised; a trace of a penalty keeps its pivot positive.
    added = np.append(ridge[:-1], 1e-3 * ridge[:-1].min())
    gram.flat[:: len(gram) + 1] += added.astype(gram.dtype)
    return linalg.cholesky(gram.T, lower=False, overwrite_a=True, check_finite=False)


def _solve(factor: NDArray[Any], rows: Floats) -> NDArray[Any]:
    columns = rows.astype(factor.dtype).T
    if columns.shape[1] == 1:
        # For a single column LAPACK's solver takes twice as long as these two.
        (trsv,) = linalg.get_blas_funcs(("trsv",), (factor,))
        return trsv(factor, trsv(factor, columns[:, 0], trans=1))[np.newaxis]
    (potrs,) = linalg.get_lapack_funcs(("potrs",), (factor,))
    return potrs(factor, columns)[0].T
