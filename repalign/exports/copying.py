"""A copy of a model whose weights may be edited, and whether an edit did what the hooks do."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from repalign.errors import CheckError, InputError
from repalign.exports.writers import trial
from repalign.interventions import Intervention, intervene
from repalign.models import LanguageModel
from repalign.models.hooking import writings
from repalign.sites import Site

# Relative error of the logits that rounding may make, by number format.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
_COARSE = 0.2


def editable(model: LanguageModel) -> LanguageModel:
    """A deep copy to edit; the model itself stays as it is.

    Raises:
        InputError: an adapter, quantised or split weights, or an open intervene().
    """
    network = model.network
    if hasattr(network, "peft_config"):
        raise InputError(
            f"{model.name} is a PEFT model; edit the weights of the merged one: "
            "LanguageModel.load(network.merge_and_unload(), tokenizer=…)."
        )
    odd = [
        parameter_name
        for parameter_name, parameter in network.named_parameters()
        if not parameter.is_floating_point()
        or parameter.is_meta
        or hasattr(parameter, "full_tensor")
    ]
    if odd or getattr(network, "is_quantized", False):
        raise InputError(
            f"The weights of {model.name} are quantised, offloaded or split over processes"
            f"{': ' + ', '.join(odd[:3]) if odd else ''}. Load it whole, in float32 or bfloat16."
        )
    if writings(model.architecture):
        raise InputError(
            f"intervene() is open on {model.name}; export outside of it, and hand over the "
            "interventions."
        )
    copied = copy.deepcopy(network)
    return LanguageModel(copied, model.tokenizer, model.name, None, model.allow_failed)


def untie(network: Any) -> None:
    """Give input embeddings and read-out weights of their own, of the same values."""
    config = network.config
    table, head = network.get_input_embeddings(), network.get_output_embeddings()
    if head is None or head.weight is not table.weight:
        return
    table.weight = nn.Parameter(table.weight.detach().clone(), table.weight.requires_grad)
    for one in {id(one): one for one in (config, config.get_text_config(decoder=True))}.values():
        one.tie_word_embeddings = False
    # Saving leaves out what this names as tied.
    for module in network.modules():
        if hasattr(module, "all_tied_weights_keys"):
            module.all_tied_weights_keys = module.get_expanded_tied_weights_keys(all_submodels=True)


def ensure_same(
    model: LanguageModel,
    interventions: Mapping[Site, Intervention],
    edited: LanguageModel,
) -> None:
    """Compare edited weights with hooks on a few tokens.

    Raises:
        CheckError: they differ by more than rounding.
    """
    tokens = trial(model)
    with intervene(model, interventions):
        hooked = model.logits(tokens).double()
    found = edited.logits(tokens).double()
    error = float((found - hooked).norm() / hooked.norm())
    # Not `error > …`, which NaN would pass.
    if not error <= _TOLERANCE.get(model.dtype, _COARSE):
        raise CheckError(
            f"The edited weights of {model.name} do not do what the hooks do: their logits differ "
            f"by {error:.2g} of their length. Nothing was exported; use intervene() for this "
            "model, and please report its family."
        )
