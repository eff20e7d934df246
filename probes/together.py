"""Several estimators on several problems, with the work shared that can be shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from .arrays import Floats
from .linear_probe import LinearProbe, LinearScore, Problem, fit_each, positive
from .logistic_problems import logistic_scores
from .logistic_regression import LogisticRegression


def fit_together(
    estimators: Mapping[str, Any],
    X: Floats,
    problems: Sequence[Problem],
    groups: NDArray[Any] | None = None,
    polarity: NDArray[Any] | None = None,
) -> dict[str, list[LinearScore]]:
    """Fit every estimator on every problem: folds, relabellings and strengths of the same rows.

    The scores are those of a clone fitted on the rows of each problem, up to the tolerance of the
    estimator's `fit_problems`. Logistic regressions of all strengths are solved together.

    Args:
        estimators: Linear classifiers by name: probes, or others of scikit-learn with `coef_` and
            `intercept_` (one that scales its input first, such as a pipeline, has none).
        X: Rows, shape `(n, d)`.
        problems: Rows of `X` and their labels.
        groups: The group of every row of `X`, for the estimators that use it.
        polarity: The polarity of every row of `X`, for the estimators that use it.

    Returns:
        For every name one score a problem, in their order.

    Raises:
        ValueError: for a problem that an estimator refuses.

    Example:
        >>> import numpy as np
        >>> from probes import MeanDifference, Problem, fit_together
        >>> X = np.array([[0.0], [1.0], [3.0], [4.0], [9.0], [8.0]])
        >>> y = np.array([False, True, False, True, True, False])
        >>> folds = [np.array([0, 1, 2, 3]), np.array([2, 3, 4, 5])]
        >>> problems = [Problem(rows, y[rows]) for rows in folds]
        >>> found = fit_together({"mean": MeanDifference()}, X, problems)
        >>> found["mean"][0]
        LinearScore(weights=array([1.]), offset=-2.0)
    """
    strengths = {
        name: positive("C", estimator.C)
        for name, estimator in estimators.items()
        if type(estimator) is LogisticRegression
    }
    found = {}
    if strengths:
        scores = logistic_scores(X, problems, list(strengths.values()))
        found.update(zip(strengths, scores, strict=True))
    for name, estimator in estimators.items():
        if name not in found:
            fit = estimator.fit_problems if _fits_problems(estimator) else None
            if fit is None:
                found[name] = fit_each(estimator, X, problems, groups=groups, polarity=polarity)
            else:
                found[name] = fit(X, problems, groups=groups, polarity=polarity)
    return {name: found[name] for name in estimators}


def _fits_problems(estimator: Any) -> bool:
    """Whether `fit_problems` does what `fit` does: a subclass may have replaced `fit` alone."""
    if not isinstance(estimator, LinearProbe):
        return False
    for kind in type(estimator).__mro__:
        if "fit_problems" in vars(kind):
            return True
        if "fit" in vars(kind):
            return False
    return False
