"""Directed: a penalty that reads along directions."""

from collections.abc import Sequence
from dataclasses import dataclass

from repalign.directions import Direction
from repalign.sites import Site
from repalign.training.penalties.penalty import Penalty, listed


@dataclass(frozen=True)
class Directed(Penalty):
    """A penalty that reads along directions, each at its site."""

    directions: Direction | Sequence[Direction]
    weight: float | None = None
    """Factor in the loss; 0 switches the penalty off."""

    @property
    def along(self) -> tuple[Direction, ...]:
        """The directions, one a site."""
        return listed(self.directions)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites of the directions."""
        return tuple(direction.site for direction in self.along)
