"""Penalty: a function of the states at sites that is added to the loss of a trainer."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from repalign.directions import Direction
from repalign.errors import InputError, unknown
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.training.schedules import Constant, Schedule

Where = Literal["chosen", "rejected", "prompt", "completion", "all"]
"""Which tokens of a batch a penalty acts on."""
States = Mapping[Site, Float[Tensor, "kept d_model"]]
"""The states of the positions that count, in float32 or better, at each site."""


class _Weighted:
    # Its place among the arguments is each penalty's own.
    weight: float | None


@dataclass(frozen=True, kw_only=True)
class Penalty(_Weighted, ABC):
    """What every penalty has besides its formula.

    One of your own is a frozen dataclass that inherits from this one, has a field
    `weight: float | None = None`, and says at which `sites` it reads and what it computes.
    """

    needs_reference: ClassVar[bool] = False
    """Whether it compares with the states of the model before training."""
    per_text: ClassVar[bool] = False
    """Whether a value belongs to a text and not to a position."""

    auto_weight: float | None = None
    """Instead of a weight: the share of the gradient norm of the trainer's own loss that the
    penalty's gradient has at step 0. It is measured on the first batch and then stays."""
    schedule: Schedule = Constant()  # noqa: RUF009
    """The factor of the weight at a step."""
    span: Where | None = None
    """Tokens that count: `chosen`, `rejected` (the completions of these rows), `prompt`,
    `completion`, `all`. By default `chosen` where a trainer has such rows, else `completion`."""
    label: int | None = None
    """Act only on rows with this label, 0 or 1, in the `label_column` of `penalised`. The others
    count as zeros in the mean, so a penalty on half of the rows has half the weight, whatever the
    size of a batch."""
    name: str = ""
    """What logs call it; by default its kind and its site."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot be meant."""
        if (self.weight is None) == (self.auto_weight is None):
            raise InputError(
                f"{type(self).__name__} takes a weight or an auto_weight, and not both; "
                f"weight={self.weight} and auto_weight={self.auto_weight} were given."
            )
        check_weight(self.weight)
        check_weight(self.auto_weight)
        if self.span is not None and self.span not in get_args(Where):
            raise unknown("span of a penalty", self.span, get_args(Where))
        if self.label not in (None, 0, 1):
            raise InputError(f"The label of a penalty is 0 or 1; {self.label} was given.")
        if not self.sites:
            raise InputError(f"{type(self).__name__} reads at least one site; none was given.")
        if not self.name:
            kind = type(self).__name__.lower()
            named = f"{kind}_{self.sites[0]}" if len(self.sites) == 1 else kind
            object.__setattr__(self, "name", named)

    @property
    @abstractmethod
    def sites(self) -> tuple[Site, ...]:
        """Where the states are read."""

    @abstractmethod
    def __call__(
        self, policy: States, reference: States | None, text: Int[Tensor, " kept"]
    ) -> Float[Tensor, " value"]:
        """The penalty, unweighted: a value a position, or a value a text where `per_text` says so.

        Args:
            policy: states of the model that is trained.
            reference: those of the model before training, where `needs_reference` says so.
            text: which text each position belongs to: 0, 1, …, none left out, in rising order.
                In a batch without a row of its label there is no position.
        """

    @property
    def along(self) -> tuple[Direction, ...]:
        """The directions that it reads along."""
        return ()

    @property
    def widths(self) -> dict[Site, int]:
        """The width of states that it needs, where it needs one."""
        return {direction.site: len(direction.vector) for direction in self.along}

    @property
    def origins(self) -> list[Mapping[str, Any]]:
        """Where its directions and probes come from."""
        return [direction.origin for direction in self.along]

    def watched(self, states: States) -> dict[str, Float[Tensor, " kept"]]:
        """What is logged of the policy's and the reference's states; the loss takes no part."""
        return {
            f"projection/{direction.site}": projected(direction, states[direction.site])
            for direction in self.along
        }

    def record(self) -> dict[str, Any]:
        """Its settings as a record keeps them."""
        settings = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        return {"penalty": type(self).__name__, **settings}


def check_weight(weight: float | None) -> None:
    """Refuse a weight that would reward what the penalty is against."""
    if weight is not None and not (math.isfinite(weight) and weight >= 0):
        raise InputError(
            f"The weight of a penalty is a finite number of 0 or more; {weight} was given."
        )


def check_finite(what: str, value: float) -> None:
    """Refuse a margin or the like that is no number."""
    if not math.isfinite(value):
        raise InputError(f"{what} is a finite number; {value} was given.")


def listed(directions: Direction | Sequence[Direction]) -> tuple[Direction, ...]:
    """One direction or several, each at a site of its own."""
    found = (directions,) if isinstance(directions, Direction) else tuple(directions)
    sites = [direction.site for direction in found]
    if len(set(sites)) < len(sites):
        raise InputError(
            f"A penalty takes one direction a site; these lie at {', '.join(map(str, sites))}. "
            "Give a penalty to each of two directions at one site."
        )
    return found


def listed_sites(sites: Site | Sequence[Site]) -> tuple[Site, ...]:
    """One site or several."""
    return (sites,) if isinstance(sites, Site) else tuple(sites)


def vector(direction: Direction, like: Tensor) -> Tensor:
    """The unit vector of a direction, where and as exact as the states are."""
    return torch.from_numpy(direction.vector).to(like.device, like.dtype)


def projected(direction: Direction, states: Tensor) -> Tensor:
    """`direction.project` of states, with its gradient."""
    return (states @ vector(direction, states) - direction.midpoint) / direction.scale


def over_sites(values: Sequence[Tensor]) -> Tensor:
    """The mean over sites."""
    return torch.stack(list(values)).mean(dim=0)


def of_reference(reference: States | None) -> States:
    """The reference's states, which whoever calls a penalty that needs them has to give."""
    if reference is None:
        raise InputError("This penalty compares with a reference, and no states of one were given.")
    return reference


def _plain(value: Any) -> Any:
    if isinstance(value, Direction):
        return {"site": str(value.site), "fingerprint": value.fingerprint}
    if isinstance(value, Readout):
        return {"sites": [str(site) for site in value.sites], "fingerprint": value.fingerprint}
    if isinstance(value, Site):
        return str(value)
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return repr(value)
