"""Features brought to mean zero and unit variance, and scores taken back from there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arrays import Floats
from .linear_probe import LinearScore

# A feature whose spread is below this share of its size is rounding error around a constant.
# float32 resolves 6e-8, so no feature that varies in float32 is taken for a constant.
CONSTANT = 1e-12


def feature_scale(centred: Floats, magnitude: Floats, constant: float) -> Floats:
    """Root mean square of centred columns; shape `(d,)`.

    Args:
        centred: Rows without their mean, shape `(n, d)`.
        magnitude: Largest absolute value of every column before centring, shape `(d,)`.
        constant: The scale of a column that does not vary.
    """
    return scale_of_variance(np.mean(centred**2, axis=0), magnitude, constant)


def scale_of_variance(variance: Floats, magnitude: Floats, constant: float) -> Floats:
    """Root of the variance of every column; shape `(d,)`.

    Args:
        variance: Mean square of every centred column, shape `(d,)`.
        magnitude: Largest absolute value of every column before centring, shape `(d,)`.
        constant: The scale of a column that does not vary.
    """
    # Subtraction may leave a constant column with a variance just below zero.
    scale = np.sqrt(np.maximum(variance, 0.0))
    return np.where(scale <= CONSTANT * magnitude, constant, scale)


@dataclass(frozen=True)
class Standardisation:
    """The map from rows to standardised rows, fitted on training rows."""

    mean: Floats
    """Shape `(d,)`; with roles, the unweighted mean of the role means."""
    scale: Floats
    """Shape `(d,)`: standard deviation (within roles); infinite for a constant feature, which
    makes its standardised values and its weight exactly zero."""
    role_axes: Floats
    """Shape `(d, k)`: orthonormal axes, in standardised features, along which the means of the
    roles differ. They are projected out; `k` is 0 without roles."""

    @classmethod
    def of(cls, rows: Floats, roles: NDArray[np.int_] | None = None) -> Standardisation:
        """Learn means, scales and role axes from rows of shape `(n, d)`.

        Args:
            rows: Training rows.
            roles: The part every row plays in its contrast (affirmed or negated, say). Contrast
                methods subtract from every row the mean of its role, so that the role itself is
                not the contrast they find. To score one row without knowing its role, the axes
                along which the role means differ are removed altogether: then subtracting any
                role's mean gives the same score.
        """
        kinds = np.zeros(len(rows), dtype=int) if roles is None else roles
        present, codes = np.unique(kinds, return_inverse=True)
        means = np.stack([rows[codes == code].mean(axis=0) for code in range(len(present))])
        scale = feature_scale(rows - means[codes], np.abs(rows).max(axis=0), np.inf)
        mean = means.mean(axis=0)
        offsets = ((means - mean) / scale)[:-1]  # the offsets sum to zero: the last is redundant
        axes, lengths, _ = np.linalg.svd(offsets.T, full_matrices=False)
        distinct = lengths > CONSTANT * np.sqrt(len(mean))
        return cls(mean, scale, axes[:, distinct])

    def apply(self, rows: Floats) -> Floats:
        """Standardised rows, of the same shape `(n, d)`, with the role axes removed."""
        standard = (rows - self.mean) / self.scale
        return standard - (standard @ self.role_axes) @ self.role_axes.T

    def unfold(self, score: LinearScore) -> LinearScore:
        """The score of raw rows that equals `score` of their standardised versions."""
        inside = score.weights - self.role_axes @ (self.role_axes.T @ score.weights)
        weights = inside / self.scale
        return LinearScore(weights, score.offset - float(weights @ self.mean))
