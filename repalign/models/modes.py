"""Evaluation mode for the time of a reading, whatever mode training left the modules in."""

from collections.abc import Generator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(network: nn.Module) -> Generator[None, None, None]:
    """Switch dropout and the like off, and give every module back the mode it had.

    A model that is being trained is read in the middle of training; with dropout on, its
    activations would be noise.
    """
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
