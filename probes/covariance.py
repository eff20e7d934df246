"""Systems of equations in an estimated covariance, without forming more than is needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy import linalg

from .arrays import Floats
from .standardisation import feature_scale, scale_of_variance

CovarianceKind = Literal["ledoit_wolf", "oas", "pinv"]

# Eigenvalues of the sample correlation below this share of the largest count as zero. Rounding
# the input to float32 leaves eigenvalues of about 4e-15 where the exact ones vanish.
RANK_TOLERANCE = 1e-10

NEEDS_ROWS = (
    "covariance='ledoit_wolf' cannot be fitted in parts: its amount of shrinkage depends on fourth "
    "moments, which the scatter of the rows does not hold; use covariance='oas', which shrinks by "
    "an amount that it does, or covariance='pinv', or fit all rows at once."
)


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
        covariance: `"ledoit_wolf"` or `"oas"`: the correlation matrix shrunk towards the identity
            by the amount of that name, always invertible; or `"pinv"`: the sample matrix and its
            pseudo-inverse, which gives up the parts of `targets` outside the span of the rows.

    Returns:
        `B`, shape `(d, k)`.

    Raises:
        ValueError: for another `covariance`.
    """
    check_kind(covariance)
    count, features = centred.shape
    scale = feature_scale(centred, magnitude, constant=1.0)
    rows = centred / scale
    right = targets / scale[:, np.newaxis]
    wide = count < features
    gram = rows @ rows.T if wide else rows.T @ rows
    ridge = _ridge(gram, count, features, covariance, lambda: fourth_moment(rows))
    found = _wide_solution(rows, gram, right, ridge) if wide else _solution(gram, right, ridge)
    return found * count / scale[:, np.newaxis]


def scatter_inverse_times(
    scatter: Floats,
    count: int,
    targets: Floats,
    magnitude: Floats,
    covariance: CovarianceKind,
    fourth: Callable[[Floats], float] | None = None,
) -> Floats:
    """`inverse_times` for rows of which only the scatter is known.

    Args:
        scatter: Sum of the outer products of the centred rows, shape `(d, d)`.
        count: Number of rows.
        targets: Right-hand sides, shape `(d, k)`.
        magnitude: Largest absolute value of every feature before centring, shape `(d,)`.
        covariance: As for `inverse_times`.
        fourth: Gives `fourth_moment` of the rows divided by the scale that it is given, of shape
            `(d,)`; only `"ledoit_wolf"` asks for it.

    Returns:
        `B`, shape `(d, k)`.

    Raises:
        ValueError: for another `covariance`, or for `"ledoit_wolf"` without `fourth`.
    """
    check_kind(covariance)
    variance = np.diagonal(scatter) / count
    scale = scale_of_variance(variance, magnitude, constant=1.0)
    gram = scatter / scale / scale[:, np.newaxis]
    ridge = _ridge(gram, count, len(scale), covariance, fourth and partial(fourth, scale))
    return _solution(gram, targets / scale[:, np.newaxis], ridge) * count / scale[:, np.newaxis]


def check_kind(covariance: str) -> None:
    """Refuse an unknown kind of covariance.

    Raises:
        ValueError: that says which there are.
    """
    if covariance not in get_args(CovarianceKind):
        allowed = " or ".join(repr(kind) for kind in get_args(CovarianceKind))
        raise ValueError(f"covariance={covariance!r}; it has to be {allowed}.")


def ledoit_wolf_shrinkage(gram: Floats, count: int, features: int, fourth: float) -> float:
    """Share of the identity in the Ledoit-Wolf covariance estimate, between 0 and 1.

    Ledoit and Wolf, *A well-conditioned estimator for large-dimensional covariance matrices*
    (2004), for rows of known mean zero.

    Args:
        gram: Products of rows with rows or of features with features, whichever are fewer.
        count: Number of rows.
        features: Number of features.
        fourth: Their `fourth_moment`.
    """
    level = float(np.trace(gram)) / (count * features)
    squared = float(np.sum(gram**2)) / count**2
    distance = squared / features - level**2
    noise = (fourth - squared) / (count * features)
    if noise <= 0.0 or distance <= 0.0:
        # No distance: the sample covariance already is a multiple of the identity.
        return 0.0 if noise <= 0.0 else 1.0
    return min(noise / distance, 1.0)


