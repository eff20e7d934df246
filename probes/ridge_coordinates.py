"""Coordinates in which an L2-penalised loss of linear scores is well conditioned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from .arrays import Floats

# Added to the diagonal of a Gram matrix, relative to its mean: makes the factorisation of the
# (always singular: the rows are centred) matrix exist, and moves a solution by about as much.
JITTER = 1e-12


@dataclass(frozen=True)
class RidgeCoordinates:
    """A change of variables `v -> w` for losses `f(X w) + ridge/2 |w|^2`.

    A smooth loss of the scores with curvature at most `curvature` has the Hessian
    `X^T D X + ridge I` with `D <= curvature`. In the variable `v`, where
    `(curvature X^T X + ridge I) = U^T U` and `w = U^-1 v`, that Hessian lies below the identity,
    so quasi-Newton methods take tens of steps where raw weights take hundreds. When there are
    fewer rows than features, the rows are first rotated into their own span, which loses nothing:
    the penalised optimum lies in it.
    """

    rows: Floats
    """Shape `(n, min(n, d))`: the rows, or their coordinates within their own span."""
    span: Floats | None
    """The original rows if `rows` are coordinates within their span, else None."""
    factor: Floats
    """Upper triangular `U`, shape `(k, k)` with `k = min(n, d)`."""
    ridge: float

    @classmethod
    def of(cls, rows: Floats, curvature: float, ridge: float) -> RidgeCoordinates:
        """Prepare coordinates for rows of shape `(n, d)`, centred and of unit scale."""
        count, features = rows.shape
        span = None
        if count < features:
            span = rows
            gram = rows @ rows.T
            gram.flat[:: count + 1] += JITTER * max(1.0, float(np.trace(gram)) / count)
            rows = np.asarray(linalg.cholesky(gram, lower=True, check_finite=False))
        hessian = curvature * (rows.T @ rows)
        hessian.flat[:: len(hessian) + 1] += ridge
        factor = linalg.cholesky(hessian, lower=False, check_finite=False)
        return cls(rows, span, np.asarray(factor), ridge)

    @property
    def size(self) -> int:
        """Number of coordinates, `min(n, d)`."""
        return len(self.factor)

    def local_weights(self, points: Floats) -> Floats:
        """Weights on `self.rows` at points `v` of shape `(k,)` or `(k, restarts)`."""
        return linalg.solve_triangular(self.factor, points, check_finite=False)

    def gradient(self, score_gradient: Floats, local_weights: Floats) -> Floats:
        """Gradient with respect to `v`, given the gradient with respect to the scores."""
        inner = self.rows.T @ score_gradient + self.ridge * local_weights
        return linalg.solve_triangular(self.factor, inner, trans=1, check_finite=False)

    def whitened(self, moment: Floats) -> Floats:
        """`U^-T M U^-1` for a symmetric matrix `M` in the features of `self.rows`."""
        half = linalg.solve_triangular(self.factor, moment, trans=1, check_finite=False)
        return linalg.solve_triangular(self.factor, half.T, trans=1, check_finite=False)

    def weights(self, local_weights: Floats) -> Floats:
        """Weights on the original features, shape `(d,)`, from weights on `self.rows`."""
        if self.span is None:
            return local_weights
        inner = linalg.solve_triangular(
            self.rows, local_weights, lower=True, trans=1, check_finite=False
        )
        return self.span.T @ inner
