"""Which weights, tokenizer and chat template a number came from."""

import hashlib
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

_SAMPLES = 256
# Hashing a vocabulary takes a tenth of a second, so it is done again only when it has grown.
_vocabularies: WeakKeyDictionary[Any, tuple[int, Any]] = WeakKeyDictionary()


def weights_fingerprint(network: nn.Module) -> str:
    """Hash the names, shapes and an even sample of the values of every parameter.

    A sample, because hashing every byte of a large model costs more than reading from it. Training,
    merging an adapter or quantising moves values everywhere and is seen; an edit of a few single
    weights can go unseen.

    Returns:
        16 hexadecimal digits, the same on every device.
    """
    digest = hashlib.sha256()
    # torch.compile puts a wrapper around the same weights, under other names.
    network = getattr(network, "_orig_mod", network)
    for name, module in network.named_modules():
        # An adapter that is off, or scaled, leaves the weights and changes what is computed.
        if hasattr(module, "disable_adapters") and hasattr(module, "scaling"):
            state = (module.disable_adapters, module.active_adapters, module.scaling)
            digest.update(f"{name}{state}".encode())
    for name, parameter in sorted(network.named_parameters()):
        whole: Any = parameter.detach()
        if hasattr(whole, "full_tensor"):
            # Of a model split over processes each holds a part; together they give the same hash.
            whole = whole.full_tensor()
        flat = whole.reshape(-1)
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
    size, vocabulary = _vocabularies.get(tokenizer, (-1, None))
    if vocabulary is None or size != len(tokenizer):
        vocabulary = hashlib.sha256()
        for token, index in sorted(tokenizer.get_vocab().items()):
            vocabulary.update(f"{index}\t{token}\n".encode())
        _vocabularies[tokenizer] = (len(tokenizer), vocabulary)
    digest = vocabulary.copy()
    digest.update(repr(sorted(tokenizer.special_tokens_map.items())).encode())
    digest.update(str(tokenizer.chat_template).encode())
    return digest.hexdigest()[:16]
