"""L2-penalised logistic regression on standardised features."""

from __future__ import annotations

import warnings
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from .arrays import Bools, Floats
from .linear_probe import LinearProbe, LinearScore, positive
from .ridge_coordinates import RidgeCoordinates
from .standardisation import Standardisation

MAX_STEPS = 2000


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

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Probabilities of `classes_`, shape `(n, 2)`."""
        return probabilities(self.decision_function(X))


def probabilities(log_odds: Floats) -> Floats:
    """Columns `1 - p` and `p` for the log-odds of the second class; shape `(n, 2)`."""
    return np.column_stack([expit(-log_odds), expit(log_odds)])


def logistic_score(rows: Floats, positive_rows: Bools, C: float) -> LinearScore:
    """Log-odds of `positive_rows` by penalised logistic regression on standardised features.

    Args:
        rows: Shape `(n, d)`.
        positive_rows: Shape `(n,)`; both values have to occur.
        C: Inverse penalty.

    Returns:
        The score in the space of `rows`.
    """
    frame = Standardisation.of(rows)
    signs = np.where(positive_rows, 1.0, -1.0)
    # The loss is divided by C * n, so that the tolerance means the same for every C and n.
    ridge = 1.0 / (C * len(signs))
    space = RidgeCoordinates.of(frame.apply(rows), curvature=0.25 / len(signs), ridge=ridge)

    def loss(point: Floats) -> tuple[float, Floats]:
        weights = space.local_weights(point[:-1])
        margins = signs * (space.rows @ weights + point[-1])
        score_gradient = -signs * expit(-margins) / len(signs)
        value = np.logaddexp(0.0, -margins).mean() + 0.5 * ridge * (weights @ weights)
        gradient = space.gradient(score_gradient, weights)
        return float(value), np.append(gradient, score_gradient.sum())

    options = {
        "maxiter": MAX_STEPS,
        "maxfun": 2 * MAX_STEPS,
        "maxcor": 20,
        "ftol": 0.0,
        "gtol": 1e-9,
    }
    found = minimize(loss, np.zeros(space.size + 1), jac=True, method="L-BFGS-B", options=options)
    if np.abs(found.jac).max() > 1e-6:
        warnings.warn(
            f"logistic regression stopped short of its optimum ({found.message}); "
            "a smaller C makes the problem easier.",
            ConvergenceWarning,
            stacklevel=3,
        )
    local = space.local_weights(found.x[:-1])
    return frame.unfold(LinearScore(space.weights(local), float(found.x[-1])))
