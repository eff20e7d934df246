"""Biases: which vector of the weights is added where a push is wanted."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from repalign.exports.writers import Writer, Written
from repalign.models import LanguageModel


@dataclass(frozen=True)
class Bias:
    """A parameter that adds a constant to a site at every position."""

    name: str
    gain: float
    """What arrives at the site of a 1 in the parameter."""


def bias_of(written: Written) -> Bias | None:
    """The last bias that is added to a site as it stands, at every position alike."""
    found = [Bias(w.name, w.gain) for w in written.writers if w.gain is not None and w.gain != 0]
    return found[-1] if found else None


def owner(network: nn.Module, parameter: str) -> tuple[str, nn.Module]:
    """The name of the module that holds a parameter, and the module."""
    module = parameter.rpartition(".")[0]
    return module, network.get_submodule(module)


def without_bias(network: nn.Module, writers: Iterable[Writer]) -> list[str]:
    """The modules among writers that could have a bias and have none."""
    found = []
    for writer in writers:
        name, module = owner(network, writer.name)
        if isinstance(module, nn.Linear | Conv1D) and module.bias is None:
            found.append(name)
    return found


def add_zeros(network: nn.Module, names: Iterable[str]) -> None:
    """Give modules a bias of zeros; nothing changes in what they compute."""
    for name in names:
        module: Any = network.get_submodule(name)
        weight = module.weight
        width = weight.shape[1 if isinstance(module, Conv1D) else 0]
        zeros = torch.zeros(width, dtype=weight.dtype, device=weight.device)
        module.bias = nn.Parameter(zeros, weight.requires_grad)


def switch_on(model: LanguageModel, modules: Iterable[str]) -> bool:
    """Turn on the switch of the config that gives one of these modules a bias, zeros at first.

    A saved model has to load again, so biases can only be where the family's own code expects them.
    Switches are found by trying: whatever of the config is true or false and named after a bias.

    Returns:
        Whether there is such a switch.
    """
    network = model.network
    wanted = {f"{name}.bias" for name in modules}
    own = {name for name, _ in network.named_parameters()}
    values = network.config.get_text_config(decoder=True).to_dict()
    for flag, value in values.items():
        if not isinstance(value, bool) or "bias" not in flag:
            continue
        names = _names_with(network, flag, not value)
        new = names - own
        if own <= names and wanted & new and all(name.endswith(".bias") for name in new):
            add_zeros(network, [name.removesuffix(".bias") for name in sorted(new)])
            setattr(network.config.get_text_config(decoder=True), flag, not value)
            return True
    return False


def _names_with(network: Any, flag: str, value: bool) -> set[str]:
    config = copy.deepcopy(network.config)
    setattr(config.get_text_config(decoder=True), flag, value)
    with torch.device("meta"):
        other = type(network)(config)
    return {name for name, _ in other.named_parameters()}
