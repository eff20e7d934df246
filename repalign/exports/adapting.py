"""Adapting: which modules of a model an adapter touches, and with what numbers."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from repalign.errors import InputError
from repalign.exports.baking import ablatable, project, projected
from repalign.exports.biases import add_zeros, bias_of, owner, without_bias
from repalign.exports.requests import Request
from repalign.exports.writers import Writer, listed, trace
from repalign.models import LanguageModel
from repalign.sites import Site

_ADAPTER = "default"
"""The name that PEFT gives to an adapter without one."""


@dataclass
class Plan:
    """The contents of an adapter. Names are those of modules and parameters of the base."""

    basis: Tensor | None
    """Orthonormal columns `[d_model rank]`, float64, of what is ablated."""
    matrices: dict[str, Tensor] = field(default_factory=dict)
    """For each `Linear` or `Conv1D` the constant `[d_model]` that is added to its output."""
    ablated: set[str] = field(default_factory=set)
    """Which of them are ablated."""
    tables: list[str] = field(default_factory=list)
    """Embeddings that are ablated."""
    experts: list[str] = field(default_factory=list)
    """Fused experts, parameters `[expert … …]`, that are ablated."""
    whole: dict[str, Tensor] = field(default_factory=dict)
    """Modules that are saved whole, with what their weight becomes."""
    writers: list[Writer] = field(default_factory=list)
    """All that is ablated."""

    @property
    def rank(self) -> int:
        """Of every matrix."""
        return 1 if self.basis is None else self.basis.shape[1]

    @property
    def with_biases(self) -> bool:
        """Whether any constant is added."""
        return any(bool(constant.any()) for constant in self.matrices.values())

    @classmethod
    def of(cls, model: LanguageModel, request: Request) -> "Plan":
        """Work out what a request needs.

        Args:
            model: a copy; it is changed back before this returns.
            request: what is wanted.

        Raises:
            InputError: something that an adapter of PEFT cannot hold.
        """
        plan = cls(None if request.basis is None else torch.from_numpy(request.basis))
        if plan.basis is not None:
            plan._ablate(model)
        for site, push in request.pushes.items():
            plan._push(model, site, push)
        if plan.with_biases:
            if plan.experts:
                raise InputError(
                    f"An adapter of PEFT cannot hold both what these experts of {model.name} need "
                    f"and a bias: {listed(plan.experts)}. Use 'weights' (bake)."
                )
            for name in plan.tables:
                plan._save_whole(model, name)
            plan.tables.clear()
        return plan

    def _ablate(self, model: LanguageModel) -> None:
        assert self.basis is not None
        left = []
        self.writers = ablatable(model)
        for writer in self.writers:
            name, module = owner(model.network, writer.name)
            parameter = model.network.get_parameter(writer.name).detach().double().cpu()
            kind = writer.name.rpartition(".")[2]
            if isinstance(module, nn.Linear | Conv1D) and kind in ("weight", "bias"):
                constant = self.matrices.setdefault(name, torch.zeros(model.d_model).double())
                if kind == "bias":
                    constant -= self.basis @ (self.basis.T @ parameter)
                else:
                    self.ablated.add(name)
            elif isinstance(module, nn.Embedding) and kind == "weight":
                if _plain(module):
                    self.tables.append(name)
                else:
                    self._save_whole(model, name)
            elif parameter.ndim == 3:
                self.experts.append(writer.name)
            else:
                left.append(writer.name)
        if left:
            raise InputError(
                f"These parameters of {model.name} write to the stream and no adapter of PEFT fits "
                f"them, so they would be left untouched: {listed(left)}. Use 'weights' (bake)."
            )

    def _save_whole(self, model: LanguageModel, name: str) -> None:
        weight = model.network.get_submodule(name).get_parameter("weight").detach().clone()
        edited = nn.Parameter(weight, requires_grad=False)
        if self.basis is not None:
            project(edited, 1, self.basis)
        self.whole[name] = edited

    def _push(self, model: LanguageModel, site: Site, push: np.ndarray) -> None:
        if site.stream == "heads":
            module = model.architecture.projection(site.layer)
            name = next(name for name, m in model.network.named_modules() if m is module)
            added = torch.from_numpy(projected(module, push))
            if self.basis is not None:
                added = added - self.basis @ (self.basis.T @ added)
        else:
            name, added = _biased(model, site, push)
        if not isinstance(model.network.get_submodule(name), nn.Linear | Conv1D):
            raise InputError(_refusal(model, site))
        constant = self.matrices.setdefault(name, torch.zeros(model.d_model).double())
        constant += added

    @property
    def targets(self) -> dict[str, list[str]]:
        """What to hand to PEFT as `target_modules` and `target_parameters`."""
        # Of models with fused experts PEFT takes modules that are called like a parameter of these
        # for the experts themselves; as parameters they are found by their whole name.
        taken = {name.rpartition(".")[2] for name in self.experts}
        named = [name for name in self.matrices if name.rpartition(".")[2] in taken]
        return {
            "target_modules": [*(n for n in self.matrices if n not in named), *self.tables],
            "target_parameters": [*self.experts, *(f"{name}.weight" for name in named)],
        }

    def transposed(self, network: nn.Module) -> bool:
        """Whether the matrices are kept the other way round, as in GPT-2."""
        return any(isinstance(network.get_submodule(name), Conv1D) for name in self.matrices)

    @torch.no_grad()
    def fill(self, network: Any) -> None:
        """Write the numbers into a PEFT model that was made for this plan."""
        base = network.get_base_model()
        for name, constant in self.matrices.items():
            self._fill_matrix(base.get_submodule(name), constant, name in self.ablated)
        for name in self.tables:
            layer = base.get_submodule(name)
            weight = layer.get_base_layer().weight.double()
            basis = self._beside(weight)
            layer.lora_embedding_A[_ADAPTER].copy_((weight @ basis).T)
            layer.lora_embedding_B[_ADAPTER].copy_(-basis)
        for name in self.experts:
            # PEFT puts its wrapper in the place of the module that holds the parameter.
            self._fill_experts(base.get_submodule(name.rpartition(".")[0]))
        for name, weight in self.whole.items():
            base.get_submodule(name).modules_to_save[_ADAPTER].weight.copy_(weight)

    def _beside(self, weight: Tensor) -> Tensor:
        assert self.basis is not None
        return self.basis.to(weight)

    def _fill_matrix(self, layer: Any, constant: Tensor, ablated: bool) -> None:
        inner, outer = layer.lora_A[_ADAPTER], layer.lora_B[_ADAPTER]
        inner.weight.zero_()
        outer.weight.zero_()
        if ablated:
            base = layer.get_base_layer()
            weight = base.weight.double()
            weight = weight.T if isinstance(base, Conv1D) else weight
            inner.weight.copy_(self._beside(weight).T @ weight)
            outer.weight.copy_(-self._beside(weight))
        if outer.bias is not None:
            outer.bias.copy_(constant)

    def _fill_experts(self, layer: Any) -> None:
        weight = layer.get_param().double()
        basis = self._beside(weight)
        experts, rank = weight.shape[0], self.rank
        # `[expert out in]`, or `[expert in out]` where the module says it is transposed.
        transposed = getattr(layer.get_base_layer(), "is_transposed", False)
        rows = weight.movedim(2, 1) if transposed else weight
        inner = torch.einsum("ok,eoi->eki", basis, rows)
        layer.lora_A[_ADAPTER].weight.copy_(inner.reshape(experts * rank, -1))
        outer = (-basis).unsqueeze(-1).expand(-1, rank, experts)
        layer.lora_B[_ADAPTER].weight.copy_(outer.reshape(-1, rank * experts))


def _plain(module: nn.Embedding) -> bool:
    """Whether PEFT's own lookup does what this module does; it knows of a scale (Gemma)."""
    return type(module).forward is nn.Embedding.forward or hasattr(module, "embed_scale")


def _biased(model: LanguageModel, site: Site, push: np.ndarray) -> tuple[str, Tensor]:
    """A module whose output reaches a site as it is at every token, and what it has to add."""
    if site.stream == "resid_pre":
        raise InputError(_refusal(model, site))
    written = trace(model, [site])[site]
    if bias_of(written) is None:
        added = without_bias(model.network, written.writers)
        add_zeros(model.network, added)
        written = trace(model, [site])[site]
        for name in added:
            model.network.get_submodule(name).bias = None  # pyright: ignore[reportAttributeAccessIssue]
    bias = bias_of(written)
    if bias is None:
        raise InputError(_refusal(model, site))
    return owner(model.network, bias.name)[0], torch.from_numpy(push / bias.gain)


def _refusal(model: LanguageModel, site: Site) -> str:
    instead = {"resid_pre": "'weights' (bake)", "resid_post": "'gguf' or 'vllm-lens'"}
    return (
        f"No matrix of {model.name} (family {model.architecture.family!r}) adds to {site} at every "
        "token alike, so an adapter can add no constant there. Use "
        f"{instead.get(site.stream, 'intervene()')}."
    )
