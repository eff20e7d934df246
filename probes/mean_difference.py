"""The difference of the two class means."""

from __future__ import annotations

from typing import Self

from numpy.typing import ArrayLike

from .linear_probe import LinearProbe, LinearScore, class_means


class MeanDifference(LinearProbe):
    """Score along the line from the mean dishonest row to the mean honest row.

    `coef_` is `mean(honest) - mean(dishonest)`, not normalised, so its length is the distance
    between the classes. The score is zero half way between the means.

    Source: the mass-mean direction of *The Geometry of Truth* (arXiv 2310.06824). The paper has
    no intercept and centres every data set on its own mean instead; the midpoint of the training
    means is ours, so that a single new row can be scored.

    Example:
        >>> from probes import MeanDifference
        >>> probe = MeanDifference().fit([[0.0, 1.0], [2.0, 1.0]], [0, 1])
        >>> probe.coef_, probe.intercept_
        (array([[2., 0.]]), array([-2.]))
        >>> probe.decision_function([[3.0, 9.0]])
        array([4.])
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn the two class means from rows `X` of shape `(n, d)` and labels `y`.

        Raises:
            ValueError: unless `y` holds exactly two classes and `X` is finite.
        """
        rows, honest = self._training_data(X, y)
        honest_mean, dishonest_mean = class_means(rows, honest)
        midpoint = (honest_mean + dishonest_mean) / 2
        self._set_score(LinearScore.through(honest_mean - dishonest_mean, midpoint))
        return self
