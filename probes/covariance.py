"""Systems of equations in an estimated covariance, without forming more than is needed."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from scipy import linalg

from .arrays import Floats
from .standardisation import feature_scale

CovarianceKind = Literal["ledoit_wolf", "pinv"]

# Eigenvalues of the sample correlation below this share of the largest count as zero. Rounding
# the input to float32 leaves eigenvalues of about 4e-15 where the exact ones vanish.
RANK_TOLERANCE = 1e-10


def inverse_times(
    centred: Floats, targets: Floats, magnitude: Floats, covariance: CovarianceKind
) -> Floats:
    """Solve `S B = targets` for the covariance `S` of centred rows.

    `S` is estimated in standardised features, so that rescaling a feature rescales the solution
    and nothing else, and one large feature does not set the amount of shrinkage for all.

    Args:
        centred: Rows without their (class) mean, shape `(n, d)`.
        targets: Right-hand sides, shape `(d, k)`.
        magnitude: Largest absolute value of every feature before centring, shape `(d,)`.
        covariance: `"ledoit_wolf"`: the correlation matrix shrunk towards the identity by the
            Ledoit-Wolf amount, always invertible; or `"pinv"`: the sample matrix and its
            pseudo-inverse, which gives up the parts of `targets` outside the span of the rows.

    Returns:
        `B`, shape `(d, k)`.

    Raises:
        ValueError: for another `covariance`.
    """
    if covariance not in get_args(CovarianceKind):
        allowed = " or ".join(repr(kind) for kind in get_args(CovarianceKind))
        raise ValueError(f"covariance={covariance!r}; it has to be {allowed}.")
    scale = feature_scale(centred, magnitude, constant=1.0)[:, np.newaxis]
    rows = centred / scale.T
    if covariance == "pinv":
        return _pseudo_inverse_times(rows, targets / scale) / scale
    amount = ledoit_wolf_shrinkage(rows)
    level = float(np.mean(rows**2))  # mean eigenvalue of the sample correlation
    if amount * level <= 0.0:
        # No spread at all (then every direction is as good as any), or no sampling noise seen.
        solve = _pseudo_inverse_times if level > 0.0 else lambda _, right: right
        return solve(rows, targets / scale) / scale
    spread = _ridge_inverse_times(rows, targets / scale, (1 - amount) / len(rows), amount * level)
    return spread / scale


def ledoit_wolf_shrinkage(centred: Floats) -> float:
    """Share of the identity in the Ledoit-Wolf covariance estimate, between 0 and 1.

    Ledoit and Wolf, *A well-conditioned estimator for large-dimensional covariance matrices*
    (2004), for rows of known mean zero. Computed from the smaller of the two Gram matrices.

    Args:
        centred: Rows without their mean, shape `(n, d)`.
    """
    count, features = centred.shape
    gram = centred @ centred.T if count < features else centred.T @ centred
    level = float(np.trace(gram)) / (count * features)
    squared = float(np.sum(gram**2)) / count**2
    distance = squared / features - level**2
    fourth = float(np.sum(np.sum(centred**2, axis=1) ** 2)) / count
    noise = (fourth - squared) / (count * features)
    if noise <= 0.0 or distance <= 0.0:
        # No distance: the sample covariance already is a multiple of the identity.
        return 0.0 if noise <= 0.0 else 1.0
    return min(noise / distance, 1.0)


def _ridge_inverse_times(rows: Floats, targets: Floats, weight: float, ridge: float) -> Floats:
    """Solve `(weight rows^T rows + ridge I) B = targets` with the smaller matrix of the two."""
    count, features = rows.shape
    if features <= count:
        matrix = weight * (rows.T @ rows)
        matrix.flat[:: features + 1] += ridge
        return linalg.solve(matrix, targets, assume_a="pos", check_finite=False)
    # Woodbury: (c R^T R + r I)^-1 = (I - R^T (r/c I + R R^T)^-1 R) / r, written without c in a
    # denominator because the shrinkage may be complete (c = 0).
    inner = weight * (rows @ rows.T)
    inner.flat[:: count + 1] += ridge
    correction = linalg.solve(inner, rows @ targets, assume_a="pos", check_finite=False)
    return (targets - weight * (rows.T @ correction)) / ridge


def _pseudo_inverse_times(rows: Floats, targets: Floats) -> Floats:
    count, features = rows.shape
    if features <= count:
        values, axes = linalg.eigh(rows.T @ rows / count, check_finite=False)
        kept = values > RANK_TOLERANCE * max(values[-1], 0.0)
        axes, values = axes[:, kept], values[kept]
        return axes @ ((axes.T @ targets) / values[:, np.newaxis])
    values, left = linalg.eigh(rows @ rows.T / count, check_finite=False)
    kept = values > RANK_TOLERANCE * max(values[-1], 0.0)
    left, values = left[:, kept], values[kept]
    # S^+ = R^T (left values^-2 left^T) R / n for S = R^T R / n
    inner = left @ ((left.T @ (rows @ targets)) / (values**2)[:, np.newaxis])
    return rows.T @ inner / count