def oas_shrinkage(gram: Floats, count: int, features: int) -> float:
    """Share of the identity in the oracle approximating estimate, between 0 and 1.

    Chen, Wiesel, Eldar and Hero, *Shrinkage algorithms for MMSE covariance estimation* (arXiv
    0907.4698), equation 23 for rows of known mean zero, with its terms `2 / features` left out,
    as scikit-learn does. It assumes Gaussian rows, and needs nothing of them but their scatter.

    Args:
        gram: Products of rows with rows or of features with features, whichever are fewer.
        count: Number of rows.
        features: Number of features.
    """
    trace = float(np.trace(gram)) ** 2
    squared = float(np.sum(gram**2))
    distance = (count + 1) * (squared - trace / features)
    return 1.0 if distance <= 0.0 else min((squared + trace) / distance, 1.0)


def fourth_moment(rows: Floats) -> float:
    """Mean over the rows of the fourth power of their length."""
    return float(np.mean(np.einsum("ij,ij->i", rows, rows) ** 2))


class _Ridge(NamedTuple):
    """The estimate `(weight gram + level I) / count` of a covariance; exact if `level` is None."""

    weight: float
    level: float | None


def _ridge(
    gram: Floats,
    count: int,
    features: int,
    covariance: CovarianceKind,
    fourth: Callable[[], float] | None,
) -> _Ridge:
    level = float(np.trace(gram)) / features
    if level <= 0.0:
        # No spread at all: every direction is as good as any, so take the identity.
        return _Ridge(0.0, float(count))
    if covariance == "pinv":
        return _Ridge(1.0, None)
    if covariance == "oas":
        amount = oas_shrinkage(gram, count, features)
    elif fourth is None:
        raise ValueError(NEEDS_ROWS)
    else:
        amount = ledoit_wolf_shrinkage(gram, count, features, fourth())
    # No shrinkage: no sampling noise was seen.
    return _Ridge(1 - amount, amount * level) if amount > 0.0 else _Ridge(1.0, None)


def _solution(gram: Floats, targets: Floats, ridge: _Ridge) -> Floats:
    """Solve `(weight G + level I) B = targets` for `G = R^T R`."""
    if ridge.level is None:
        values, axes = _range(gram)
        return axes @ ((axes.T @ targets) / values[:, np.newaxis])
    matrix = ridge.weight * gram
    matrix.flat[:: len(matrix) + 1] += ridge.level
    return _positive_solve(matrix, targets)


def _wide_solution(rows: Floats, gram: Floats, targets: Floats, ridge: _Ridge) -> Floats:
    """Solve `(weight R^T R + level I) B = targets` with `G = R R^T`, the smaller of the two."""
    if ridge.level is None:
        # (R^T R)^+ = R^T (left values^-2 left^T) R
        values, left = _range(gram)
        return rows.T @ (left @ ((left.T @ (rows @ targets)) / (values**2)[:, np.newaxis]))
    # Woodbury: (c R^T R + r I)^-1 = (I - R^T (r/c I + R R^T)^-1 R) / r, written without c in a
    # denominator because the shrinkage may be complete (c = 0).
    inner = ridge.weight * gram
    inner.flat[:: len(inner) + 1] += ridge.level
    correction = _positive_solve(inner, rows @ targets)
    return (targets - ridge.weight * (rows.T @ correction)) / ridge.level


def _positive_solve(matrix: Floats, targets: Floats) -> Floats:
    """Solve with a positive definite matrix, which is overwritten."""
    # Three times as fast as `linalg.solve`, which looks for structure and estimates a condition.
    factor = linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    return linalg.cho_solve(factor, targets, check_finite=False)


def _range(gram: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues that are not zero and their eigenvectors."""
    values, axes = linalg.eigh(gram, check_finite=False)
    kept = values > RANK_TOLERANCE * max(values[-1], 0.0)
    return values[kept], axes[:, kept]
