"""Writers: the parameters that write to the residual stream, found by differentiating."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from repalign.models import LanguageModel, SiteFunction
from repalign.models.hooking import attached
from repalign.sites import Site
from repalign.tokens import Tokens

_ROWS, _WIDTH = 3, 8


@dataclass(frozen=True)
class Writer:
    """A parameter whose rows along one axis are the channels of the stream."""

    name: str
    axis: int
    gain: float | None = None
    """Of a vector `[d_model]` that is added to the stream at every position: how often."""


@dataclass(frozen=True)
class Written:
    """How the parameters of one block, or those outside of all blocks, reach a site."""

    writers: tuple[Writer, ...]
    scales: tuple[str, ...]
    """What multiplies the channels one by one, as the gain of a norm does: behind it nothing can be
    projected out by editing matrices."""
    unmoved: tuple[str, ...]
    """Parameters as wide as the stream from which no trial token got here."""
    mixing: tuple[str, ...]
    """Those of which more than one channel here depends on a row: they write somewhere else."""


def trial(model: LanguageModel) -> Tokens:
    """A batch of tokens from all over the vocabulary; rows of equal length, nothing padded."""
    table = model.network.get_input_embeddings()
    # No gradient reaches the row of the padding token.
    skipped = getattr(table, "padding_idx", None)
    allowed = torch.tensor([i for i in range(table.weight.shape[0]) if i != skipped])
    places = torch.linspace(0, len(allowed) - 1, _ROWS * _WIDTH).long()
    ids = allowed[places].reshape(_ROWS, _WIDTH)
    return Tokens(ids, torch.ones_like(ids, dtype=torch.bool))


def trace(model: LanguageModel, sites: Sequence[Site]) -> dict[Site, Written]:
    """Find out for each site which parameters write there.

    A matrix writes when each channel of the site depends on one row of it, and on all rows in the
    same way: then projecting its rows projects what arrives. Asked of the gradient: for a sum over
    half of the channels it must vanish in the rows of the other half, exactly, and be the same in
    each row of this half. No names of modules are needed.

    Args:
        model: a copy that may be changed; its parameters have to be plain floating-point numbers.
        sites: `resid_pre` of layer 0, for what lies outside of the blocks; or streams after it,
            for what lies in the site's block.
    """
    parameters = dict(model.network.named_parameters())
    inside = {id(p) for block in model.architecture.layers for p in block.parameters()}
    outer = {name: p for name, p in parameters.items() if id(p) not in inside}
    flags = {name: p.requires_grad for name, p in parameters.items()}
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    states = _states(model, sites)
    found = {}
    for site, state in states.items():
        scope = outer
        if site.stream != "resid_pre":
            own = {id(p) for p in model.architecture.layers[site.layer].parameters()}
            scope = {name: p for name, p in parameters.items() if id(p) in own}
        wide = {n: p for n, p in scope.items() if model.d_model in p.shape}
        found[site] = _written(state, wide)
    for name, parameter in parameters.items():
        parameter.requires_grad_(flags[name])
    return found


def all_writers(
    model: LanguageModel, found: Mapping[Site, Written]
) -> tuple[list[Writer], list[str]]:
    """Every writer of a trace once, and the matrices of blocks of which nothing is known.

    An expert to which no trial token was sent is judged by its siblings: parameters whose names
    differ in numbers only do the same.
    """
    writers = {w.name: w for written in found.values() for w in written.writers}
    patterns = {_pattern(name): writer.axis for name, writer in writers.items()}
    others = {_pattern(name) for written in found.values() for name in written.mixing}
    unknown = []
    for layer in range(model.n_layers):
        there = [set(w.unmoved) for site, w in found.items() if _in_block(site, layer)]
        for name in sorted(set.intersection(*there)) if there else ():
            if _pattern(name) in patterns:
                writers[name] = Writer(name, patterns[_pattern(name)])
            elif _pattern(name) not in others and model.network.get_parameter(name).ndim > 1:
                unknown.append(name)
    return list(writers.values()), unknown


def listed(names: Iterable[str]) -> str:
    """Names in a sentence; those that differ in numbers only, as layers do, are given once."""
    patterns: dict[str, list[str]] = {}
    for name in names:
        patterns.setdefault(_pattern(name), []).append(name)
    return ", ".join(
        same[0] if len(same) == 1 else f"{pattern} ({len(same)} times)"
        for pattern, same in patterns.items()
    )


def _pattern(name: str) -> str:
    return re.sub(r"\d+", "*", name)


def _in_block(site: Site, layer: int) -> bool:
    return site.layer == layer and site.stream != "resid_pre"


def _states(model: LanguageModel, sites: Sequence[Site]) -> dict[Site, Tensor]:
    states: dict[Site, Tensor] = {}

    def keeper(site: Site) -> SiteFunction:
        def keep(tensor: Tensor) -> None:
            # A copy: some families go on adding to the same tensor in place (Falcon).
            states[site] = tensor.clone()

        return keep

    functions = {site: keeper(site) for site in sites}
    with torch.enable_grad(), attached(model.architecture, functions, first=False):
        model.forward(trial(model))
    return {site: states[site] for site in functions}


def _written(
    state: Float[Tensor, "batch pos d_model"], parameters: dict[str, nn.Parameter]
) -> Written:
    random = torch.Generator().manual_seed(0)
    half = torch.rand(state.shape[-1], generator=random).argsort() < state.shape[-1] // 2
    # Small whole numbers: their sums are exact in every format.
    weights = torch.randint(1, 3, state.shape[:2], generator=random)
    grads = _gradients(state, parameters, half, weights)
    writers, scales = [], []
    for name, grad in grads.items():
        for axis in (a for a, size in enumerate(grad.shape) if size == len(half)):
            kind = _kind(grad.movedim(axis, 0), half.to(grad.device))
            if kind == "writes":
                writers.append(Writer(name, axis))
            elif kind == "scales":
                scales.append(name)
    vectors = {w.name: parameters[w.name] for w in writers if parameters[w.name].ndim == 1}
    again = _gradients(state, vectors, half, torch.ones_like(weights))
    channel = int(half.nonzero()[0])
    gains = {}
    for name, grad in again.items():
        once = float(grad[channel]) / weights.numel()
        weighted = float(grads[name][channel]) / float(weights.sum())
        # What is added more at some positions than at others, as in a routed expert, has no gain.
        gains[name] = once if abs(once - weighted) < 0.01 * abs(once) else None
    return Written(
        tuple(Writer(w.name, w.axis, gains.get(w.name)) for w in writers),
        tuple(scales),
        tuple(name for name in parameters if name not in grads),
        tuple(name for name in grads if name not in {w.name for w in writers} | set(scales)),
    )


def _gradients(
    state: Tensor, parameters: dict[str, nn.Parameter], half: Bool[Tensor, " d_model"], weights: Any
) -> dict[str, Tensor]:
    """Gradients of the weighted sum over half of the channels, where there are any."""
    if not parameters:
        return {}
    weighted = weights.unsqueeze(-1) * half
    grads = torch.autograd.grad(
        state,
        list(parameters.values()),
        weighted.to(state.device, state.dtype),
        retain_graph=True,
        allow_unused=True,
    )
    found = zip(parameters, grads, strict=True)
    return {name: grad for name, grad in found if grad is not None and bool(grad.any())}


def _kind(grad: Float[Tensor, "d_model ..."], half: Bool[Tensor, " d_model"]) -> str:
    here = grad[half]
    if bool(grad[~half].any()):
        return "mixes"
    tolerance = 1e-3 if grad.dtype in (torch.float32, torch.float64) else 3e-2
    spread = (here - here[:1]).abs().amax()
    return "writes" if bool(spread <= tolerance * here.abs().amax()) else "scales"
