"""Clamp: hold the projection on a direction within bounds."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from repalign.directions import Direction
from repalign.errors import InputError
from repalign.interventions.vectors import Placed, narrowed, widened


@dataclass(frozen=True)
class Clamp:
    """Move states along a direction until their projection lies within `low` and `high`.

    Bounds are in the units of `Direction.project`: 0 half-way between the class means, 0.5 at the
    honest one. With equal bounds every state gets the same projection. States within the bounds
    are left alone.
    """

    direction: Direction
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        """Refuse bounds that bind nothing or contradict each other."""
        if not self.low <= self.high or math.inf in (-self.high, self.low):
            raise InputError(
                f"Clamp holds a projection from low to high; {self.low} and {self.high} were given."
            )
        if math.isinf(self.low) and math.isinf(self.high):
            raise InputError("Clamp without bounds changes nothing; give low=, high= or both.")

    def __call__(
        self, states: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Clamp every position; computed in float32 or better."""
        high = widened(states)
        vector = self._placed.beside(high)
        middle, scale = self.direction.midpoint, self.direction.scale
        projected = linear(high, vector)
        bounded = projected.clamp(middle + self.low * scale, middle + self.high * scale)
        return narrowed(torch.addcmul(high, bounded - projected, vector), states)

    @cached_property
    def _placed(self) -> Placed:
        return Placed(self.direction.vector[None])
