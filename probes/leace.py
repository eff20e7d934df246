"""Erasure of everything that a linear predictor could know about a label."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags

from .arrays import Floats
from .covariance import (
    NEEDS_ROWS,
    CovarianceKind,
    check_kind,
    inverse_times,
    scatter_inverse_times,
)
from .linear_probe import validated_rows, validated_training_data
from .moments import Moments
from .streaming import NotStreamable, Streaming, from_moments, where_streamable

# Squared canonical correlations between rows and labels below this count as rounding error.
NO_CORRELATION = 1e-12


class LEACE(OneToOneFeatureMixin, TransformerMixin, Streaming):
    """The smallest affine change of the rows after which no linear probe finds the label.

    `transform` maps `x` to `x - removed_.T @ readout_ @ (x - mean_)`. On the training rows:

    * all classes have the same mean afterwards, and therefore (Belrose et al., theorem 3.1) no
      linear predictor under any convex loss does better than the best constant;
    * the change has rank at most the number of classes less one, is idempotent and leaves the
      mean of the rows where it was;
    * with `covariance="pinv"` no other affine map that erases moves the rows less, in the mean
      square (in any inner product), and erasing commutes with invertible affine maps of the rows.

    The guarantee is about linear predictors and about the rows it was fitted on; a nonlinear one
    may still find the label, and new rows keep what the training rows did not show.

    Source: LEACE (arXiv 2306.03819). Instead of the paper's `W^+ U U^T W` with the whitening
    `W = S^-1/2` we use the equal `A (A^T S^+ A)^+ A^T S^+` with `A` the covariance of rows and
    labels: no square root, and only `d` by `classes` arrays are kept. The authors' code also
    drops weak directions (singular values under 0.01) and mixes with an orthogonal projection
    where the variance would grow; we do neither, so that the first statement above is exact.

    Args:
        covariance: `"ledoit_wolf"` (default), `"oas"` or `"pinv"`, of all rows together, as in
            `LDA`. The statements but the last hold for all three.

    Attributes:
        mean_: Mean of the training rows, shape `(d,)`.
        removed_: Directions in which rows are moved, shape `(r, d)`, `r <= classes - 1`.
        readout_: Directions along which rows are read to know how far, shape `(r, d)`;
            `readout_ @ removed_.T` is the identity.
        classes_: The labels, sorted.
        n_features_in_: `d`.

    Example:
        >>> import numpy as np
        >>> from probes import LEACE
        >>> X = np.array([[0.0, 0.0], [0.0, 2.0], [4.0, 1.0], [4.0, 3.0]])
        >>> LEACE(covariance="pinv").fit(X, [0, 0, 1, 1]).transform(X).round(6)
        array([[2. , 0.5],
               [2. , 2.5],
               [2. , 0.5],
               [2. , 2.5]])
    """

    learned: ClassVar[tuple[str, ...]] = ("mean_", "removed_", "readout_")

    mean_: Floats = from_moments()
    removed_: Floats = from_moments()
    readout_: Floats = from_moments()
    classes_: NDArray[Any]
    n_features_in_: int

    def __init__(self, covariance: CovarianceKind = "ledoit_wolf") -> None:
        self.covariance: CovarianceKind = covariance

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn what to remove from rows `X` of shape `(n, d)` and labels `y` (two or more).

        Raises:
            ValueError: for an unknown `covariance`, a single class, continuous labels, or if `X`
                is not finite.
        """
        self._forget()
        rows, labels = validated_training_data(self, X, y)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds one class ({self.classes_[0]!r}); erasing needs rows of two or more: "
                "there is nothing to erase otherwise."
            )
        mean = rows.mean(axis=0)
        centred = rows - mean
        indicators = np.eye(len(self.classes_))[codes]
        covariances = centred.T @ (indicators - indicators.mean(axis=0)) / len(rows)
        magnitude = np.abs(rows).max(axis=0)
        solved = inverse_times(centred, covariances, magnitude, self.covariance)
        self._set_eraser(mean, covariances, solved)
        return self

    @where_streamable
    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Learn from one more chunk of rows; solve when `transform` or a result is asked for.

            for part in chunks:
                eraser.partial_fit(part.at(site), part.labels)

        Args:
            X: Rows of this chunk, shape `(n, d)`; a few hundred or more keep the overhead small.
            y: Their labels; one class is enough.
            classes: Labels that there are, `y` of this chunk included; not needed.

        Raises:
            ValueError: for `covariance="ledoit_wolf"`, for an eraser that was fitted by `fit`, a
                label that is not in `classes`, another number of features than before, or if `X`
                is not finite. A chunk that is refused leaves the eraser as it was.
        """
        rows, labels, known = self._chunk(X, y, classes)
        self._add(Moments.of(rows, labels, known))
        return self

    def _check_parameters(self) -> None:
        if self.covariance == "ledoit_wolf":
            raise NotStreamable(NEEDS_ROWS)
        check_kind(self.covariance)

    def _solve(self, moments: Moments) -> None:
        mean, count = moments.mean, moments.count
        covariances = ((moments.means - mean) * moments.counts[:, np.newaxis] / count).T
        solved = scatter_inverse_times(
            moments.total_scatter(), count, covariances, moments.magnitude, self.covariance
        )
        self._set_eraser(mean, covariances, solved)

    def _set_eraser(self, mean: Floats, covariances: Floats, solved: Floats) -> None:
        """Set what is removed.

        Args:
            mean: Shape `(d,)`.
            covariances: Of rows and label indicators, shape `(d, classes)`.
            solved: The inverse of the covariance of the rows times `covariances`.
        """
        self.mean_ = mean
        explained = covariances.T @ solved
        values, axes = np.linalg.eigh((explained + explained.T) / 2)
        kept = values > NO_CORRELATION
        mixing = axes[:, kept] / np.sqrt(values[kept])
        self.removed_ = (covariances @ mixing).T
        self.readout_ = (solved @ mixing).T

    def transform(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Erase the label from rows.

        Args:
            X: Rows, shape `(n, d)`.

        Returns:
            Rows of the same shape; float32 if `X` is, else float64. Computed in float64.

        Raises:
            NotFittedError: before `fit`.
            ValueError: for NaN, or another number of features than in `fit`.
        """
        rows = validated_rows(self, X, dtype=[np.float64, np.float32])
        exact = rows.astype(np.float64, copy=False)
        erased = exact - ((exact - self.mean_) @ self.readout_.T) @ self.removed_
        return erased.astype(rows.dtype, copy=False)

    def __sklearn_tags__(self) -> Tags:
        """Declare to scikit-learn that labels are needed and float32 is preserved."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
