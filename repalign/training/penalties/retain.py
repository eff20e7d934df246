"""Retain: how far training has moved the states, the movement along a direction left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from repalign.directions import Direction
from repalign.errors import InputError
from repalign.sites import Site
from repalign.training.penalties.directed import Directed
from repalign.training.penalties.penalty import (
    States,
    listed_sites,
    of_reference,
    over_sites,
    vector,
)


@dataclass(frozen=True)
class Retain(Directed):
    """`‖(I − v vᵀ)(h − h_ref)‖²`; with sites and no direction, all movement: `‖h − h_ref‖²`.

    Its gradient is zero while the states are still those of the reference, so it has a `weight` and
    no `auto_weight`, unless it stands beside another penalty in a `Together`. A mean over sites and
    positions.
    """

    needs_reference: ClassVar[bool] = True

    directions: Direction | Sequence[Direction] = ()
    """Along which movement is free, one a site."""
    at: Site | Sequence[Site] = ()
    """Sites, where no directions are given."""
    squared: bool = True
    """The square of the distance, or the distance itself as in circuit breakers (2406.04313)."""

    def __post_init__(self) -> None:
        """Refuse directions together with sites."""
        if self.along and self._at:
            raise InputError(
                "Retain takes directions, each at its site, or sites at which all movement counts; "
                "give two penalties for both."
            )
        super().__post_init__()
        if self.auto_weight is not None:
            raise InputError(
                "The gradient of Retain is zero at step 0, where the states are those of the "
                "reference, so its weight cannot be measured there. Give weight=…, or put it "
                "beside another penalty: Together((Movement(…, 1.0), Retain(…, 0.1)), "
                "auto_weight=…)."
            )

    @property
    def _at(self) -> tuple[Site, ...]:
        return listed_sites(self.at)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites of the directions, or those given."""
        return self._at or super().sites

    def __call__(
        self, policy: States, reference: States | None, text: Int[Tensor, " kept"]
    ) -> Float[Tensor, " kept"]:
        """The penalty of each position, in the units of the states or their square."""
        before = of_reference(reference)
        free = {direction.site: direction for direction in self.along}
        values = []
        for site in self.sites:
            moved = policy[site] - before[site].detach()
            if site in free:
                unit = vector(free[site], moved)
                moved = moved - torch.outer(moved @ unit, unit)
            if self.squared:
                values.append(moved.square().sum(dim=-1))
            else:
                values.append(torch.linalg.vector_norm(moved, dim=-1))
        return over_sites(values)
