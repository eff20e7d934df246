"""Fitting in parts: estimators that learn all they need from moments of one chunk after another."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import update_wrapper
from types import MethodType
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from .arrays import Floats
from .linear_probe import LinearProbe, LinearScore
from .moments import Moments, label_codes

Method = TypeVar("Method", bound=Callable[..., Any])


class NotStreamable(ValueError, AttributeError):
    """The parameters of this estimator, or a `fit` before, do not allow a fit in parts.

    An `AttributeError` too: `hasattr(estimator, "partial_fit")` is then false, which is how
    scikit-learn asks.
    """


class Streaming(BaseEstimator):
    """An estimator with `partial_fit`, which costs one pass over a chunk and solves nothing.

    What a fit sets is computed from the moments when it is first read after a chunk, so a stream
    of a thousand chunks is solved once. The result is that of `fit` on all rows, to rounding,
    however the rows are cut into chunks.
    """

    learned: ClassVar[tuple[str, ...]]
    """The attributes that `_solve` sets; each is declared as `= from_moments()`."""
    max_classes: ClassVar[int | None] = None

    moments_: Moments
    """Moments of all chunks so far; only after `partial_fit`."""

    @abstractmethod
    def _solve(self, moments: Moments) -> None:
        """Set the attributes in `learned`."""

    def _check_parameters(self) -> None:
        """Raise `NotStreamable` unless the parameters allow a fit in parts."""

    def _check_streamable(self) -> None:
        """Raise `NotStreamable` where `partial_fit` could not do what it says."""
        self._check_parameters()
        if not self._streams() and self.learned[0] in vars(self):
            raise NotStreamable(
                f"This {type(self).__name__} was fitted with fit, which keeps no moments to add "
                "to; give all rows to partial_fit, on a new estimator (sklearn.base.clone)."
            )

    def _chunk(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None
    ) -> tuple[Floats, NDArray[Any], NDArray[Any]]:
        """Validate a chunk: rows in float64, their labels, and all labels known by now."""
        first = not self._streams()
        # scikit-learn's signature says `str`, from its default.
        rows, labels = validate_data(
            self, cast(Any, X), cast(Any, y), dtype=np.float64, reset=first
        )
        check_classification_targets(labels)
        given = np.unique(labels if classes is None else np.asarray(classes))
        label_codes(cast(NDArray[Any], labels), given)  # refuses those that are not in classes
        known = given if first else np.union1d(self.classes_, given)
        if self.max_classes is not None and len(known) > self.max_classes:
            raise ValueError(
                "Only binary classification is supported. The type of the target is multiclass: "
                f"the chunks so far hold {len(known)} classes ({known.tolist()[:4]}); relabel y "
                "as honest (1) and dishonest (0)."
            )
        return cast(Floats, rows), cast(NDArray[Any], labels), known

    def _add(self, moments: Moments) -> None:
        self.moments_ = self.moments_.merge(moments) if self._streams() else moments
        self.classes_ = self.moments_.classes
        for name in self.learned:
            vars(self).pop(name, None)

    def _forget(self) -> None:
        """Drop the chunks seen, for a `fit` on rows as a whole."""
        vars(self).pop("moments_", None)

    def _streams(self) -> bool:
        return "moments_" in vars(self)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is anything to solve; scikit-learn asks before a prediction."""
        return self._streams() or self.learned[0] in vars(self)


class _FromMoments:
    """An attribute that `fit` sets, and that is solved for when it is read after `partial_fit`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, estimator: Any, owner: type | None = None) -> Any:
        if estimator is None:
            return self
        if not estimator._streams():
            raise NotFittedError(
                f"This {type(estimator).__name__} is not fitted yet, so it has no {self.name}; "
                "call fit or partial_fit first."
            )
        if np.count_nonzero(estimator.moments_.counts) < 2:
            raise NotFittedError(
                f"The chunks so far hold rows of one class; {self.name} needs rows of two: call "
                "partial_fit with rows of the other label."
            )
        # Not a data descriptor: what is solved goes to the instance and is found there.
        estimator._solve(estimator.moments_)
        return vars(estimator)[self.name]


def from_moments() -> Any:
    """Declare an attribute of `Streaming.learned`."""
    return _FromMoments()


class _WhereAllowed:
    """A method that is there only where `_check_streamable` lets it be."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        update_wrapper(cast(Any, self), method)

    def __get__(self, estimator: Any, owner: type | None = None) -> Any:
        if estimator is None:
            return self.method
        estimator._check_streamable()
        return MethodType(self.method, estimator)


def where_streamable(method: Method) -> Method:
    """Make a method exist only on estimators whose parameters allow a fit in parts."""
    return cast(Method, _WhereAllowed(method))


class StreamingProbe(Streaming, LinearProbe):
    """A probe whose line is a function of class moments."""

    learned: ClassVar[tuple[str, ...]] = ("coef_", "intercept_")
    max_classes: ClassVar[int | None] = 2
    with_scatter: ClassVar[bool]
    """Whether the line depends on the scatter within the classes."""

    coef_: Floats = from_moments()
    intercept_: Floats = from_moments()

    @abstractmethod
    def _score(self, moments: Moments) -> LinearScore:
        """The line for moments of two classes."""

    def _solve(self, moments: Moments) -> None:
        self._set_score(self._score(moments))

    @where_streamable
    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Learn from one more chunk of rows; solve when `coef_` or a score is next asked for.

            for part in chunks:
                probe.partial_fit(part.at(site), part.labels)

        Args:
            X: Rows of this chunk, shape `(n, d)`; a few hundred or more keep the overhead small.
            y: Their labels; one class is enough.
            classes: Both labels. Not needed, unless a third one is to be refused at once.

        Raises:
            ValueError: for parameters that need all rows at once, for a probe that was fitted by
                `fit`, a third label, another number of features than before, or if `X` is not
                finite. A chunk that is refused leaves the probe as it was.
        """
        rows, labels, known = self._chunk(X, y, classes)
        self._add(Moments.of(rows, labels, known, scatter=self.with_scatter))
        return self
