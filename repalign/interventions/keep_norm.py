"""KeepNorm: give states back the length they had."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from repalign.interventions.passing import Passing
from repalign.interventions.vectors import narrowed, widened


@dataclass(frozen=True)
class KeepNorm:
    """Another intervention, after which each state is scaled to the length it had before.

    The `normalize` option of RepE (arXiv 2310.01405).
    """

    intervention: Any

    def __call__(
        self, states: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Intervene and rescale; a state moved to exactly zero stays there."""
        return self._rescaled(states, self.intervention(states))

    def __getattr__(self, name: str) -> Any:
        """Need of a pass what the inner one needs."""
        if name in ("reads", "by_prompt", "by_row"):
            return getattr(self.intervention, name)
        if name == "at" and hasattr(self.intervention, "at"):
            return self._at
        raise AttributeError(name)

    def _at(self, states: Tensor, passing: Passing) -> Tensor:
        return self._rescaled(states, self.intervention.at(states, passing))

    def _rescaled(self, states: Tensor, new: Tensor) -> Tensor:
        high = widened(new)
        length = torch.linalg.vector_norm(high, dim=-1, keepdim=True)
        wanted = torch.linalg.vector_norm(widened(states), dim=-1, keepdim=True)
        return narrowed(high * (wanted / length.clamp_min(1e-12)), states)
