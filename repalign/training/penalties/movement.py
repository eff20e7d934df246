"""Movement: how far training has moved the states along the honest direction."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from repalign.directions import Direction
from repalign.errors import InputError, unknown
from repalign.training.penalties.directed import Directed
from repalign.training.penalties.penalty import (
    States,
    check_finite,
    of_reference,
    over_sites,
    vector,
)

Form = Literal["hinge", "linear"]


@dataclass(frozen=True)
class Movement(Directed):
    """A penalty on signed movement `δ = ⟨v, h − h_ref⟩`; no gradient reaches `h_ref`.

    | form | value of a position |
    |---|---|
    | `hinge` | `relu(margin·scale − δ)`: 0 forbids a drift to dishonest, more asks for gain |
    | `linear` | `−min(δ, clip·scale)`: every bit of honest movement pays, up to the clip |

    `scale` is `direction.scale`, the distance between the class means, so margins mean the same at
    every site. Values are in the units of the states. A mean over sites and positions.
    """

    needs_reference: ClassVar[bool] = True

    margin: float = 0.0
    """Of `hinge`: the movement that is asked for, in units of `direction.scale`."""
    form: Form = "hinge"
    clip: float = 1.0
    """Of `linear`: the movement beyond which nothing is gained, in units of `direction.scale`."""

    def __post_init__(self) -> None:
        """Refuse a form that does not exist, and bounds that cannot be meant."""
        super().__post_init__()
        if self.form not in get_args(Form):
            raise unknown("form of a movement", self.form, get_args(Form))
        check_finite("A margin, in units of direction.scale,", self.margin)
        check_finite("A clip, in units of direction.scale,", self.clip)
        if self.clip <= 0:
            raise InputError(
                f"A clip of {self.clip} would leave honest movement without a gradient from the "
                "start; give a number above 0, in units of direction.scale."
            )

    def __call__(
        self, policy: States, reference: States | None, text: Int[Tensor, " kept"]
    ) -> Float[Tensor, " kept"]:
        """The penalty of each position, in the units of the states."""
        before = of_reference(reference)
        return over_sites([self._at(one, policy[one.site], before[one.site]) for one in self.along])

    def _at(self, direction: Direction, policy: Tensor, reference: Tensor) -> Tensor:
        moved = (policy - reference.detach()) @ vector(direction, policy)
        if self.form == "hinge":
            return torch.relu(self.margin * direction.scale - moved)
        return -moved.clamp(max=self.clip * direction.scale)
