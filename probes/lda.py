"""Linear discriminant analysis: the mean difference corrected by the within-class covariance."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from .covariance import CovarianceKind, inverse_times
from .linear_probe import LinearProbe, LinearScore, class_means


class LDA(LinearProbe):
    """Mean difference times the inverse of the covariance within the classes.

    `coef_` is `S^-1 (mean(honest) - mean(dishonest))`. For Gaussian classes with a common
    covariance `S` and equal priors the score is the log-odds; it is zero at the midpoint of the
    means however many rows the classes have.

    Source: mass-mean probing with covariance, *The Geometry of Truth* (arXiv 2310.06824), which
    uses the pseudo-inverse with an absolute cut-off of 1e-3 and no intercept. Here the covariance
    is estimated in standardised features, the cut-off of `"pinv"` is relative, and the default is
    the Ledoit-Wolf estimate, since a sample covariance of about as many rows as features is
    almost singular.

    Args:
        covariance: `"ledoit_wolf"` shrinks the within-class correlation towards the identity by
            an amount estimated from the rows. `"pinv"` uses it as it is; with fewer rows than
            features it drops what the rows do not span, a perfectly separating part included.

    Example:
        >>> import numpy as np
        >>> from probes import LDA
        >>> noise = np.array([[-1.0, -2.0], [1.0, 2.0], [0.0, -1.0], [0.0, 1.0]])
        >>> X = np.vstack([noise, noise + [1.0, -1.0]])
        >>> LDA(covariance="pinv").fit(X, [0, 0, 0, 0, 1, 1, 1, 1]).coef_.round(6)
        array([[14., -6.]])
    """

    def __init__(self, covariance: CovarianceKind = "ledoit_wolf") -> None:
        self.covariance: CovarianceKind = covariance

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn class means and covariance from rows `X` of shape `(n, d)` and labels `y`.

        When no class varies at all, the covariance is taken as the identity.

        Raises:
            ValueError: for an unknown `covariance`, or unless `y` holds exactly two classes and
                `X` is finite.
        """
        rows, honest = self._training_data(X, y)
        honest_mean, dishonest_mean = class_means(rows, honest)
        residuals = rows - np.where(honest[:, np.newaxis], honest_mean, dishonest_mean)
        difference = (honest_mean - dishonest_mean)[:, np.newaxis]
        magnitude = np.abs(rows).max(axis=0)
        weights = inverse_times(residuals, difference, magnitude, self.covariance)[:, 0]
        self._set_score(LinearScore.through(weights, (honest_mean + dishonest_mean) / 2))
        return self
