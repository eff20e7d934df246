"""Which weights, tokenizer and chat template a number came from."""

import hashlib
from typing import Any

import torch
from torch import nn

_SAMPLES = 256


def weights_fingerprint(network: nn.Module) -> str:
    """Hash the names, shapes and an even sample of the values of every parameter.

    A sample, because hashing every byte of a large model costs more than reading from it. Training,
    merging an adapter or quantising moves values everywhere and is seen; an edit of a few single
    weights can go unseen.

    Returns:
        16 hexadecimal digits, the same on every device.
    """
    digest = hashlib.sha256()
    for name, parameter in sorted(network.named_parameters()):
        flat = parameter.detach().reshape(-1)
        step = max(1, flat.numel() // _SAMPLES)
        sample = flat[::step][:_SAMPLES].to("cpu", torch.float32).contiguous()
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()[:16]


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Hash the vocabulary, the special tokens and the chat template.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for token, index in sorted(tokenizer.get_vocab().items()):
        digest.update(f"{index}\t{token}\n".encode())
    digest.update(repr(sorted(tokenizer.special_tokens_map.items())).encode())
    digest.update(str(tokenizer.chat_template).encode())
    return digest.hexdigest()[:16]
