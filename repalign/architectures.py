"""Where a model's blocks are, found from its structure, and what they call their parts."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from repalign.errors import InputError
from repalign.sites import Site

# What a block calls the module whose output is added to the stream. Tried in this order where the
# family is not listed in _NAMES; `checks` verifies the sum, so a wrong guess is found at first use.
_ATTENTION = ("self_attn", "attn", "attention", "self_attention")
_MLP = ("mlp", "feed_forward", "block_sparse_moe", "moe", "ffn")
# What an attention module calls the projection of its heads back to the stream.
_PROJECTION = ("o_proj", "out_proj", "c_proj", "dense", "wo", "attention.out_proj")


@dataclass(frozen=True)
class _Names:
    attention: str
    mlp: str


# Families whose attention or MLP module is not what is added to the stream: some normalise it once
# more, some add the residual inside the module.
_NAMES: Mapping[str, _Names] = {
    "bloom": _Names("self_attention.dense", "mlp.dense_4h_to_h"),
    "mpt": _Names("attn", "ffn.down_proj"),
    "opt": _Names("self_attn", "fc2"),
    "gemma2": _Names("post_attention_layernorm", "post_feedforward_layernorm"),
    "gemma3_text": _Names("post_attention_layernorm", "post_feedforward_layernorm"),
    "gemma3": _Names("post_attention_layernorm", "post_feedforward_layernorm"),
    "olmo2": _Names("post_attention_layernorm", "post_feedforward_layernorm"),
    "glm4": _Names("post_self_attn_layernorm", "post_mlp_layernorm"),
}
# Families in which attention and MLP read the same input, so no stream lies between them; for the
# second group a switch in the config says so. `checks` finds families that are missing here.
_PARALLEL = frozenset({"phi", "gptj", "codegen", "cohere", "cohere2"})
_PARALLEL_SWITCH = {
    "gpt_neox": "use_parallel_residual",
    "stablelm": "use_parallel_residual",
    "falcon": "parallel_attn",
}


@dataclass(frozen=True)
class Architecture:
    """A model's blocks and the modules inside them."""

    decoder: nn.Module
    """What every pass goes through: it takes token ids and runs the blocks."""
    layers: nn.ModuleList
    """The blocks, in order."""
    d_model: int
    family: str
    """`model_type` of the text config."""
    parallel: bool
    """Whether attention and MLP read the same input."""
    context: int | None
    """The longest text in tokens, or None where the config does not bound it."""
    window: int | None
    """How many tokens attention looks back, in some layers at least; None where it sees all."""
    scaled_beyond: int | None
    """Texts longer than this have rotary positions that depend on their length; None without."""
    forward_names: frozenset[str]
    """The keyword arguments that the network's forward accepts."""

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """The streams that every block of this model has."""
        found = ["resid_pre"]
        attention = all(self._named(block, "attention") is not None for block in self.layers)
        mlp = all(self._named(block, "mlp") is not None for block in self.layers)
        if attention and mlp and not self.parallel:
            found.append("resid_mid")
        found.append("resid_post")
        if all(self._projection(block) is not None for block in self.layers):
            found.append("heads")
        if attention:
            found.append("attn_out")
        if mlp:
            found.append("mlp_out")
        return tuple(found)

    def check(self, site: Site) -> None:
        """Raise `InputError` when this model has no such site."""
        if site.layer >= len(self.layers):
            raise InputError(
                f"There is no site {site}: this model has {len(self.layers)} layers, "
                f"0 to {len(self.layers) - 1}."
            )
        if site.stream not in self.streams:
            raise InputError(
                f"There is no site {site}: blocks of family {self.family!r} offer the streams "
                f"{', '.join(self.streams)}."
            )

    def width(self, site: Site) -> int:
        """The width of the states that pass a site; `d_model` everywhere but at `heads`."""
        if site.stream != "heads":
            return self.d_model
        module = self.projection(site.layer)
        # Asked first, for a quantised weight may be packed into another shape.
        named = getattr(module, "in_features", None)
        if named is not None:
            return int(named)
        # The Conv1D of GPT-2 keeps its weight the other way round.
        return int(module.weight.shape[0 if isinstance(module, Conv1D) else 1])

    def projection(self, layer: int) -> Any:
        """The module of this layer that projects what the heads say back to the stream."""
        module = self._projection(self.layers[layer])
        if module is None:
            raise InputError(f"Layer {layer} of family {self.family!r} has no output projection.")
        return module

    def attention(self, layer: int) -> nn.Module:
        """The module of this layer whose output the attention adds to the stream."""
        return self._part(layer, "attention")

    def mlp(self, layer: int) -> nn.Module:
        """The module of this layer whose output the MLP adds to the stream."""
        return self._part(layer, "mlp")

    def _projection(self, block: nn.Module) -> nn.Module | None:
        inside = (child for name, child in block.named_children() if name in _ATTENTION)
        return next(filter(None, (_first(child, _PROJECTION) for child in inside)), None)

    def _part(self, layer: int, part: str) -> nn.Module:
        module = self._named(self.layers[layer], part)
        if module is None:
            raise InputError(f"Layer {layer} of family {self.family!r} has no {part} module.")
        return module

    def _named(self, block: nn.Module, part: str) -> nn.Module | None:
        if self.family in _NAMES:
            names: tuple[str, ...] = (getattr(_NAMES[self.family], part),)
        else:
            names = _ATTENTION if part == "attention" else _MLP
        return _first(block, names)


