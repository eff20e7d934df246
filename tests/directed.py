"""Directions of any width, made from a seed."""

from typing import Any

import numpy as np
import toy as toys

from repalign.directions import Direction
from repalign.sites import Site


def made(
    seed: int = 0,
    width: int = toys.WIDTH,
    scale: float = 3.0,
    midpoint: float = 0.5,
    **origin: Any,
) -> Direction:
    """A random unit vector with a scale and a midpoint that are not 1 and 0."""
    vector = np.random.default_rng(seed).normal(size=width).astype(np.float32)
    return Direction(vector / np.linalg.norm(vector), Site(1), midpoint, scale, origin)
