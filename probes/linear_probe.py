"""What every probe is: a binary scikit-learn classifier whose score is one line per row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, NamedTuple, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from .arrays import Bools, Floats, Indices


class LinearScore(NamedTuple):
    """The score `x @ weights + offset` of a row `x`, in the features as they were given."""

    weights: Floats
    """Shape `(d,)`."""
    offset: float

    @classmethod
    def through(cls, weights: Floats, point: Floats) -> LinearScore:
        """The score with these weights that is zero at `point`."""
        return cls(weights, -float(weights @ point))


class Problem(NamedTuple):
    """Some of the rows of one `X`, and the label that each of them has in this problem."""

    rows: Indices
    """Indices into `X`; shape `(m,)`."""
    honest: Bools
    """Whether each of these rows is honest; shape `(m,)`."""


class LinearProbe(ClassifierMixin, BaseEstimator, ABC):
    """A binary classifier of activations that is linear in its input.

    The contract, which `tests/probes/test_probe_contracts.py` executes:

    * `classes_[1]`, the greater label (1 of 0/1, True of False/True), is the honest or true one.
      A higher `decision_function` is more honest. Zero is the threshold of `predict`.
    * `coef_` of shape `(1, d)` and `intercept_` of shape `(1,)` are in the space of `X` as given:
      `decision_function(X) == X @ coef_[0] + intercept_[0]`, whatever scaling `fit` used.
    * `uses` names the keyword arguments, beyond `X` and `y`, that `fit` takes. A caller that
      holds groups and polarities passes the ones in it and no others:

          held = {"groups": groups, "polarity": polarity}
          probe.fit(X, y, **{name: held[name] for name in probe.uses})

    * `needs` names those of them without which a fit would mean something else (pairs for CCS).
      scikit-learn's checks fit without; a caller with real data should refuse.
    * NaN, infinity, sparse input, a third class and a single class are refused in `fit`.

    Attributes:
        classes_: The two labels, sorted; shape `(2,)`.
        coef_: Weights towards `classes_[1]`; shape `(1, d)`, float64.
        intercept_: Shape `(1,)`, float64.
        n_features_in_: `d`.
    """

    uses: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[frozenset[str]] = frozenset()

    classes_: NDArray[Any]
    coef_: Floats
    intercept_: Floats
    n_features_in_: int

    @abstractmethod
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn `coef_` and `intercept_` from rows `X` of shape `(n, d)` and labels `y`."""

    def fit_problems(
        self,
        X: Floats,
        problems: Sequence[Problem],
        *,
        groups: NDArray[Any] | None = None,
        polarity: NDArray[Any] | None = None,
    ) -> list[LinearScore]:
        """Fit many problems on rows of the same `X`, such as the folds of a cross-validation.

        The same scores as a fit of a clone on each; probes that can share work between problems
        override it.

        Args:
            X: Rows, shape `(n, d)`.
            problems: Rows and labels of each.
            groups: The group of every row of `X`; ignored unless in `uses`.
            polarity: The polarity of every row of `X`; ignored unless in `uses`.

        Returns:
            One score a problem, in their order.

        Raises:
            ValueError: for a problem that `fit` would refuse.
        """
        return fit_each(self, X, problems, groups=groups, polarity=polarity)

    def decision_function(self, X: ArrayLike) -> Floats:
        """Score rows; higher is more honest.

        Args:
            X: Rows, shape `(n, d)`.

        Returns:
            `X @ coef_[0] + intercept_[0]`, shape `(n,)`.

        Raises:
            NotFittedError: before `fit`.
            ValueError: for NaN, or another number of features than in `fit`.
        """
        rows = validated_rows(self, X, dtype=np.float64)
        return rows @ self.coef_[0] + self.intercept_[0]

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Label rows by the sign of their score; a score of exactly zero gives `classes_[0]`."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(np.intp)]

    def _training_data(self, X: ArrayLike, y: ArrayLike) -> tuple[Floats, Bools]:
        """Validate the arguments of `fit`; rows in float64, and which of them are honest."""
        rows, labels = validated_training_data(self, X, y)
        classes = np.unique(labels)
        if len(classes) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is multiclass: "
                f"y holds {len(classes)} classes ({_some(classes)}); relabel y as honest (1) "
                "and dishonest (0)."
            )
        if len(classes) < 2:
            raise ValueError(
                f"y holds one class ({_some(classes)}); a probe needs rows of two classes: "
                "add rows of the other label."
            )
        self.classes_ = classes
        return rows, labels == classes[1]

    def _set_score(self, score: LinearScore) -> None:
        self.coef_ = score.weights[np.newaxis, :].astype(np.float64)
        self.intercept_ = np.array([score.offset], dtype=np.float64)

    def __sklearn_tags__(self) -> Tags:
        """Declare to scikit-learn that there are two classes."""
        tags = super().__sklearn_tags__()
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_class = False
        return tags


def fit_each(
    estimator: Any,
    X: Floats,
    problems: Sequence[Problem],
    *,
    groups: NDArray[Any] | None = None,
    polarity: NDArray[Any] | None = None,
) -> list[LinearScore]:
    """Fit a clone on each problem; of groups and polarity it gets those that it `uses`."""
    held = {"groups": groups, "polarity": polarity}
    named = {name: held[name] for name in getattr(estimator, "uses", ())}
    found = []
    for rows, honest in problems:
        parts = {name: None if values is None else values[rows] for name, values in named.items()}
        fitted: Any = clone(estimator)
        fitted.fit(X[rows], honest.astype(np.intp), **parts)
        found.append(LinearScore(fitted.coef_[0], float(fitted.intercept_[0])))
    return found


def validated_training_data(
    estimator: BaseEstimator, X: ArrayLike, y: ArrayLike
) -> tuple[Floats, NDArray[Any]]:
    """Rows in float64 and discrete labels, and `n_features_in_` set on the estimator.

    Raises:
        ValueError: for NaN, infinity, unequal lengths or continuous labels.
    """
    # scikit-learn's signature says `str`, from its default; this is the one door to it.
    rows, labels = validate_data(estimator, cast(Any, X), cast(Any, y), dtype=np.float64)
    check_classification_targets(labels)
    return cast(Floats, rows), cast(NDArray[Any], labels)


def validated_rows(estimator: BaseEstimator, X: ArrayLike, dtype: Any) -> NDArray[Any]:
    """Rows for a fitted estimator, in `dtype` (or one of several).

    Raises:
        NotFittedError: before `fit`.
        ValueError: for NaN, infinity, or another number of features than in `fit`.
    """
    check_is_fitted(estimator)
    rows = validate_data(estimator, cast(Any, X), dtype=dtype, reset=False)
    return cast(NDArray[Any], rows)


def class_means(rows: Floats, honest: Bools) -> tuple[Floats, Floats]:
    """Mean of the honest rows and mean of the dishonest rows, each of shape `(d,)`."""
    return rows[honest].mean(axis=0), rows[~honest].mean(axis=0)


def positive(name: str, value: float) -> float:
    """Return a parameter that has to be greater than zero.

    Raises:
        ValueError: if it is zero, negative or NaN.
    """
    if not value > 0:
        raise ValueError(f"{name}={value!r}; it has to be a number greater than 0.")
    return value


def whole(name: str, value: int) -> int:
    """Return a parameter that has to be an integer of at least 1.

    Raises:
        ValueError: if it is anything else.
    """
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name}={value!r}; it has to be an integer of at least 1.")
    return int(value)


def _some(classes: NDArray[Any]) -> str:
    shown = ", ".join(repr(value) for value in classes[:3].tolist())
    return f"{shown}, ..." if len(classes) > 3 else shown
