"""The probe by L2-penalised logistic regression on standardised features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from .arrays import Floats
from .linear_probe import LinearProbe, LinearScore, Problem, positive
from .logistic_problems import logistic_scores
from .logistic_single import logistic_score


class LogisticRegression(LinearProbe):
    """Standardise every feature, fit L2-penalised logistic regression, fold the scaling back.

    Minimises `|w|^2 / 2 + C * sum_i log(1 + exp(-s_i (x_i w + b)))` over standardised rows `x_i`
    with signs `s_i`; the intercept is not penalised. The decision values are log-odds.

    Same optimum as scikit-learn's `make_pipeline(StandardScaler(), LogisticRegression(C=C))`;
    the solver, L-BFGS in coordinates preconditioned by the Hessian at zero, needs about a third of
    the time for the same accuracy on correlated features (1000 rows, 576 features, one thread).

    Source of the default `C` and of standardising: the deception probes of arXiv 2502.03407, which
    fit without an intercept and flatten all tokens; here an intercept is fitted.

    Args:
        C: Inverse strength of the penalty, as in scikit-learn. Greater fits the training rows
            closer. With more features than rows the classes are almost always separable, and
            then only the penalty keeps the weights finite.

    Example:
        >>> from probes import LogisticRegression
        >>> probe = LogisticRegression(C=1.0).fit([[-2.0], [-1.0], [1.0], [2.0]], [0, 0, 1, 1])
        >>> probe.predict([[-0.5], [3.0]])
        array([0, 1])
        >>> probe.predict_proba([[0.0]]).round(6)
        array([[0.5, 0.5]])
    """

    def __init__(self, C: float = 0.1) -> None:
        self.C = C

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn the weights from rows `X` of shape `(n, d)` and labels `y`.

        Raises:
            ValueError: unless `C > 0`, `y` holds exactly two classes and `X` is finite.

        Warns:
            ConvergenceWarning: if the optimum was not reached (never seen on finite activations).
        """
        rows, honest = self._training_data(X, y)
        self._set_score(logistic_score(rows, honest, positive("C", self.C)))
        return self

    def fit_problems(
        self,
        X: Floats,
        problems: Sequence[Problem],
        *,
        groups: NDArray[Any] | None = None,
        polarity: NDArray[Any] | None = None,
    ) -> list[LinearScore]:
        """Fit many problems on rows of the same `X` together, to 1e-4 in the scores of its rows.

        `fit_together` does so for several strengths at once.
        """
        return logistic_scores(X, problems, [positive("C", self.C)])[0]

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Probabilities of `classes_`, shape `(n, 2)`."""
        return probabilities(self.decision_function(X))


def probabilities(log_odds: Floats) -> Floats:
    """Columns `1 - p` and `p` for the log-odds of the second class; shape `(n, 2)`."""
    return np.column_stack([expit(-log_odds), expit(log_odds)])
