"""Add: push along a direction."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from repalign.directions import Direction
from repalign.errors import InputError
from repalign.interventions.vectors import Placed, narrowed, widened


@dataclass(frozen=True)
class Add:
    """`h + coefficient · scale · v`, with v the unit vector of a direction.

    A coefficient of 1 moves a state as far as the class means lie apart; negative ones push towards
    dishonest. A coefficient of 0 returns the state unchanged, bit for bit.
    """

    direction: Direction
    coefficient: float
    piecewise: bool = False
    """Push each state to the side on which it lies already: `h + sign(h·c) c` with c the push. The
    sign is that of the raw projection, as in the `piecewise_linear` of RepE (arXiv 2310.01405)."""

    def __post_init__(self) -> None:
        """Refuse a coefficient that would make states NaN."""
        if not math.isfinite(self.coefficient):
            raise InputError(
                f"A coefficient is a finite number, in units of direction.scale; "
                f"{self.coefficient} was given."
            )

    def __call__(
        self, states: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Push every position."""
        if self.coefficient == 0:
            return states
        if not self.piecewise:
            return states + self._placed.beside(states)
        high = widened(states)
        push = self._placed.beside(high)
        side = torch.sign(high @ push).unsqueeze(-1)
        return narrowed(torch.addcmul(high, side, push), states)

    @property
    def push(self) -> Float[np.ndarray, " d_model"]:
        """What is added."""
        return (self.coefficient * self.direction.scale * self.direction.vector).astype(np.float32)

    @cached_property
    def _placed(self) -> Placed:
        return Placed(self.push)
