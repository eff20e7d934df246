"""Matrices: the linear maps inside a model's blocks, found from structure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from repalign.errors import InputError
from repalign.models import LanguageModel

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_NAMED = 4
"""Parameters that a message lists by name."""


@dataclass(frozen=True)
class Matrix:
    """One weight matrix of a block."""

    name: str
    """The parameter's name in the network."""
    layer: int
    kind: str
    """The module's name in its block, such as `self_attn.q_proj`."""
    shape: tuple[int, int]
    """Of the parameter as it is kept; all scores and gradients have this shape."""
    transposed: bool
    """Whether it is kept `[d_in d_out]`, as by the Conv1D of GPT-2, and not `[d_out d_in]`."""

    def __str__(self) -> str:
        """Print as `L12.self_attn.q_proj`."""
        return f"L{self.layer}.{self.kind}"

    @property
    def size(self) -> int:
        """How many weights it has."""
        return self.shape[0] * self.shape[1]

    @property
    def d_in(self) -> int:
        """The width of what it takes."""
        return self.shape[0 if self.transposed else 1]

    def module(self, model: LanguageModel) -> nn.Module:
        """The module that holds it."""
        return model.network.get_submodule(self.name.removesuffix(".weight"))

    def weight(self, model: LanguageModel) -> nn.Parameter:
        """The parameter itself."""
        return model.network.get_parameter(self.name)


def matrices(model: LanguageModel, *, leave_others: bool = False) -> list[Matrix]:
    """List the weight matrices of all linear modules in the blocks, from the first layer on.

    Args:
        model: with weights in float16, bfloat16, float32 or float64, whole in this process.
        leave_others: go on where blocks hold parameters of two or more axes that are no linear
            module's, such as the fused experts of a mixture; they are not looked at then, and
            what is said of the others is said of a part of the model.

    Raises:
        InputError: an adapter, quantised, offloaded or split weights, one weight under two
            modules, no linear module at all, or such other parameters without `leave_others`.
    """
    network: Any = model.network
    if hasattr(network, "peft_config"):
        raise InputError(
            f"{model.name} is a PEFT model, whose matrices are sums; attribute the merged one: "
            "LanguageModel.load(network.merge_and_unload(), tokenizer=…)."
        )
    owned: dict[int, str] = {}
    found: list[Matrix] = []
    for layer, name, kind, module in _linear(model):
        weight = module.weight
        _refuse_unfit(model, f"{name}.weight", weight)
        if id(weight) in owned:
            raise InputError(
                f"{name} and {owned[id(weight)]} of {model.name} share one weight; what belongs to "
                "either cannot be told apart."
            )
        owned[id(weight)] = name
        shape = (int(weight.shape[0]), int(weight.shape[1]))
        found.append(Matrix(f"{name}.weight", layer, kind, shape, isinstance(module, Conv1D)))
    quantised = getattr(network, "is_quantized", False) or getattr(
        network.config, "quantization_config", None
    )
    if quantised:
        raise _unfit(model, "its config says that it is quantised")
    if not found:
        raise InputError(f"The blocks of {model.name} hold no linear module to attribute to.")
    if not leave_others:
        _refuse_others(model, owned)
    return found


def chosen(model: LanguageModel, among: Sequence[Matrix] | None) -> list[Matrix]:
    """All matrices, or those given after a check that they are this model's.

    Raises:
        InputError: none given, one twice, or one that this model does not have.
    """
    if among is None:
        return matrices(model)
    known = {matrix.name: matrix for matrix in matrices(model, leave_others=True)}
    strange = [str(one) for one in among if known.get(one.name) != one]
    if strange or not among or len(set(among)) != len(among):
        raise InputError(
            f"`among` holds {', '.join(strange[:_NAMED])}, which {model.name} does not have."
            if strange
            else "`among` names a matrix twice, or none; take some of matrices(model)."
        )
    return list(among)


def _linear(model: LanguageModel) -> Iterator[tuple[int, str, str, Any]]:
    """Layer, full name, name in the block and module of each linear map."""
    blocks = {id(block): layer for layer, block in enumerate(model.architecture.layers)}
    for prefix, block in model.network.named_modules():
        layer = blocks.get(id(block))
        if layer is None:
            continue
        for kind, module in block.named_modules():
            if isinstance(module, nn.Linear | Conv1D):
                yield layer, f"{prefix}.{kind}", kind, module


def _refuse_unfit(model: LanguageModel, name: str, weight: Any) -> None:
    if weight.is_meta:
        raise _unfit(model, f"{name} is not in memory")
    if hasattr(weight, "full_tensor"):
        raise _unfit(model, f"{name} is split over processes")
    if weight.dtype not in _FLOATS or weight.ndim != 2:
        raise _unfit(model, f"{name} is {weight.dtype} of shape {tuple(weight.shape)}")


def _unfit(model: LanguageModel, what: str) -> InputError:
    return InputError(
        f"The weights of {model.name} have no score of their own: {what}. Load it whole, in "
        "float32, bfloat16 or float16."
    )


def _refuse_others(model: LanguageModel, owned: dict[int, str]) -> None:
    others = [
        f"L{layer}.{name} {tuple(parameter.shape)}"
        for layer, block in enumerate(model.architecture.layers)
        for name, parameter in block.named_parameters()
        if parameter.ndim > 1 and id(parameter) not in owned
    ]
    if others:
        raise InputError(
            f"The blocks of {model.name} hold {len(others)} parameters of several axes that are no "
            f"linear module's (fused experts, routers, convolutions): "
            f"{', '.join(others[:_NAMED])}{', …' if len(others) > _NAMED else ''}. To leave them "
            "out knowingly, give among=matrices(model, leave_others=True)."
        )
