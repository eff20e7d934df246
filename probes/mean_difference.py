"""The difference of the two class means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Floats
from .linear_probe import LinearScore, Problem, class_means
from .moments import Moments
from .row_subsets import class_means_of, has_both_labels
from .streaming import StreamingProbe


class MeanDifference(StreamingProbe):
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

    with_scatter: ClassVar[bool] = False

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn the two class means from rows `X` of shape `(n, d)` and labels `y`.

        Raises:
            ValueError: unless `y` holds exactly two classes and `X` is finite.
        """
        self._forget()
        rows, honest = self._training_data(X, y)
        self._set_score(_score_between(*class_means(rows, honest)))
        return self

    def fit_problems(
        self,
        X: Floats,
        problems: Sequence[Problem],
        *,
        groups: NDArray[Any] | None = None,
        polarity: NDArray[Any] | None = None,
    ) -> list[LinearScore]:
        """Fit many problems by one matrix product of their class indicators with the rows."""
        rows = np.asarray(X, dtype=np.float64)
        if not np.isfinite(rows).all() or not all(map(has_both_labels, problems)):
            # Refused by `fit`, in its own words.
            return super().fit_problems(X, problems, groups=groups, polarity=polarity)
        origin = rows.mean(axis=0)
        means = zip(*class_means_of(rows - origin, problems), strict=True)
        return [_score_between(honest + origin, dishonest + origin) for honest, dishonest in means]

    def _score(self, moments: Moments) -> LinearScore:
        dishonest_mean, honest_mean = moments.means
        return _score_between(honest_mean, dishonest_mean)


def _score_between(honest_mean: Floats, dishonest_mean: Floats) -> LinearScore:
    return LinearScore.through(honest_mean - dishonest_mean, (honest_mean + dishonest_mean) / 2)
