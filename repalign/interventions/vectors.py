"""Arrays as tensors beside the states they are used with."""

import numpy as np
import torch
from torch import Tensor

from repalign.errors import InputError

_FINE = (torch.float32, torch.float64)


class Placed:
    """An array as a tensor on the device and in the format of states; each pair is made once."""

    def __init__(self, array: np.ndarray) -> None:
        """Keep an array."""
        self._array = array
        self._made: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def beside(self, states: Tensor) -> Tensor:
        """The array on the states' device and in their format.

        Raises:
            InputError: it holds numbers that the format cannot hold.
        """
        key = states.device, states.dtype
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = torch.from_numpy(self._array).to(*key)
            if not bool(torch.isfinite(made).all()):
                raise InputError(
                    f"What is written is infinite or NaN in {key[1]}: the coefficient is too large."
                )
        return made


def widened(states: Tensor) -> Tensor:
    """States in float32 where their own format is coarser, for computing."""
    # Asked first, for even a conversion that changes nothing takes a microsecond.
    return states if states.dtype in _FINE else states.to(torch.float32)


def narrowed(new: Tensor, states: Tensor) -> Tensor:
    """What was computed, in the format of the states that it replaces."""
    return new if new.dtype == states.dtype else new.to(states.dtype)
