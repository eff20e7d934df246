"""One penalised logistic regression, solved by itself."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from .arrays import Bools, Floats
from .linear_probe import LinearScore
from .ridge_coordinates import RidgeCoordinates
from .standardisation import Standardisation

MAX_STEPS = 2000


def logistic_score(
    rows: Floats, positive_rows: Bools, C: float, name: str = "logistic regression"
) -> LinearScore:
    """Log-odds of `positive_rows` by penalised logistic regression on standardised features.

    Args:
        rows: Shape `(n, d)`.
        positive_rows: Shape `(n,)`; both values have to occur.
        C: Inverse penalty.
        name: What a warning calls the problem.

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
            f"{name} stopped short of its optimum ({found.message}); "
            "a smaller C makes the problem easier.",
            ConvergenceWarning,
            stacklevel=3,
        )
    local = space.local_weights(found.x[:-1])
    return frame.unfold(LinearScore(space.weights(local), float(found.x[-1])))
