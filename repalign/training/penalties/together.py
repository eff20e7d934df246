"""Together: several penalties under one weight."""

from dataclasses import dataclass, fields
from typing import Any

from repalign.errors import InputError
from repalign.training.penalties.penalty import Penalty, check_weight


@dataclass(frozen=True)
class Together:
    """Penalties whose own weights are relative to each other, under one weight or auto_weight.

    Each keeps its sites, span, label and schedule, and is logged by its own name.
    """

    parts: tuple[Penalty, ...]
    weight: float | None = None
    auto_weight: float | None = None
    """Instead of a weight: the share of the gradient norm of the trainer's own loss that the
    gradient of all parts together, without their schedules, has at step 0."""
    name: str = "together"

    def __post_init__(self) -> None:
        """Refuse parts without a weight of their own, and two weights or none."""
        if not self.parts:
            raise InputError("Together takes at least one penalty; none was given.")
        if (self.weight is None) == (self.auto_weight is None):
            raise InputError(
                "Together takes a weight or an auto_weight, and not both; "
                f"weight={self.weight} and auto_weight={self.auto_weight} were given."
            )
        check_weight(self.weight)
        check_weight(self.auto_weight)
        for part in self.parts:
            if part.weight is None:
                raise InputError(
                    f"{part.name} stands in a Together, so it takes a weight relative to the "
                    "others and no auto_weight; the Together has that."
                )

    def record(self) -> dict[str, Any]:
        """Its settings as a record keeps them."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        parts = [part.record() for part in self.parts]
        return {"penalty": "Together", **settings, "parts": parts}
