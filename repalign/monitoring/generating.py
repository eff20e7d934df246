"""Generating: options of a generation that can be watched, and the run of one."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from repalign.errors import InputError
from repalign.models import LanguageModel
from repalign.models.modes import evaluating
from repalign.monitoring.recording import Recorder, Step, generating
from repalign.readouts import Readout
from repalign.tokens import Tokens

NEW_TOKENS = 64
"""Of an answer at most, where nothing else is asked for."""
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p")
# With these, rows are reordered, several tokens come in one pass, or a compiled network runs.
_PLAIN: Mapping[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_return_sequences": (1,),
    "prompt_lookup_num_tokens": (),
    "penalty_alpha": (),
    "dola_layers": (),
    "assistant_model": (),
    "assistant_early_exit": (),
    "custom_generate": (),
    "compile_config": (),
    "cache_implementation": ("dynamic", "dynamic_full", "offloaded", "quantized"),
    "past_key_values": (),
    "inputs_embeds": (),
    "streamer": (),
    "return_dict_in_generate": (False,),
    "generation_config": (),
}
_NOT_ROW_BY_ROW = ("stop_strings", "stopping_criteria")


class Generated(NamedTuple):
    """What a batch of prompts was answered."""

    ids: Tensor
    """`[row token]`; after the end of a row comes padding."""
    scores: Tensor
    probabilities: Tensor


def watchable(model: LanguageModel, options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options of `generate`.

    Decoding is greedy unless a temperature above 0 or another option of sampling is given; what is
    not given of these comes from the model's own generation config.

    Raises:
        InputError: options with which tokens are not fed one by one, or are not seen.
    """
    config = generating(model).generation_config
    for name, allowed in _PLAIN.items():
        value = options.get(name, getattr(config, name, None))
        if value is not None and value not in allowed:
            raise InputError(
                f"A generation with {name}={value!r} cannot be watched: tokens have to be chosen "
                "one by one, one answer a prompt, in a network that is not compiled. Leave "
                f"{name} out{'' if name in options else f' (set {name}=None)'}."
            )
    chosen = {name: value for name, value in options.items() if name not in _PLAIN}
    sampling = any(chosen.get(name) is not None for name in _SAMPLING)
    if chosen.get("temperature") == 0:
        sampling = False
        del chosen["temperature"]
    chosen.setdefault("do_sample", sampling)
    if "max_length" not in chosen:
        chosen.setdefault("max_new_tokens", NEW_TOKENS)
    return {"pad_token_id": model.pad_id, **chosen}


def one_by_one(options: Mapping[str, Any]) -> bool:
    """Whether rows of a batch would not stop each for itself."""
    return any(options.get(name) is not None for name in _NOT_ROW_BY_ROW)


def new_tokens(options: Mapping[str, Any]) -> int:
    """How many tokens an answer may have; 1 where it is bounded by the whole length."""
    return int(options.get("max_new_tokens") or 1)


def ends(model: LanguageModel, options: Mapping[str, Any]) -> list[int]:
    """The ids that end an answer."""
    found = options.get("eos_token_id", generating(model).generation_config.eos_token_id)
    if found is None:
        return []
    return [int(one) for one in (found if isinstance(found, list | tuple) else [found])]


def run(
    model: LanguageModel,
    readout: Readout,
    tokens: Tokens,
    options: Mapping[str, Any],
    give: Callable[[Step], None] | None = None,
) -> Generated:
    """Generate after prompts and read every new token.

    Args:
        model: the model.
        readout: what scores.
        tokens: prompts padded on the left.
        options: as `watchable` completes them.
        give: called with each step as it is read.

    Raises:
        CheckError: a token was generated whose pass was not seen.
    """
    tokens = tokens.to(model.device)
    recorder = Recorder(model, readout, tokens.attended, give)
    with evaluating(model.network), torch.no_grad(), recorder.watching():
        sequences = model.network.generate(
            input_ids=tokens.ids, attention_mask=tokens.attended.long(), **options
        )
        recorder.finish(sequences)
    parts = zip(*recorder.steps, strict=True)
    return Generated(*(torch.stack(part, dim=1).cpu() for part in parts))
