"""Ablate: remove what a state holds along directions."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from repalign.directions import Direction
from repalign.errors import InputError

# Relative size below which the difference of directions is rounding: they are stored in float32.
_SAME = 1e-6


@dataclass(frozen=True)
class Ablate:
    """`h − V Vᵀ h` with V an orthonormal basis of one or more directions (arXiv 2406.11717).

    After it the projection on every direction is zero.
    """

    directions: tuple[Direction, ...]

    def __post_init__(self) -> None:
        """Refuse nothing to remove."""
        if not self.directions:
            raise InputError("Ablate needs at least one direction; none was given.")

    @classmethod
    def of(cls, *directions: Direction) -> "Ablate":
        """Ablate one direction or several."""
        return cls(directions)

    def __call__(
        self, states: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Remove the directions at every position; computed in float32 or better."""
        working = torch.promote_types(states.dtype, torch.float32)
        basis = torch.from_numpy(self._basis).to(states.device, working)
        high = states.to(working)
        return (high - (high @ basis) @ basis.T).to(states.dtype)

    @cached_property
    def _basis(self) -> Float[np.ndarray, "d_model rank"]:
        vectors = np.stack([direction.vector for direction in self.directions], axis=1)
        basis, sizes, _ = np.linalg.svd(vectors.astype(np.float64), full_matrices=False)
        # A direction given twice adds no dimension; without this cut rounding would add a random
        # one, and what the state holds along it would be lost.
        return basis[:, sizes > _SAME * sizes[0]]
