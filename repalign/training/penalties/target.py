"""Target: the distance from where the reference's states would be, were they more honest."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from repalign.directions import Direction
from repalign.training.penalties.directed import Directed
from repalign.training.penalties.penalty import (
    States,
    check_finite,
    of_reference,
    over_sites,
    vector,
)


@dataclass(frozen=True)
class Target(Directed):
    """`‖h − (h_ref + alpha·scale·v)‖₂`, in the shape of LoRRA's loss (arXiv 2310.01405).

    LoRRA takes, for each text, the difference between its states under two prompts; here the
    difference is one fixed direction for all texts, as long as its class means are apart. A mean
    over sites and positions.
    """

    needs_reference: ClassVar[bool] = True

    alpha: float = 1.0
    """How far the target lies from the reference, in units of `direction.scale`."""

    def __post_init__(self) -> None:
        """Refuse a distance that is no number."""
        super().__post_init__()
        check_finite("The alpha of a target, in units of direction.scale,", self.alpha)

    def __call__(
        self, policy: States, reference: States | None, text: Int[Tensor, " kept"]
    ) -> Float[Tensor, " kept"]:
        """The distance of each position, in the units of the states."""
        before = of_reference(reference)
        return over_sites([self._at(one, policy[one.site], before[one.site]) for one in self.along])

    def _at(self, direction: Direction, policy: Tensor, reference: Tensor) -> Tensor:
        shift = self.alpha * direction.scale * vector(direction, policy)
        # Its gradient at distance 0 is 0.
        return torch.linalg.vector_norm(policy - (reference.detach() + shift), dim=-1)
