"""Tiny models of many families, built from their configs with random weights."""

import functools
from dataclasses import dataclass
from typing import Any

import torch
import toy as toys
from transformers import AutoConfig, AutoModelForCausalLM

from repalign import checks
from repalign.models import LanguageModel

LAYERS, WIDTH = 3, 32
ALL = ("resid_pre", "resid_mid", "resid_post", "heads", "attn_out", "mlp_out")
SIDE_BY_SIDE = ("resid_pre", "resid_post", "heads", "attn_out", "mlp_out")
ONLY_BOUNDARIES = ("resid_pre", "resid_post")

_VOCABULARY = 160
_CONTEXT = 160
_PLAIN = {
    "vocab_size": _VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "initializer_range": 0.2,
}
_GPT = {
    "vocab_size": _VOCABULARY,
    "n_embd": WIDTH,
    "n_layer": LAYERS,
    "n_head": 4,
    "n_positions": _CONTEXT,
    "initializer_range": 0.2,
}
_WIDE = {**_PLAIN, "intermediate_size": 48, "max_position_embeddings": _CONTEXT}
_GROUPED = {**_WIDE, "num_key_value_heads": 2, "head_dim": 8}


@dataclass(frozen=True)
class Family:
    """A family, where its blocks are known to be, and the streams that they have."""

    config: dict[str, Any]
    blocks: str = "model.layers"
    streams: tuple[str, ...] = ALL
    kind: str = ""
    """`model_type`, where it is not the key."""
    sums: bool = True
    """Whether a block adds its attention and MLP to the stream as they are."""
    states: int = 1
    """Index in `hidden_states` of what block 0 puts out."""


FAMILIES: dict[str, Family] = {
    "gpt2": Family(_GPT, "transformer.h"),
    "opt": Family(
        {**_PLAIN, "ffn_dim": 48, "word_embed_proj_dim": WIDTH, "max_position_embeddings": 160},
        "model.decoder.layers",
    ),
    "bloom": Family({**_PLAIN, "n_layer": LAYERS, "n_head": 4}, "transformer.h"),
    "mpt": Family(
        {
            "vocab_size": _VOCABULARY,
            "d_model": WIDTH,
            "n_layers": LAYERS,
            "n_heads": 4,
            "max_seq_len": _CONTEXT,
        },
        "transformer.blocks",
    ),
    "gpt_neox": Family(_WIDE, "gpt_neox.layers", SIDE_BY_SIDE),
    "gpt_neox, in sequence": Family(
        {**_WIDE, "use_parallel_residual": False}, "gpt_neox.layers", kind="gpt_neox"
    ),
    "gpt_neo": Family(
        {
            "vocab_size": _VOCABULARY,
            "hidden_size": WIDTH,
            "num_layers": LAYERS,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1], [["global"], 1]],
            "max_position_embeddings": _CONTEXT,
        },
        "transformer.h",
    ),
    "gptj": Family({**_GPT, "rotary_dim": 4}, "transformer.h", SIDE_BY_SIDE),
    "codegen": Family({**_GPT, "rotary_dim": 4}, "transformer.h", SIDE_BY_SIDE),
    "llama": Family(_WIDE),
    "llama, wide heads": Family({**_GROUPED, "head_dim": 12}, kind="llama"),
    "mistral": Family(_GROUPED),
    "gemma2": Family(_GROUPED),
    "gemma3_text": Family(_GROUPED),
    "qwen3": Family(_GROUPED),
    "phi": Family(_WIDE, streams=SIDE_BY_SIDE),
    "phi3": Family({**_WIDE, "pad_token_id": 0}),
    "stablelm": Family({**_WIDE, "num_key_value_heads": 4}),
    "stablelm, side by side": Family(
        {**_WIDE, "num_key_value_heads": 4, "use_parallel_residual": True},
        streams=SIDE_BY_SIDE,
        kind="stablelm",
    ),
    "falcon": Family(_PLAIN, "transformer.h", SIDE_BY_SIDE),
    "falcon, in sequence": Family(
        {**_PLAIN, "parallel_attn": False}, "transformer.h", kind="falcon"
    ),
    "falcon, new decoder": Family(
        {**_PLAIN, "new_decoder_architecture": True, "num_kv_heads": 2},
        "transformer.h",
        SIDE_BY_SIDE,
        kind="falcon",
    ),
    "cohere": Family(_WIDE, streams=SIDE_BY_SIDE),
    "olmo2": Family(_WIDE),
    "glm4": Family({**_GROUPED, "pad_token_id": 0}),
    "granite": Family({**_WIDE, "residual_multiplier": 0.5}, sums=False),
    "mixtral": Family({**_GROUPED, "num_local_experts": 4}),
    "qwen3_moe": Family(
        {**_GROUPED, "moe_intermediate_size": 24, "num_experts": 4, "num_experts_per_tok": 2}
    ),
    "deepseek_v3": Family(
        {
            **_WIDE,
            "moe_intermediate_size": 24,
            "n_routed_experts": 4,
            "n_group": 1,
            "topk_group": 1,
            "num_experts_per_tok": 2,
            "first_k_dense_replace": 1,
            "q_lora_rank": 8,
            "kv_lora_rank": 8,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 8,
            "v_head_dim": 8,
            "num_key_value_heads": 4,
        }
    ),
    "mamba": Family(
        {
            "vocab_size": _VOCABULARY,
            "hidden_size": WIDTH,
            "num_hidden_layers": LAYERS,
            "state_size": 8,
        },
        "backbone.layers",
        ONLY_BOUNDARIES,
        states=0,
    ),
    "jamba": Family(
        {
            **_WIDE,
            "num_key_value_heads": 2,
            "num_experts": 2,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
        },
        streams=("resid_pre", "resid_post", "mlp_out"),
    ),
}


@functools.cache
def words() -> Any:
    """The toy's tokenizer: its ids fit every family."""
    return toys.tokenizer()


@functools.cache
def model(name: str) -> LanguageModel:
    """The tiny model of a family; shared, so leave it as it is."""
    family = FAMILIES[name]
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family.kind or name, **family.config, bos_token_id=0, eos_token_id=1
    )
    return LanguageModel(AutoModelForCausalLM.from_config(config), words(), name)


def unchecked(name: str) -> LanguageModel:
    """A model of its own around the same network, whose checks are taken as passed."""
    shared = model(name)
    made = LanguageModel(shared.network, shared.tokenizer, name)
    made.checked = checks.Report(())
    return made
