"""Ablate: remove what a state holds along directions."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from repalign.directions import Direction


@dataclass(frozen=True)
class Ablate:
    """`h − V Vᵀ h` with V an orthonormal basis of one or more directions (arXiv 2406.11717).

    After it the projection on every direction is zero.
    """

    directions: tuple[Direction, ...]

    @classmethod
    def of(cls, *directions: Direction) -> "Ablate":
        """Ablate one direction or several."""
        return cls(directions)

    def __call__(
        self, states: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Remove the directions at every position; computed in float32 or better."""
        vectors = np.stack([direction.vector for direction in self.directions], axis=1)
        basis = torch.from_numpy(np.linalg.qr(vectors.astype(np.float64))[0])
        working = torch.promote_types(states.dtype, torch.float32)
        basis = basis.to(states.device, working)
        high = states.to(working)
        return (high - (high @ basis) @ basis.T).to(states.dtype)
