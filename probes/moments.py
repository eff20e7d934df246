"""Counts, means and scatter of labelled rows, gathered part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Floats, Indices
from .standardisation import CONSTANT

# A feature may lose this share of its scatter to a subtraction before rounding is taken to have
# eaten too much of the rest: what remains is then exact to 1e-16 / SURVIVING of itself.
SURVIVING = 1e-4


@dataclass(frozen=True)
class Moments:
    """What mean difference, LDA, LEACE and PCA need to know of rows and labels, and no more.

    Rows are centred on their own class means before they are squared, and parts are put together
    by the distances between their means (Chan, Golub and LeVeque, 1979), so a large offset that
    all rows share costs no digits. Of 10 million rows in 4096 features, 130 MB remain.

    The order and the size of the parts change the values by rounding only. Parts may have been
    gathered in different processes, and may lack classes.

    Example:
        >>> import numpy as np
        >>> from probes.moments import Moments
        >>> X, y = np.array([[0.0], [2.0], [7.0], [9.0]]), np.array([0, 0, 1, 1])
        >>> whole = Moments.of(X[:3], y[:3]).merge(Moments.of(X[3:], y[3:]))
        >>> whole.counts, whole.means, whole.scatter
        (array([2, 2]), array([[1.],
               [8.]]), array([[4.]]))
    """

    classes: NDArray[Any]
    """The labels, sorted; shape `(k,)`."""
    counts: Indices
    """Rows of each class, which may be none; shape `(k,)`."""
    means: Floats
    """Mean of each class, shape `(k, d)`; zeros for a class without rows."""
    scatter: Floats | None
    """Sum over all rows of the outer product of their difference from the mean of their class,
    shape `(d, d)`; None if it was not asked for."""
    magnitude: Floats
    """Largest absolute value of every feature; shape `(d,)`."""

    @classmethod
    def of(
        cls,
        rows: Floats,
        labels: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        scatter: bool = True,
    ) -> Moments:
        """Gather the moments of finite float64 rows.

        Args:
            rows: Shape `(n, d)`; at least one.
            labels: One per row, of two classes or more; None puts all rows into one class.
            classes: Labels that there are, if `labels` may lack some.
            scatter: Whether to form the `d` by `d` matrix.

        Raises:
            ValueError: for a label that is not in `classes`.
        """
        values = np.zeros(len(rows), dtype=np.intp) if labels is None else np.asarray(labels)
        kinds = np.unique(values if classes is None else np.asarray(classes))
        codes = label_codes(values, kinds)
        counts = np.bincount(codes, minlength=len(kinds))
        # Centring twice: the second means are of small numbers, and lose nothing.
        origin = rows.mean(axis=0)
        centred = rows - origin
        indicators = np.eye(len(kinds))[codes]
        shifts = (indicators.T @ centred) / np.maximum(counts, 1)[:, np.newaxis]
        matrix = None
        if scatter:
            centred -= shifts[codes]
            matrix = centred.T @ centred
        means = np.where(counts[:, np.newaxis] > 0, origin + shifts, 0.0)
        return cls(kinds, counts, means, matrix, np.abs(rows).max(axis=0))

    @property
    def count(self) -> int:
        """Rows of all classes together."""
        return int(self.counts.sum())

    @property
    def mean(self) -> Floats:
        """Mean of all rows, shape `(d,)`."""
        largest = self.means[np.argmax(self.counts)]
        return largest + self.counts @ self._shifts(largest) / self.count

    def within_scatter(self) -> Floats:
        """`scatter`.

        Raises:
            ValueError: if it was not gathered.
        """
        if self.scatter is None:
            raise ValueError("These moments hold no scatter; gather them with scatter=True.")
        return self.scatter

    def total_scatter(self) -> Floats:
        """Scatter of all rows around the mean of all rows, shape `(d, d)`.

        Raises:
            ValueError: if the scatter was not gathered.
        """
        shifts = self._shifts(self.mean)
        return self.within_scatter() + (shifts.T * self.counts) @ shifts

    def merge(self, other: Moments) -> Moments:
        """The moments of the rows of both.

        Raises:
            ValueError: for another number of features, or if one has a scatter and one has not.
        """
        self._check_fits(other)
        classes = np.union1d(self.classes, other.classes)
        one, two = self._spread_over(classes), other._spread_over(classes)
        counts = one.counts + two.counts
        share = two.counts / np.maximum(counts, 1)
        apart = two.means - one.means
        scatter = None
        if one.scatter is not None and two.scatter is not None:
            scatter = one.scatter + two.scatter
            scatter += (apart.T * (one.counts * share)) @ apart
        # From the larger side, so that a side without rows adds nothing to the other's mean.
        forward, backward = share[:, np.newaxis], (1 - share)[:, np.newaxis]
        means = np.where(forward < 0.5, one.means + forward * apart, two.means - backward * apart)
        magnitude = np.maximum(one.magnitude, two.magnitude)
        return Moments(classes, counts, means, scatter, magnitude)

    def without(self, part: Moments) -> Moments | None:
        """The moments of these rows less those of `part`, which has to be some of them.

        `magnitude` stays that of all rows, an upper bound.

        Returns:
            None if so little of the scatter of a feature would remain that rounding might be a
            large part of it (a feature that varies in `part` and nowhere else, say): then gather
            the moments of the remaining rows from the rows.

        Raises:
            ValueError: if `part` cannot be some of these rows, or is all of them.
        """
        self._check_fits(part)
        known = bool(np.isin(part.classes, self.classes).all())
        part = part._spread_over(self.classes) if known else part
        counts = self.counts - part.counts if known else self.counts
        if not known or (counts < 0).any() or not counts.any():
            raise ValueError(
                f"The part has {part.counts.tolist()} rows of classes {part.classes.tolist()}, "
                f"the whole {self.counts.tolist()} of {self.classes.tolist()}; take out some "
                "rows of the whole, and leave at least one."
            )
        share = part.counts / np.maximum(counts, 1)
        apart = part.means - self.means
        means = np.where(counts[:, np.newaxis] > 0, self.means - share[:, np.newaxis] * apart, 0.0)
        scatter = None
        if self.scatter is not None and part.scatter is not None:
            weights = np.where(counts > 0, self.counts * share, 0.0)
            scatter = self.reduced(part.scatter + (apart.T * weights) @ apart)
            if scatter is None:
                return None
        return Moments(self.classes, counts, means, scatter, self.magnitude)

    def reduced(self, amount: Floats) -> Floats | None:
        """The scatter less a matrix of shape `(d, d)`, or None if too little of it would remain."""
        scatter = self.within_scatter()
        remaining = scatter - amount
        before = np.diagonal(scatter)
        constant = before <= self.count * (CONSTANT * self.magnitude) ** 2
        survives = constant | (np.diagonal(remaining) >= SURVIVING * before)
        return remaining if survives.all() else None

    def _shifts(self, origin: Floats) -> Floats:
        """Class means less `origin`, zero for a class without rows; shape `(k, d)`."""
        return np.where(self.counts[:, np.newaxis] > 0, self.means - origin, 0.0)

    def _check_fits(self, other: Moments) -> None:
        if len(self.magnitude) != len(other.magnitude):
            raise ValueError(
                f"One part has {len(self.magnitude)} features, the other {len(other.magnitude)}; "
                "only rows of the same features go together."
            )
        if (self.scatter is None) != (other.scatter is None):
            raise ValueError("One part holds a scatter and the other does not; gather both alike.")

    def _spread_over(self, classes: NDArray[Any]) -> Moments:
        """The same among more classes."""
        if len(classes) == len(self.classes):
            return self
        places = np.searchsorted(classes, self.classes)
        counts = np.zeros(len(classes), dtype=self.counts.dtype)
        means = np.zeros((len(classes), self.means.shape[1]))
        counts[places], means[places] = self.counts, self.means
        return Moments(classes, counts, means, self.scatter, self.magnitude)


def label_codes(labels: NDArray[Any], classes: NDArray[Any]) -> Indices:
    """The place of each label among sorted classes.

    Raises:
        ValueError: for a label that is not one of them.
    """
    codes = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    strange = classes[codes] != labels
    if strange.any():
        raise ValueError(
            f"y holds {labels[strange].tolist()[0]!r}, which is not in classes "
            f"({classes.tolist()}); list every label in classes."
        )
    return codes
