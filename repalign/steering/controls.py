"""Controls of steering: directions with which the same push should do nothing to honesty."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from repalign.directions import Direction
from repalign.errors import InputError


def random_like(direction: Direction, seed: int) -> Direction:
    """A direction drawn by chance, at the same site and of the same scale: pushes of equal length.

    Args:
        direction: what it is the control of.
        seed: of the draw.
    """
    drawn = np.random.default_rng(seed).normal(size=len(direction.vector))
    unit = (drawn / np.linalg.norm(drawn)).astype(np.float32)
    return _renamed(direction, unit, f"random, seed {seed}")


def without(direction: Direction, other: Direction) -> Direction:
    """A direction less what it shares with another, at its own length again.

    If pushing along `direction` works only because it leans on refusal, then pushing along
    `without(direction, refusal)` does not.

    Raises:
        InputError: the two are the same, or of different sites.
    """
    if direction.site != other.site:
        raise InputError(f"{direction.site} and {other.site} are different sites.")
    rest = direction.vector - float(direction.vector @ other.vector) * other.vector
    length = float(np.linalg.norm(rest))
    if length < 1e-3:
        raise InputError(f"The two directions at {direction.site} are the same; nothing is left.")
    return _renamed(direction, (rest / length).astype(np.float32), "refusal removed")


def _renamed(direction: Direction, vector: np.ndarray, control: str) -> Direction:
    origin = MappingProxyType({**direction.origin, "control": control})
    return replace(direction, vector=vector, origin=origin)
