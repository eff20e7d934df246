"""Shift: add a vector that is no direction, such as the pushes of several heads side by side."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from torch import Tensor

from repalign.errors import InputError
from repalign.interventions.vectors import Placed


@dataclass(frozen=True, eq=False)
class Shift:
    """`h + coefficient · vector`, the vector in units of the states."""

    vector: Float[np.ndarray, " d_model"]
    coefficient: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what would make states NaN."""
        if not (np.isfinite(self.vector).all() and np.isfinite(self.coefficient)):
            raise InputError("Shift adds finite numbers; its vector or coefficient are not.")

    def __call__(
        self, states: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Add it at every position; a coefficient of 0 leaves every bit."""
        return states if self.coefficient == 0 else states + self._placed.beside(states)

    @property
    def push(self) -> Float[np.ndarray, " d_model"]:
        """What is added."""
        return (self.coefficient * self.vector).astype(np.float32)

    @cached_property
    def _placed(self) -> Placed:
        return Placed(self.push)
