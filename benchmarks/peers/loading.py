"""Models and tokenizers for the peers that want them loaded, under transformers 4 and 5."""

from typing import Any

import torch
import transformers

TRANSFORMERS_5 = int(transformers.__version__.split(".")[0]) >= 5


def causal_model(folder: str) -> Any:
    """The model with its language-model head, float32, in evaluation mode."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, config=_config(folder), dtype=torch.float32, local_files_only=True
    )
    return model.eval()


def decoder(folder: str) -> Any:
    """The model without its head, float32, in evaluation mode."""
    model = transformers.AutoModel.from_pretrained(
        folder, config=_config(folder), dtype=torch.float32, local_files_only=True
    )
    return model.eval()


def tokenizer(folder: str, padding_side: str) -> Any:
    """The model's tokenizer, padding on the given side."""
    # Transformers 4 does not know the class that 5 writes into tokenizer_config.json.
    kind = transformers.AutoTokenizer if TRANSFORMERS_5 else transformers.PreTrainedTokenizerFast
    loaded = kind.from_pretrained(folder, local_files_only=True)
    loaded.padding_side = padding_side
    if loaded.pad_token is None:
        loaded.pad_token = loaded.eos_token
    return loaded


def _config(folder: str) -> Any:
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    rope = None if TRANSFORMERS_5 else getattr(config, "rope_parameters", None)
    if rope is not None:
        # Transformers 4 ignores the key that 5 writes and would turn by its default angle.
        if rope["rope_type"] != "default":
            raise ValueError(
                f"rope_type {rope['rope_type']!r} of {folder} is not translated for transformers "
                f"{transformers.__version__}; only 'default' is"
            )
        config.rope_theta = rope["rope_theta"]
    return config
