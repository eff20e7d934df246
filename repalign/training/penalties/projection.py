"""Projection: a penalty on states that lie on the dishonest side of a direction."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from repalign.training.penalties.directed import Directed
from repalign.training.penalties.penalty import (
    States,
    check_finite,
    over_sites,
    projected,
)


@dataclass(frozen=True)
class Projection(Directed):
    """A hinge on the projection: `relu(margin − (h·v − midpoint)/scale)`.

    It presses states whose projection lies below the margin towards honest, and leaves the others
    alone. At margin 0 every state on the honest side of the midpoint is free; at 0.5 a state is
    free where the honest class mean lies. A mean over sites and positions.

    This form is ours and not that of any paper. A fall of the penalty says that the projection
    moved, not that the model became more honest: training may move the states past the direction
    and leave the behaviour as it was.
    """

    margin: float = 0.0
    """Where the penalty ends, counted from the midpoint in units of `direction.scale`."""

    def __post_init__(self) -> None:
        """Refuse a margin that is no number."""
        super().__post_init__()
        check_finite("A margin, in units of direction.scale,", self.margin)

    def __call__(
        self, policy: States, reference: States | None, text: Int[Tensor, " kept"]
    ) -> Float[Tensor, " kept"]:
        """The penalty of each position, in units of `direction.scale`."""
        return over_sites(
            [torch.relu(self.margin - projected(one, policy[one.site])) for one in self.along]
        )
