"""Training of truth and polarity directions: truth that survives negation."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Bools, Floats
from .contrasts import polarity_codes
from .linear_probe import LinearProbe, LinearScore, positive
from .logistic_regression import logistic_score, probabilities


class TTPD(LinearProbe):
    """Score along the truth direction that affirmed and negated rows share.

    Rows are taken as `truth * t_G + truth * polarity * t_P` around their mean, `truth` and
    `polarity` being +1 or -1; least squares gives the general direction `t_G` and the one that
    flips with polarity, `t_P`. A logistic regression of polarity gives `d_p`. A second logistic
    regression, on the two features `x t_G` and `x d_p`, is the classifier; it is linear in `x`
    and folded into `coef_`. A probe that ignores polarity learns `t_G + t_P` from affirmed rows
    and fails, or inverts, on negated ones.

    Source: *Truth is Universal* (arXiv 2407.12831). Where we differ:

    * The paper centres every topic on its own mean, which needs topics at training. Here an
      intercept and a column for polarity stand in the least squares, which are equal to centring
      all rows once when the four kinds of rows are equally many, and keep polarity out of `t_G`
      when they are not.
    * Both regressions have the L2 penalty of `LogisticRegression`, on standardised features. The
      paper has none, and then no finite optimum on separable rows, which activations mostly are.

    Args:
        C: Inverse strength of the penalty in both logistic regressions.

    Attributes:
        truth_direction_: `t_G`, shape `(d,)`.
        flipping_direction_: `t_P`, shape `(d,)`; None without both polarities.
        polarity_direction_: `d_p`, shape `(d,)`; None without both polarities.

    Example:
        >>> import numpy as np
        >>> from probes import TTPD
        >>> truth, polarity = np.array([1, -1, 1, -1]), np.array([1, 1, -1, -1])
        >>> X = np.column_stack([truth, truth * polarity, 5 * polarity])
        >>> probe = TTPD().fit(X, truth > 0, polarity=polarity)
        >>> probe.truth_direction_.round(6) + 0.0, probe.flipping_direction_.round(6) + 0.0
        (array([1., 0., 0.]), array([0., 1., 0.]))
    """

    uses: ClassVar[frozenset[str]] = frozenset({"polarity"})

    truth_direction_: Floats
    flipping_direction_: Floats | None
    polarity_direction_: Floats | None

    def __init__(self, C: float = 0.1) -> None:
        self.C = C

    def fit(self, X: ArrayLike, y: ArrayLike, *, polarity: ArrayLike | None = None) -> Self:
        """Learn the directions from rows `X` of shape `(n, d)` and labels `y`.

        Args:
            X: Rows.
            y: Labels; `classes_[1]` is true.
            polarity: +1 affirmed, -1 negated, 0 neither (used for `t_G` and the classifier only);
                each with both labels. None, or values that do not include both +1 and -1: only
                `t_G` is fitted and the classifier has one feature, as in the paper.

        Raises:
            ValueError: for a polarity with one label, `C <= 0`, or unless `y` holds exactly two
                classes and `X` is finite.

        Warns:
            ConvergenceWarning: if a logistic regression did not reach its optimum.
        """
        rows, honest = self._training_data(X, y)
        strength = positive("C", self.C)
        signs = np.zeros(len(rows), dtype=int)
        if polarity is not None:
            signs = polarity_codes(polarity, honest)
        if not {-1, 1} <= set(signs.tolist()):
            signs = np.zeros(len(rows), dtype=int)
        self.truth_direction_, self.flipping_direction_ = truth_directions(rows, honest, signs)
        directions = [self.truth_direction_]
        self.polarity_direction_ = None
        if signs.any():
            stated = signs != 0
            self.polarity_direction_ = logistic_score(
                rows[stated], signs[stated] > 0, strength
            ).weights
            directions.append(self.polarity_direction_)
        plane = np.stack(directions)
        second = logistic_score(rows @ plane.T, honest, strength)
        self._set_score(LinearScore(second.weights @ plane, second.offset))
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Probabilities of `classes_`, shape `(n, 2)`."""
        return probabilities(self.decision_function(X))


def truth_directions(
    rows: Floats, honest: Bools, signs: NDArray[np.int_]
) -> tuple[Floats, Floats | None]:
    """Least squares for the direction of truth and the direction that flips with polarity.

    Args:
        rows: Shape `(n, d)`.
        honest: Which rows are true.
        signs: Polarities; all 0 if there are none, else with +1 and -1 among them.

    Returns:
        `t_G` and `t_P`, each of shape `(d,)`; `t_P` is None without polarities.
    """
    truth = np.where(honest, 1.0, -1.0)
    columns = [truth, np.ones_like(truth)]
    if signs.any():
        columns += [truth * signs, signs.astype(float)]
    solution = np.linalg.lstsq(np.column_stack(columns), rows - rows.mean(axis=0), rcond=None)[0]
    return solution[0], solution[2] if signs.any() else None
