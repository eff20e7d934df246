"""The trade-off law: behaviour follows a tanh of the coefficient, helpfulness a bell curve."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

from repalign.errors import InputError
from repalign.metrics import Estimate, cluster_codes

_RESAMPLES = 200
Curve = Callable[[np.ndarray, np.ndarray], np.ndarray]


def behaviour(
    parameters: Float[np.ndarray, "2"], coefficients: Float[np.ndarray, " point"]
) -> Float[np.ndarray, " point"]:
    """`tanh(a x + b)`, the form fitted to behaviour in [-1, 1] (arXiv 2401.16332).

    Example:
        >>> float(behaviour(np.array([0.9, np.arctanh(-0.8)]), np.array([1.0])).round(6)[0])
        -0.196041
    """
    slope, offset = parameters
    return np.tanh(slope * coefficients + offset)


def helpfulness(
    parameters: Float[np.ndarray, "2"],
    coefficients: Float[np.ndarray, " point"],
    floor: float = 0.0,
    height: float = 1.0,
) -> Float[np.ndarray, " point"]:
    """`floor + height / (1 + a + a b² x² / 2)`, the bell curve (arXiv 2401.16332).

    With floor 0 and height 1 for a probability over the whole vocabulary; the paper's code takes
    0.25 and 0.5 for one renormalised over four choices.

    Example:
        >>> import numpy as np
        >>> helpfulness(np.array([0.4 / 0.6, 0.5]), np.array([0.0, 1.0, 2.0])).round(6).tolist()
        [0.6, 0.571429, 0.5]
    """
    cost, width = parameters
    return floor + height / (1 + cost + cost * width**2 / 2 * coefficients**2)


@dataclass(frozen=True)
class Fit:
    """A curve with the intervals of its parameters, and how much of the variation it explains."""

    form: str
    parameters: dict[str, Estimate]
    r_squared: float
    """Of the means over items; 1 is a perfect fit, below 0 is worse than a constant, NaN where the
    means do not vary."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        fitted = {name: one.to_json() for name, one in self.parameters.items()}
        explained = self.r_squared if np.isfinite(self.r_squared) else None
        return {"form": self.form, "parameters": fitted, "r_squared": explained}

    @property
    def values(self) -> Float[np.ndarray, " parameter"]:
        """The parameters as an array."""
        return np.array([one.value for one in self.parameters.values()])


def fit_behaviour(
    coefficients: Float[np.ndarray, " point"],
    values: Float[np.ndarray, "point item"],
    groups: Any = None,
    seed: int = 0,
) -> Fit:
    """Fit `tanh(a x + b)` to the mean behaviour over items.

    Args:
        coefficients: where it was measured, three or more.
        values: of each item at each coefficient, from -1 to 1.
        groups: of the items; intervals resample them.
        seed: of the resampling.

    Raises:
        InputError: values outside [-1, 1], not finite, or at too few coefficients.
    """
    _check(coefficients, values, -1.0, 1.0, "behaviour")
    return _fitted(
        "tanh(a x + b)",
        behaviour,
        coefficients,
        values,
        groups,
        seed,
        lambda means: _line(coefficients, means),
    )


def fit_helpfulness(
    coefficients: Float[np.ndarray, " point"],
    values: Float[np.ndarray, "point item"],
    groups: Any = None,
    seed: int = 0,
    floor: float = 0.0,
    height: float = 1.0,
) -> Fit:
    """Fit the bell curve to the mean helpfulness over items; arguments as in `fit_behaviour`."""
    _check(coefficients, values, floor, floor + height, "helpfulness")

    def curve(parameters: np.ndarray, points: np.ndarray) -> np.ndarray:
        return helpfulness(parameters, points, floor, height)

    def start(means: np.ndarray) -> np.ndarray:
        top = np.clip((means.max() - floor) / height, 1e-3, 1 - 1e-3)
        return np.array([1 / top - 1, 1.0 / max(np.abs(coefficients).max(), 1e-9)])

    return _fitted(
        "floor + height / (1 + a + a b^2 x^2 / 2)",
        curve,
        coefficients,
        values,
        groups,
        seed,
        start,
        bounds=(0.0, np.inf),
    )


def useful_range(fit: Fit, kept: float = 0.95) -> float:
    """The largest coefficient, in absolute value, at which the bell keeps a share of its height.

    Args:
        fit: of helpfulness, with floor 0.
        kept: the share of the unsteered helpfulness.

    Returns:
        Infinity where the fitted curve does not fall.

    Example:
        >>> one = lambda value: Estimate(value, value, value, 9)
        >>> round(useful_range(Fit("", {"a": one(0.5), "b": one(2.0)}, 1.0), 0.6), 6)
        1.0
    """
    cost, width = fit.values
    if not 0 < kept < 1:
        raise InputError(f"A share that is kept lies between 0 and 1; {kept} was given.")
    bend = cost * width**2 / 2
    return float(np.sqrt((1 + cost) * (1 / kept - 1) / bend)) if bend > 0 else float("inf")


def _check(
    coefficients: np.ndarray, values: np.ndarray, low: float, high: float, what: str
) -> None:
    if len(np.unique(coefficients)) < 3 or len(coefficients) != len(values):
        raise InputError(
            f"A curve of two parameters needs {what} at three coefficients or more; "
            f"{len(values)} rows for {len(np.unique(coefficients))} coefficients were given."
        )
    # Rounding may carry a probability past its bound.
    if not np.isfinite(values).all() or values.min() < low - 1e-6 or values.max() > high + 1e-6:
        raise InputError(
            f"The {what} of an item lies from {low:g} to {high:g}; values from {values.min():g} to "
            f"{values.max():g} were given."
        )


def _line(coefficients: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Slope and offset of `artanh` of the means: where the search begins."""
    slope, offset = np.polyfit(coefficients, np.arctanh(np.clip(means, -0.999, 0.999)), 1)
    return np.array([slope, offset])


def _fitted(
    form: str,
    curve: Curve,
    coefficients: np.ndarray,
    values: np.ndarray,
    groups: Any,
    seed: int,
    start: Callable[[np.ndarray], np.ndarray],
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Fit:
    def solve(means: np.ndarray, at: np.ndarray) -> np.ndarray:
        found = least_squares(lambda p: curve(p, coefficients) - means, at, bounds=bounds)
        return found.x

    codes = cluster_codes(groups, values.shape[1])
    n_groups = int(codes.max()) + 1
    means = values.mean(axis=1)
    best = solve(means, start(means))
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(_RESAMPLES):
        counts = np.bincount(generator.integers(n_groups, size=n_groups), minlength=n_groups)
        weights = counts[codes].astype(float)
        drawn.append(solve(values @ weights / weights.sum(), best))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    residual = float(((curve(best, coefficients) - means) ** 2).sum())
    total = float(((means - means.mean()) ** 2).sum())
    parameters = {
        name: Estimate(float(value), float(low[i]), float(high[i]), n_groups)
        for i, (name, value) in enumerate(zip(("a", "b"), best, strict=True))
    }
    return Fit(form, parameters, 1 - residual / total if total > 0 else float("nan"))
