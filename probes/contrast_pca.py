"""The main axis of the differences within contrast pairs (linear artificial tomography)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from .arrays import Floats, Indices
from .contrasts import common_contrasts, group_codes, group_differences
from .linear_probe import LinearScore, Problem, class_means
from .moments import Moments
from .row_subsets import class_means_of, subset_moments
from .streaming import StreamingProbe, from_moments, where_streamable


class ContrastPCA(StreamingProbe):
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
    learned: ClassVar[tuple[str, ...]] = ("coef_", "intercept_", "explained_")
    with_scatter: ClassVar[bool] = False

    explained_: float = from_moments()
    contrasts_: dict[Any, Moments]
    """After `partial_fit`: moments of the differences, or of each class if there are no groups."""
    groups_: set[Any] | None
    """After `partial_fit`: the groups of all chunks; None if there are none."""

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
        self._forget()
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
        self._set_score(_towards(axis, honest_mean, dishonest_mean))
        return self

    @where_streamable
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Learn from one more chunk of rows; solve when `coef_` or a score is next asked for.

            for part in chunks:
                probe.partial_fit(part.at(site), part.labels, groups=part.groups)

        Args:
            X: Rows of this chunk, shape `(n, d)`; a few hundred or more keep the overhead small.
            y: Their labels.
            classes: Both labels. Not needed, unless a third one is to be refused at once.
            groups: One name per row, all rows of a group in one chunk; or None for every chunk.

        Raises:
            ValueError: for a group without both labels or that was in an earlier chunk, for
                groups in some chunks only, for a probe that was fitted by `fit`, a third label,
                another number of features than before, or if `X` is not finite. A chunk that is
                refused leaves the probe as it was.
        """
        rows, labels, known = self._chunk(X, y, classes)
        means = Moments.of(rows, labels, known, scatter=False)
        first = not self._streams()
        if not first and (groups is None) != (self.groups_ is None):
            raise ValueError(
                "Some chunks have groups and some have none; give groups with every chunk, or "
                "with none."
            )
        if groups is None:
            parts = {label: Moments.of(rows[labels == label]) for label in np.unique(labels)}
            names = None
        else:
            honest = labels == known[-1]
            differences = group_differences(rows, honest, group_codes(groups, honest))
            parts = {None: Moments.of(differences)}
            names = set(np.asarray(groups).tolist())
            again = set() if first else names & cast(set[Any], self.groups_)
            if again:
                raise ValueError(
                    f"{len(again)} groups were in an earlier chunk (one: {next(iter(again))!r}); "
                    "a group gives one difference of its means: keep its rows in one chunk."
                )
        self._add(means)
        held: dict[Any, Moments] = {} if first else self.contrasts_
        for key, part in parts.items():
            held[key] = held[key].merge(part) if key in held else part
        self.contrasts_ = held
        if first or names is None:
            self.groups_ = names
        else:
            cast(set[Any], self.groups_).update(names)
        return self

    def _score(self, moments: Moments) -> LinearScore:
        dishonest_mean, honest_mean = moments.means
        shift = honest_mean - dishonest_mean
        if self.groups_ is None:
            second = np.outer(shift, shift)
            for side in self.contrasts_.values():
                second += side.within_scatter() / side.count
        else:
            second = _second_moment(self.contrasts_[None])
        axis, self.explained_ = _leading(second)
        return _towards(axis, honest_mean, dishonest_mean)

    def fit_problems(
        self,
        X: Floats,
        problems: Sequence[Problem],
        *,
        groups: NDArray[Any] | None = None,
        polarity: NDArray[Any] | None = None,
    ) -> list[LinearScore]:
        """Fit many problems from one difference per group and the products of those differences.

        Exchanging the labels of a group changes the sign of its difference, which leaves the axis
        as it is: problems with the same groups have one axis. Problems that split a group, or
        relabel a part of one, are fitted one by one, and so are all without groups.
        """
        rows = np.asarray(X, dtype=np.float64)
        common = None
        if groups is not None and np.isfinite(rows).all():
            common = common_contrasts(rows, problems, groups)
        if common is None:
            return super().fit_problems(X, problems, groups=groups, polarity=polarity)
        shared = {place: chosen for place, chosen in enumerate(common.chosen) if chosen is not None}
        origin = rows.mean(axis=0)
        means = class_means_of(rows - origin, [problems[place] for place in shared])
        axes = _axes_of_subsets(common.differences, list(shared.values()))
        found = {
            place: _towards(axis, origin + honest_mean, origin + dishonest_mean)
            for place, axis, honest_mean, dishonest_mean in zip(shared, axes, *means, strict=True)
        }
        alone = [place for place in range(len(problems)) if place not in found]
        others = [problems[place] for place in alone]
        fitted = super().fit_problems(X, others, groups=groups, polarity=polarity)
        found.update(zip(alone, fitted, strict=True))
        return [found[place] for place in range(len(problems))]


def _towards(axis: Floats, honest_mean: Floats, dishonest_mean: Floats) -> LinearScore:
    """The score along the axis, turned towards the honest mean and zero half way."""
    direction = -axis if axis @ (honest_mean - dishonest_mean) < 0 else axis
    return LinearScore.through(direction, (honest_mean + dishonest_mean) / 2)


def _axes_of_subsets(rows: Floats, subsets: Sequence[Indices]) -> list[Floats]:
    """Main axis of each subset of the same rows, given by sorted indices.

    Subsets of fewer rows than features share one matrix of products of rows, unless the subsets
    are so small among the rows that most of it would not be needed; the others take their second
    moment from a larger subset.
    """
    known: dict[bytes, Floats] = {}
    distinct = list({subset.tobytes(): subset for subset in subsets}.values())
    wide = [subset for subset in distinct if len(subset) < rows.shape[1]]
    tall = [subset for subset in distinct if len(subset) >= rows.shape[1]]
    gram = rows @ rows.T if wide and len(rows) <= 4 * rows.shape[1] else None
    for subset in wide:
        own = None if gram is None else gram[np.ix_(subset, subset)]
        known[subset.tobytes()] = main_axis(rows[subset], own)[0]
    for place, moments in subset_moments(rows, tall):
        known[tall[place].tobytes()] = _leading(_second_moment(moments))[0]
    return [known[subset.tobytes()] for subset in subsets]


def _second_moment(moments: Moments) -> Floats:
    """Sum of the outer products of rows with themselves, shape `(d, d)`."""
    mean = moments.mean
    return moments.total_scatter() + moments.count * np.outer(mean, mean)


def main_axis(rows: Floats, gram: Floats | None = None) -> tuple[Floats, float]:
    """Leading eigenvector of `rows.T @ rows`, of unit length, and its share of the trace.

    The sign is arbitrary. Rows that are all zero have no axis: zeros and the share 0.

    Args:
        rows: Shape `(n, d)`, not centred.
        gram: `rows @ rows.T` if it is known, for fewer rows than features.
    """
    count, features = rows.shape
    if count >= features:
        return _leading(rows.T @ rows)
    vector, share = _leading(rows @ rows.T if gram is None else gram)
    axis = rows.T @ vector
    return axis / (np.linalg.norm(axis) or 1.0), share


def _leading(gram: Floats) -> tuple[Floats, float]:
    """Unit eigenvector of the largest eigenvalue, and its share; zeros for a matrix of zeros."""
    total = float(np.trace(gram))
    if total == 0.0:
        return np.zeros(len(gram)), 0.0
    last = len(gram) - 1
    values, vectors = linalg.eigh(gram, subset_by_index=[last, last], check_finite=False)
    return vectors[:, 0], float(values[0]) / total
