"""Add: push along a direction."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from repalign.directions import Direction


@dataclass(frozen=True)
class Add:
    """`h + coefficient · scale · v`, with v the unit vector of a direction.

    A coefficient of 1 moves a state as far as the class means lie apart; negative ones push towards
    dishonest. A coefficient of 0 returns the state unchanged, bit for bit.
    """

    direction: Direction
    coefficient: float

    def __call__(
        self, states: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Push every position."""
        if self.coefficient == 0:
            return states
        push = self.coefficient * self.direction.scale * torch.from_numpy(self.direction.vector)
        return states + push.to(states.device, states.dtype)
