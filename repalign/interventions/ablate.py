"""Ablate: remove what a state holds along directions."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from repalign.directions import Direction
from repalign.errors import InputError
from repalign.interventions.vectors import Placed, narrowed, widened

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
        high = widened(states)
        rows = self._rows.beside(high)
        # Few and fused operations: at each generated token what counts is how many there are.
        projected = linear(high, rows)
        if len(rows) == 1:
            new = torch.addcmul(high, projected, rows, value=-1)
        else:
            flat = torch.addmm(high.flatten(0, -2), projected.flatten(0, -2), rows, alpha=-1)
            new = flat.view_as(high)
        return narrowed(new, states)

    @cached_property
    def _rows(self) -> Placed:
        return Placed(np.ascontiguousarray(self.basis.T))

    @cached_property
    def basis(self) -> Float[np.ndarray, "d_model rank"]:
        """Orthonormal columns that span the directions."""
        vectors = np.stack([direction.vector for direction in self.directions], axis=1)
        basis, sizes, _ = np.linalg.svd(vectors.astype(np.float64), full_matrices=False)
        # A direction given twice adds no dimension; without this cut rounding would add a random
        # one, and what the state holds along it would be lost.
        return basis[:, sizes > _SAME * sizes[0]]
