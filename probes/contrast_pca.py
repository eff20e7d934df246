"""The main axis of the differences within contrast pairs (linear artificial tomography)."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from .arrays import Floats
from .contrasts import group_codes, group_differences
from .linear_probe import LinearProbe, LinearScore, class_means


class ContrastPCA(LinearProbe):
    """First principal component of sign-randomised honest-minus-dishonest differences.

    Subtracting the mean of the differences, as PCA does, would remove the very shift that all
    pairs share; the method therefore flips the sign of a random half of them. We take the
    expectation over those random signs instead of one draw: the expected covariance of the
    flipped differences is, up to a factor, their second moment without centring, whose leading
    eigenvector is `coef_`, of unit length. So there is no seed, and neither the order of the
    pairs nor the order within them matters.

    The axis is turned towards the honest rows of the training data, by the difference of the
    class means along it. The score is zero half way between the class means.

    Source: RepE (arXiv 2310.01405). Its code draws signs by shuffling every pair, turns the axis
    by the majority of training pairs and centres scores on the mean of the *differences*.

    Attributes:
        explained_: Share of the second moment of the differences along `coef_`, in (0, 1].

    Example:
        >>> from probes import ContrastPCA
        >>> X = [[1.0, 5.0], [0.0, 5.0], [3.0, -7.0], [2.0, -7.0]]
        >>> probe = ContrastPCA().fit(X, [1, 0, 1, 0], groups=["a", "a", "b", "b"])
        >>> probe.coef_.round(6) + 0.0
        array([[1., 0.]])
    """

    uses: ClassVar[frozenset[str]] = frozenset({"groups"})

    explained_: float

    def fit(self, X: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None) -> Self:
        """Learn the axis from rows `X` of shape `(n, d)` and labels `y`.

        Args:
            X: Rows.
            y: Labels; `classes_[1]` is honest.
            groups: One name per row. A group gives one difference, of its mean honest and its
                mean dishonest row, and needs both labels. None contrasts every honest row with
                every dishonest row, which leaves in the differences all that pairs would cancel.

        Raises:
            ValueError: for a group without both labels, or unless `y` holds exactly two classes
                and `X` is finite.
        """
        rows, honest = self._training_data(X, y)
        honest_mean, dishonest_mean = class_means(rows, honest)
        shift = honest_mean - dishonest_mean
        if groups is None:
            # sum_ij (a_i - b_j)(a_i - b_j)^T / nm = cov(a) + cov(b) + shift shift^T
            sides = (rows[honest] - honest_mean, rows[~honest] - dishonest_mean)
            scaled = [side / np.sqrt(len(side)) for side in sides]
            differences = np.vstack([*scaled, shift])
        else:
            differences = group_differences(rows, honest, group_codes(groups, honest))
        axis, self.explained_ = main_axis(differences)
        direction = -axis if axis @ shift < 0 else axis
        self._set_score(LinearScore.through(direction, (honest_mean + dishonest_mean) / 2))
        return self


def main_axis(rows: Floats) -> tuple[Floats, float]:
    """Leading eigenvector of `rows.T @ rows`, of unit length, and its share of the trace.

    The sign is arbitrary. Rows that are all zero have no axis: zeros and the share 0.

    Args:
        rows: Shape `(n, d)`, not centred.
    """
    count, features = rows.shape
    gram = rows @ rows.T if count < features else rows.T @ rows
    total = float(np.trace(gram))
    if total == 0.0:
        return np.zeros(features), 0.0
    last = len(gram) - 1
    values, vectors = linalg.eigh(gram, subset_by_index=[last, last], check_finite=False)
    axis = rows.T @ vectors[:, 0] if count < features else vectors[:, 0]
    return axis / np.linalg.norm(axis), float(values[0]) / total
