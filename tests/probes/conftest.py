"""Synthetic activations in which it is known what is to be found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Planted:
    """Groups of four rows: true and false, affirmed and negated, around a shared topic."""

    X: Floats
    y: NDArray[np.int_]
    groups: NDArray[np.int_]
    polarity: NDArray[np.int_]
    truth: Floats
    """Unit direction that separates true from false whatever the polarity."""
    flipping: Floats
    """Unit direction along which truth changes sign with polarity."""

    def held(self, estimator: Any) -> dict[str, Any]:
        """The keyword arguments that this estimator's `fit` uses."""
        known = {"groups": self.groups, "polarity": self.polarity}
        return {name: known[name] for name in getattr(estimator, "uses", ())}

    def rows(self, chosen: NDArray[np.bool_]) -> Planted:
        """The same with only some rows."""
        return Planted(
            self.X[chosen],
            self.y[chosen],
            self.groups[chosen],
            self.polarity[chosen],
            self.truth,
            self.flipping,
        )


Plant = Callable[..., Planted]


@pytest.fixture
def plant() -> Plant:
    """Make planted data.

    The directions are the same for every `seed`, so two seeds are a training and a test set.
    """

    def make(
        groups: int = 60,
        d: int = 12,
        seed: int = 0,
        general: float = 5.0,
        flipping: float = 0.0,
        form: float = 0.0,
        topic: float = 1.0,
        noise: float = 0.5,
    ) -> Planted:
        basis = np.linalg.qr(np.random.default_rng(99).normal(size=(d, 3)))[0].T
        rng = np.random.default_rng(seed)
        truth = np.tile([1, -1, 1, -1], groups)
        polarity = np.tile([1, 1, -1, -1], groups)
        signs = np.column_stack([general * truth, flipping * truth * polarity, form * polarity])
        shared = np.repeat(topic * rng.normal(size=(groups, d)), 4, axis=0)
        X = 5.0 + shared + signs / 2 @ basis + noise * rng.normal(size=(4 * groups, d))
        number = np.repeat(np.arange(groups), 4)
        return Planted(X, (truth > 0).astype(int), number, polarity, basis[0], basis[1])

    return make


@pytest.fixture
def cosine() -> Callable[[Floats, Floats], float]:
    """Cosine of the angle between two vectors, of any shape."""

    def of(one: Floats, other: Floats) -> float:
        one, other = np.ravel(one), np.ravel(other)
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    return of
