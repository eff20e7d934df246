"""Modes: a network that is differentiated by its states alone, and blocks that are passed over."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from repalign.models import LanguageModel
from repalign.models.modes import evaluating


@contextmanager
def differentiating(model: LanguageModel) -> Generator[None, None, None]:
    """Gradients on, dropout off, and no parameter asking for a gradient; then all as it was."""
    network = model.network
    asking = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        with evaluating(network), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)


@contextmanager
def skipped(blocks: Iterable[nn.Module], lengths: Mapping[int, int]) -> Generator[None, None, None]:
    """Let blocks hand on what they are given, in the form of their own output.

    Args:
        blocks: the first ones of the model, in order.
        lengths: for each layer 0 where its block puts out a tensor, else the length of the tuple.
    """

    def hand_on(length: int) -> Any:
        def forward(*args: Any, **given: Any) -> Any:
            states = args[0] if args else given["hidden_states"]
            return (states, *[None] * (length - 1)) if length else states

        return forward

    own: list[tuple[nn.Module, Any]] = []
    try:
        for layer, block in enumerate(blocks):
            # What device maps put in its place is an attribute of the instance, and comes back.
            own.append((block, vars(block).get("forward")))
            block.forward = hand_on(lengths[layer])
        yield
    finally:
        for block, forward in own:
            if forward is None:
                del block.forward
            else:
                block.forward = forward
