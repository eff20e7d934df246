"""Projection: a penalty on states that lie on the dishonest side of a direction."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from repalign.directions import Direction
from repalign.errors import InputError
from repalign.sites import Site


@dataclass(frozen=True)
class Projection:
    """A hinge on the projection: mean over positions of `relu(margin − (h·v − midpoint)/scale)`.

    It presses states whose projection lies below the margin towards honest, and leaves the others
    alone. At margin 0 every state on the honest side of the midpoint is free; at 0.5 a state is
    free where the honest class mean lies.

    This form is ours and not that of any paper. A fall of the penalty says that the projection
    moved, not that the model became more honest: training may move the states past the direction
    and leave the behaviour as it was.
    """

    direction: Direction
    weight: float
    """Factor in the loss; 0 switches the penalty off."""
    margin: float = 0.0
    """Where the penalty ends, counted from the midpoint in units of `direction.scale`."""

    def __post_init__(self) -> None:
        """Refuse a weight that would reward dishonest states and numbers that are not finite."""
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise InputError(
                f"The weight of a penalty is a finite number of 0 or more; {self.weight} was given."
            )
        if not math.isfinite(self.margin):
            raise InputError(
                "A margin is a finite number, in units of direction.scale; "
                f"{self.margin} was given."
            )

    @property
    def site(self) -> Site:
        """Where the states are read: the site of the direction."""
        return self.direction.site

    @property
    def width(self) -> int:
        """The width of the states that it reads."""
        return len(self.direction.vector)

    @property
    def name(self) -> str:
        """What logs call it."""
        return f"projection_{self.site}"

    def __call__(
        self, policy: Float[Tensor, "batch pos d_model"], mask: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, ""]:
        """The unweighted penalty.

        Args:
            policy: states of the model that is trained.
            mask: the positions that count.

        Returns:
            A scalar in units of `direction.scale`, in float32 or better.

        Raises:
            InputError: the mask keeps no position, so there would be nothing to take a mean of.
        """
        if not mask.any():
            raise InputError(
                f"No position of this batch is kept for {self.name}: every completion in it is "
                "empty. Look for rows without a completion, or raise max_length."
            )
        working = torch.promote_types(policy.dtype, torch.float32)
        # Autocast would take the product in half precision.
        with torch.autocast(policy.device.type, enabled=False):
            vector = torch.from_numpy(self.direction.vector).to(policy.device, working)
            distance = (policy[mask].to(working) @ vector - self.direction.midpoint) / (
                self.direction.scale
            )
            return torch.relu(self.margin - distance).mean()
