"""Reroute: states that still point where they pointed before training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from repalign.sites import Site
from repalign.training.penalties.penalty import (
    Penalty,
    States,
    listed_sites,
    of_reference,
    over_sites,
)


@dataclass(frozen=True)
class Reroute(Penalty):
    """`relu(cos(h_ref, h))` of circuit breakers (arXiv 2406.04313): turn the states away.

    It belongs on rows of unwanted behaviour (`label=0` with a `label_column`), beside a `Retain` on
    the others; the preset `circuit_breaker` puts the two together with their schedule. A mean over
    sites and positions.
    """

    needs_reference: ClassVar[bool] = True

    at: Site | Sequence[Site]
    weight: float | None = None

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites given."""
        return listed_sites(self.at)

    def __call__(
        self, policy: States, reference: States | None, text: Int[Tensor, " kept"]
    ) -> Float[Tensor, " kept"]:
        """The penalty of each position, between 0 and 1."""
        before = of_reference(reference)
        return over_sites(
            [
                torch.relu(
                    functional.cosine_similarity(policy[site], before[site].detach(), dim=-1)
                )
                for site in self.sites
            ]
        )
