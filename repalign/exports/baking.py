"""bake(): a copy of a model whose weights do what interventions did."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from repalign.errors import InputError
from repalign.exports.biases import bias_of, switch_on, without_bias
from repalign.exports.copying import editable, ensure_same, untie
from repalign.exports.requests import Request
from repalign.exports.writers import Writer, Written, all_writers, listed, trace, trial
from repalign.interventions import Intervention
from repalign.interventions.everywhere import everywhere
from repalign.models import LanguageModel
from repalign.sites import Site

# What may be left along an ablated direction, as a share of a state, by number format.
_CLEAN = {torch.float64: 1e-8, torch.float32: 1e-5}
_COARSE = 0.02
_PIECE = 8192
# Large beside any embedding, and small enough for float16 after Gemma's scaling.
_LARGE = 256.0


def bake(model: LanguageModel, interventions: Mapping[Site, Intervention]) -> LanguageModel:
    """Edit a copy of the weights so that it computes what the model does under hooks.

    `Ablate` has to stand everywhere (`interventions.everywhere`): `W ← (I − V Vᵀ) W` for every
    matrix that writes to the residual stream, and for its bias (arXiv 2406.11717, weight
    orthogonalisation); fused experts and learned position embeddings too. A read-out that was tied
    to the embeddings keeps its weights, for it does not write. `Add` and `Shift` become biases,
    also at `heads`, where the push goes through the output projection (as in the code of ITI, arXiv
    2306.03341). Differs from both in that the matrices are found from gradients, not by name, and
    that the result is compared with the hooks before it is handed out.

    Args:
        model: it stays as it is, bit for bit.
        interventions: `Ablate` everywhere, `Add` and `Shift` at any site, or both.

    Returns:
        A model of the same family, as fast as the first; `save` writes it.

    Raises:
        InputError: something that weights cannot hold, or that this family's cannot: the message
            lists what would be left untouched.
        CheckError: the copy does not do what the hooks do.
    """
    request = Request.of(model, interventions, "weights")
    baked = editable(model)
    if request.basis is not None or Site(0, "resid_pre") in request.pushes:
        untie(baked.network)
    if request.basis is not None:
        basis = torch.from_numpy(request.basis)
        writers = ablatable(baked)
        for writer in writers:
            project(baked.network.get_parameter(writer.name), writer.axis, basis)
        refuse_unclean(baked, basis, model, writers)
    _push(baked, request.pushes)
    ensure_same(model, interventions, baked)
    baked.name = f"{model.name}+baked"
    return baked


def ablatable(model: LanguageModel) -> list[Writer]:
    """All that writes to the stream, if projecting it keeps the stream clean.

    Raises:
        InputError: something is normalised after it was written, or was never reached.
    """
    found = trace(model, list(everywhere(model, lambda states: states)))
    scaled = [name for written in found.values() for name in written.scales]
    empty = [str(site) for site, written in found.items() if not written.writers]
    if scaled or empty:
        raise InputError(
            f"An ablation cannot be put into the weights of {model.name} (family "
            f"{model.architecture.family!r}): what its matrices write is normalised once more "
            "before it enters the stream, by modules that would be left untouched: "
            f"{listed(scaled) or 'those at ' + ', '.join(empty)}. Use intervene()."
        )
    writers, unknown = all_writers(model, found)
    if unknown:
        raise InputError(
            "No token of a trial reached these parameters, so it is not known whether they write "
            f"to the stream; they would be left untouched: {listed(unknown)}. Use intervene()."
        )
    return writers


@torch.no_grad()
def project(parameter: nn.Parameter, axis: int, basis: Float[Tensor, "d_model rank"]) -> None:
    """Take the directions out of an axis of a parameter; computed in float64."""
    view = parameter.movedim(axis, -1)
    # A vocabulary is worked off in pieces: its float64 copy would be large.
    for part in view.split(_PIECE) if view.ndim > 1 else (view,):
        high = part.double()
        columns = basis.to(high)
        part.copy_(high - (high @ columns) @ columns.T)


def refuse_unclean(
    edited: LanguageModel,
    basis: Float[Tensor, "d_model rank"],
    model: LanguageModel,
    writers: Sequence[Writer],
) -> None:
    """Look along the directions at every place of the stream.

    Args:
        edited: a model whose writers were edited.
        basis: what has to be gone.
        model: the model as it was.
        writers: what was edited of it.

    Raises:
        InputError: something is left; the message lists the modules that may have written it.
    """
    streams = [s for s in ("resid_mid", "resid_post") if s in model.architecture.streams]
    sites = [Site(0, "resid_pre"), *(site for stream in streams for site in model.sites(stream))]
    found = edited.capture(trial(model), sites)
    allowed = _CLEAN.get(model.dtype, _COARSE)
    for site in sorted(sites):
        state = found[site].double()
        left = float(((state @ basis.to(state)).norm(dim=-1) / state.norm(dim=-1)).max())
        if not left <= allowed:
            names = _others(model, writers, site.layer) or [f"those before {site}"]
            raise InputError(
                f"An ablation cannot be put into the weights of {model.name} (family "
                f"{model.architecture.family!r}): at {site} {left:.1g} of a state still lies along "
                "it. Modules that may write to the stream and would be left untouched: "
                f"{listed(names)}. Use intervene()."
            )


def _others(model: LanguageModel, writers: Sequence[Writer], layer: int) -> list[str]:
    """Matrices of a block whose output is as wide as the stream and that were not edited."""
    edited = {writer.name for writer in writers}
    inside = {id(module) for module in model.architecture.layers[layer].modules()}
    names = []
    for name, module in model.network.named_modules():
        if id(module) in inside and isinstance(module, nn.Linear | Conv1D):
            width = module.nf if isinstance(module, Conv1D) else module.out_features
            if width == model.d_model and f"{name}.weight" not in edited:
                names.append(name)
    return names


def _push(model: LanguageModel, pushes: Mapping[Site, np.ndarray]) -> None:
    heads = {site: push for site, push in pushes.items() if site.stream == "heads"}
    first = {site: push for site, push in pushes.items() if site.stream == "resid_pre"}
    rest = {s: push for s, push in pushes.items() if s not in heads and s not in first}
    for site, push in heads.items():
        _push_heads(model, site, push)
    for site, push in first.items():
        _push_embeddings(model, site, push)
    found = _with_biases(model, list(rest))
    for site, push in rest.items():
        bias = bias_of(found[site])
        assert bias is not None
        _add(model.network.get_parameter(bias.name), push / bias.gain)


def _with_biases(model: LanguageModel, sites: Sequence[Site]) -> dict[Site, Written]:
    """Trace the sites again and again, switching biases on, until each of them has one."""
    found = trace(model, sites) if sites else {}
    while lacking := [site for site in sites if bias_of(found[site]) is None]:
        modules = without_bias(model.network, found[lacking[0]].writers)
        if not switch_on(model, modules):
            raise InputError(_no_bias(model, lacking[0]))
        found = trace(model, sites)
    return found


def _no_bias(model: LanguageModel, site: Site) -> str:
    vectors = " or, as a vector, as 'gguf' or 'vllm-lens'" if site.stream == "resid_post" else ""
    return (
        f"Nothing in the weights of {model.name} (family {model.architecture.family!r}) adds a "
        f"constant at {site}, and no switch of its config gives it a bias there that would load "
        f"again. Export it in the form 'lora'{vectors}."
    )


def _push_heads(model: LanguageModel, site: Site, push: np.ndarray) -> None:
    projection = model.architecture.projection(site.layer)
    if projection.bias is None:
        name = next(name for name, m in model.network.named_modules() if m is projection)
        if not switch_on(model, [name]):
            raise InputError(_no_bias(model, site))
    _add(projection.get_parameter("bias"), projected(projection, push))


def projected(projection: nn.Module, push: np.ndarray) -> Float[np.ndarray, " d_model"]:
    """What a push of the heads becomes behind their output projection."""
    weight = projection.get_parameter("weight").detach().double().cpu().numpy()
    return push @ weight if isinstance(projection, Conv1D) else weight @ push


def _push_embeddings(model: LanguageModel, site: Site, push: np.ndarray) -> None:
    """Before the first block: a bias behind the embeddings, or else every token's embedding."""
    written = trace(model, [site])[site]
    bias = bias_of(written)
    if bias is not None:
        _add(model.network.get_parameter(bias.name), push / bias.gain)
        return
    table = model.network.get_input_embeddings()
    name = next(name for name, p in model.network.named_parameters() if p is table.weight)
    if name not in {writer.name for writer in written.writers}:
        raise InputError(_no_bias(model, site))
    _add(table.weight, push / _embedding_gain(model, site, table))


@torch.no_grad()
def _embedding_gain(model: LanguageModel, site: Site, table: nn.Module) -> float:
    """What arrives at the first block of a 1 that is added to every embedding (Gemma scales)."""
    weight = table.get_parameter("weight")
    before, kept = model.capture(trial(model), [site])[site], weight.detach().clone()
    weight += _LARGE
    after = model.capture(trial(model), [site])[site]
    weight.copy_(kept)
    return float((after - before).double().median()) / _LARGE


@torch.no_grad()
def _add(parameter: nn.Parameter, push: np.ndarray) -> None:
    high = parameter.detach().double()
    parameter.copy_(high + torch.from_numpy(push).to(high))
