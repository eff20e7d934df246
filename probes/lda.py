"""Linear discriminant analysis: the mean difference corrected by the within-class covariance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Floats, Indices
from .covariance import (
    NEEDS_ROWS,
    CovarianceKind,
    check_kind,
    inverse_times,
    scatter_inverse_times,
)
from .linear_probe import LinearScore, Problem, class_means
from .moments import Moments
from .row_subsets import are_distinct, class_means_of, has_both_labels, subset_moments
from .streaming import NotStreamable, StreamingProbe


class LDA(StreamingProbe):
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
            an amount estimated from the rows; `"oas"` by one estimated from that correlation
            alone, so that `partial_fit` has it too. `"pinv"` uses it as it is; with fewer rows than
            features it drops what the rows do not span, a perfectly separating part included.

    Example:
        >>> import numpy as np
        >>> from probes import LDA
        >>> noise = np.array([[-1.0, -2.0], [1.0, 2.0], [0.0, -1.0], [0.0, 1.0]])
        >>> X = np.vstack([noise, noise + [1.0, -1.0]])
        >>> LDA(covariance="pinv").fit(X, [0, 0, 0, 0, 1, 1, 1, 1]).coef_.round(6)
        array([[14., -6.]])
    """

    with_scatter: ClassVar[bool] = True

    def __init__(self, covariance: CovarianceKind = "ledoit_wolf") -> None:
        self.covariance: CovarianceKind = covariance

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn class means and covariance from rows `X` of shape `(n, d)` and labels `y`.

        When no class varies at all, the covariance is taken as the identity.

        Raises:
            ValueError: for an unknown `covariance`, or unless `y` holds exactly two classes and
                `X` is finite.
        """
        self._forget()
        rows, honest = self._training_data(X, y)
        honest_mean, dishonest_mean = class_means(rows, honest)
        residuals = rows - np.where(honest[:, np.newaxis], honest_mean, dishonest_mean)
        difference = (honest_mean - dishonest_mean)[:, np.newaxis]
        magnitude = np.abs(rows).max(axis=0)
        weights = inverse_times(residuals, difference, magnitude, self.covariance)[:, 0]
        self._set_score(LinearScore.through(weights, (honest_mean + dishonest_mean) / 2))
        return self

    def fit_problems(
        self,
        X: Floats,
        problems: Sequence[Problem],
        *,
        groups: NDArray[Any] | None = None,
        polarity: NDArray[Any] | None = None,
    ) -> list[LinearScore]:
        """Fit many problems; those with at least as many rows as features share their scatter.

        The scatter of the rows of a problem is that of a larger problem, or of all rows, less that
        of the rows left out, and problems that differ in labels only have the same.
        """
        rows = np.asarray(X, dtype=np.float64)
        shared = [
            place
            for place, problem in enumerate(problems)
            if self.covariance != "pinv"  # whose time goes into its eigenvectors
            and len(problem.rows) >= rows.shape[1]
            and has_both_labels(problem)
            and are_distinct(problem.rows, len(rows))
        ]
        found: dict[int, LinearScore] = {}
        if len(shared) > 1 and np.isfinite(rows).all():
            chosen = [problems[place] for place in shared]
            found = {shared[index]: score for index, score in self._shared_scores(rows, chosen)}
        alone = [place for place in range(len(problems)) if place not in found]
        others = [problems[place] for place in alone]
        found.update(zip(alone, super().fit_problems(X, others), strict=True))
        return [found[place] for place in range(len(problems))]

    def _shared_scores(
        self, rows: Floats, problems: Sequence[Problem]
    ) -> Iterator[tuple[int, LinearScore]]:
        """Score of each problem, less those that rounding makes unsafe."""
        origin = rows.mean(axis=0)
        centred = rows - origin
        squares = centred**2 if self.covariance == "ledoit_wolf" else centred
        means = np.stack(class_means_of(centred, problems))
        for place, moments in subset_moments(rows, [problem.rows for problem in problems]):
            chosen, honest = problems[place]
            honest_mean, dishonest_mean = means[:, place]
            apart = honest_mean - dishonest_mean
            weight = honest.sum() * (~honest).sum() / len(honest)
            scatter = moments.reduced(np.outer(weight * apart, apart))
            if scatter is None:
                continue

            own = (~honest).astype(np.intp)

            def fourth(
                scale: Floats,
                chosen: Indices = chosen,
                own: Indices = own,
                both: Floats = means[:, place],
            ) -> float:
                # |(x - m) / s|^2 of every row, without a copy of the rows.
                metric = scale**-2.0
                lengths = (squares @ metric)[chosen]
                along = (centred @ (both * metric).T)[chosen, own]
                return float(np.mean((lengths - 2 * along + (both**2 @ metric)[own]) ** 2))

            weights = scatter_inverse_times(
                scatter,
                moments.count,
                apart[:, np.newaxis],
                moments.magnitude,
                self.covariance,
                fourth,
            )[:, 0]
            midpoint = origin + (honest_mean + dishonest_mean) / 2
            yield place, LinearScore.through(weights, midpoint)

    def _check_parameters(self) -> None:
        if self.covariance == "ledoit_wolf":
            raise NotStreamable(NEEDS_ROWS)
        check_kind(self.covariance)

    def _score(self, moments: Moments) -> LinearScore:
        dishonest_mean, honest_mean = moments.means
        weights = scatter_inverse_times(
            moments.within_scatter(),
            moments.count,
            (honest_mean - dishonest_mean)[:, np.newaxis],
            moments.magnitude,
            self.covariance,
        )[:, 0]
        return LinearScore.through(weights, (honest_mean + dishonest_mean) / 2)