def _first(module: nn.Module, names: Sequence[str]) -> nn.Module | None:
    for name in names:
        try:
            return module.get_submodule(name)
        except AttributeError:
            continue
    return None


def find(network: nn.Module) -> Architecture:
    """Find the blocks of a Hugging Face causal language model.

    The decoder comes from `get_decoder()`; the blocks are its shallowest `ModuleList` as long
    as the text config says there are hidden layers. No table of model names is used.

    Args:
        network: a `PreTrainedModel`, or a PEFT model around one.

    Returns:
        Its architecture.

    Raises:
        InputError: the network has no text config, or no list of blocks of that length.
    """
    config: Any = getattr(network, "config", None)
    if config is None or not hasattr(config, "get_text_config"):
        raise InputError(
            f"{type(network).__name__} has no Hugging Face config; give a causal language model "
            "of transformers."
        )
    text = config.get_text_config(decoder=True)
    getter = getattr(network, "get_decoder", None)
    decoder = getter() if callable(getter) else network
    if not isinstance(decoder, nn.Module):
        decoder = network
    count = text.num_hidden_layers
    lists = [
        (name.count("."), module)
        for name, module in decoder.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    if not lists:
        raise InputError(
            f"{type(network).__name__} has no list of {count} blocks, the number of hidden layers "
            "that its config names."
        )
    family = str(text.model_type)
    switch = _PARALLEL_SWITCH.get(family)
    parallel = bool(getattr(text, switch)) if switch else family in _PARALLEL
    return Architecture(
        decoder=decoder,
        layers=min(lists, key=lambda pair: pair[0])[1],
        d_model=int(text.hidden_size),
        family=family,
        parallel=parallel,
        context=_context(text),
        window=_window(text),
        scaled_beyond=_scaled_beyond(text),
        forward_names=frozenset(_parameters(network)),
    )


def _parameters(network: nn.Module) -> Iterator[str]:
    # What torch.compile wraps around a network takes anything.
    inner: Any = getattr(network, "_orig_mod", network)
    inner = inner.get_base_model() if hasattr(inner, "get_base_model") else inner
    yield from inspect.signature(inner.forward).parameters


def _context(config: Any) -> int | None:
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            # ALiBi and recurrent families carry the field without a hard limit behind it.
            return None if config.model_type in ("bloom", "mamba", "mamba2") else value
    return None


def _window(config: Any) -> int | None:
    if getattr(config, "use_sliding_window", True) is False:
        return None
    sizes = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return min((size for size in sizes if isinstance(size, int) and size > 0), default=None)


def _scaled_beyond(config: Any) -> int | None:
    rope = getattr(config, "rope_parameters", None) or {}
    sizes = []
    # One set of parameters, or one for each kind of layer.
    for part in [rope, *(value for value in rope.values() if isinstance(value, dict))]:
        if part.get("rope_type") in ("dynamic", "longrope"):
            sizes.append(part.get("original_max_position_embeddings"))
            sizes.append(getattr(config, "original_max_position_embeddings", None))
            sizes.append(getattr(config, "max_position_embeddings", None))
    return min((size for size in sizes if isinstance(size, int) and size > 0), default=None)


def main_tensor(output: object) -> Tensor:
    """The tensor `[batch pos d_model]` of what a module put out: the tensor, or first of a tuple.

    Raises:
        TypeError: neither a tensor nor a tuple that begins with one.
    """
    tensor = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"A module put out {type(output).__name__}, not a tensor or a tuple of one."
        )
    return tensor


def replaced(output: object, tensor: Tensor) -> object:
    """The same output with its first tensor replaced."""
    if isinstance(output, tuple):
        return (tensor, *output[1:])
    if isinstance(output, list):
        return [tensor, *output[1:]]
    return tensor
