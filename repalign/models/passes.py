"""Run the passes of a plan: rows of a trie, each node attending to its ancestors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from repalign.models.language_model import LanguageModel
from repalign.prefixes import Pass, Plan, Trie
from repalign.sites import Site
from repalign.tokens import Tokens

_ATTENTION = ("sdpa", "eager")
"""Implementations of attention that take an additive mask `[batch 1 query key]`."""


@dataclass(frozen=True, eq=False)
class Read:
    """What one pass read."""

    nodes: np.ndarray
    """Nodes of the trie, ascending; each wanted one comes in one pass only."""
    values: dict[Site, Tensor]
    """For each site `[node d_model]`, float32, on the CPU."""


def run(model: LanguageModel, plan: Plan, sites: Sequence[Site]) -> Iterator[Read]:
    """Run a plan and hand over what is wanted of each pass.

    Passes end after the deepest site, and so does the cached state of a trunk.

    Args:
        model: the model, in evaluation mode.
        plan: its trie says which nodes are wanted.
        sites: where to read.
    """
    wanted = np.zeros(len(plan.trie), dtype=bool)
    wanted[plan.trie.wanted] = True
    last_use = {step.trunk: index for index, step in enumerate(plan.passes)}
    states: dict[int | None, DynamicCache] = {}
    for index, step in enumerate(plan.passes):
        row, column, nodes = _kept(step, wanted)
        wanted[nodes] = False

        def keep(tensor: Tensor, row: Tensor = row, column: Tensor = column) -> Tensor:
            picked = tensor[row.to(tensor.device), column.to(tensor.device)]
            return picked.to(dtype=torch.float32).cpu()

        tokens, options = _inputs(model, plan.trie, step)
        if step.kept:
            states[index] = _grown(states.get(step.trunk))
            options |= {"past_key_values": states[index], "use_cache": True}
        elif step.trunk is not None:
            options |= {"past_key_values": _shared(states[step.trunk]), "use_cache": True}
        yield Read(nodes, model.capture(tokens, sites, keep, **options))
        if last_use[step.trunk] == index:
            states.pop(step.trunk, None)


def obstacle(model: LanguageModel) -> str | None:
    """Why this model cannot run a plan with shared prefixes, as far as its settings tell.

    What they do not tell, the self-check `prefixes` finds.
    """
    attention = getattr(model.network.config, "_attn_implementation", None)
    if attention not in _ATTENTION:
        return f"its attention is {attention!r}, which takes no mask of its own along branches"
    config = model.network.config.get_text_config(decoder=True)
    if "local" in (getattr(config, "attention_layers", None) or ()):
        # GPT-Neo adds the window of such layers by column, whatever the mask says.
        return "its local attention counts columns of the batch, not tokens of a text"
    if "past_key_values" not in model.architecture.forward_names:
        return "its state is no key-value cache"
    return None


def _kept(step: Pass, wanted: np.ndarray) -> tuple[Tensor, Tensor, np.ndarray]:
    """Row and column of every wanted node; of one that several rows repeat, the first."""
    lengths = [len(row) for row in step.rows]
    nodes = np.concatenate(step.rows)
    row = np.repeat(np.arange(len(lengths)), lengths)
    column = np.concatenate([np.arange(length) for length in lengths])
    nodes, first = np.unique(nodes, return_index=True)
    first, nodes = first[wanted[nodes]], nodes[wanted[nodes]]
    return torch.from_numpy(row[first]), torch.from_numpy(column[first]), nodes


def _inputs(model: LanguageModel, trie: Trie, step: Pass) -> tuple[Tokens, dict[str, Any]]:
    tokens = Tokens.pad([trie.token[row].tolist() for row in step.rows], model.pad_id)
    if step.before == 0 and all(_unbranched(trie, row) for row in step.rows):
        # The model's own causal mask is right here, and faster for long texts.
        return tokens, {}
    shape = (len(step.rows), step.width)
    nodes = np.full(shape, -1)
    for index, row in enumerate(step.rows):
        nodes[index, : len(row)] = row
    places = torch.from_numpy(np.where(nodes < 0, step.before, trie.depth[nodes]))
    options: dict[str, Any] = {"attention_mask": _mask(trie, nodes, step.before, model)}
    if "position_ids" in model.architecture.forward_names:
        options["position_ids"] = places.to(model.device)
    return tokens, options


def _unbranched(trie: Trie, row: np.ndarray) -> bool:
    return bool((trie.parent[row[1:]] == row[:-1]).all())


def _mask(trie: Trie, nodes: np.ndarray, before: int, model: LanguageModel) -> Tensor:
    """Additive attention mask `[batch 1 query key]`: a node sees the trunk and its ancestors."""
    query, key = nodes[:, :, np.newaxis], nodes[:, np.newaxis, :]
    # Preorder: the nodes from `key` to `end[key]` are those below it. Padding sees itself, since a
    # softmax over nothing is NaN.
    seen = (key <= query) & (query < trie.end[key]) & (key >= 0)
    seen |= (query < 0) & np.eye(nodes.shape[1], dtype=bool)
    trunk = np.ones((*nodes.shape, before), dtype=bool)
    visible = torch.from_numpy(np.concatenate([trunk, seen], axis=2))[:, None].to(model.device)
    mask = torch.zeros(visible.shape, dtype=model.dtype, device=model.device)
    return mask.masked_fill_(~visible, torch.finfo(model.dtype).min)


def _grown(trunk: DynamicCache | None) -> DynamicCache:
    """A cache that begins with a trunk's state and keeps what is added to it."""
    if trunk is None:
        return DynamicCache()
    return DynamicCache([(layer.keys, layer.values) for layer in _filled(trunk)])


def _shared(trunk: DynamicCache) -> DynamicCache:
    """A cache that shows a trunk's state to every row and keeps nothing of the rows."""
    cache = DynamicCache()
    layers: list[Any] = [_SharedLayer(layer) for layer in _filled(trunk)]
    cache.layers = layers
    return cache


def _filled(cache: DynamicCache) -> list[Any]:
    """The layers that a pass reached: it ends after the deepest site."""
    layers: list[Any] = cache.layers
    return [layer for layer in layers if layer.is_initialized]


class _SharedLayer(DynamicLayer):
    """The trunk's state `[1 head pos d_head]`, in front of that of each row."""

    keys: Tensor
    values: Tensor

    def __init__(self, trunk: Any) -> None:
        super().__init__()
        self.keys, self.values = trunk.keys, trunk.values
        self.dtype, self.device = self.keys.dtype, self.keys.device
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Return trunk and rows together, and store nothing."""
        shape = (len(key_states), -1, -1, -1)
        keys = torch.cat([self.keys.expand(*shape), key_states], dim=-2)
        return keys, torch.cat([self.values.expand(*shape), value_states], dim=-2)
