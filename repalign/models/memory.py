"""How many token positions one forward pass may hold."""

from typing import Any

import torch

from repalign.models.language_model import LanguageModel

CPU_POSITIONS = 640
"""More are no faster on a CPU: wider passes leave its caches (`benchmarks/peak.py`)."""
_LEAST, _MOST = 512, 32768
# Of the memory that the weights leave free; the rest is for attention, kept rows and fragments.
_SHARE = 0.3


def positions_per_pass(model: LanguageModel) -> int:
    """Positions of a pass, padding included, that suit the device the model is on.

    It depends on the device and the model alone, not on what else is running, so that a
    collection that is taken up again is cut as before.
    """
    devices = {parameter.device for parameter in model.network.parameters()}
    if any(device.type != "cuda" for device in devices):
        return CPU_POSITIONS
    free = min(_free(model, device) for device in devices)
    fitting = int(_SHARE * free / bytes_per_position(model))
    return max(_LEAST, min(_MOST, 2 ** (fitting.bit_length() - 1 if fitting else 0)))


def bytes_per_position(model: LanguageModel) -> int:
    """What one position holds in a pass at most: states, the MLP's inside, keys and values."""
    config = model.network.config.get_text_config(decoder=True)
    inside = getattr(config, "intermediate_size", None) or 4 * model.d_model
    state = model.d_model * (8 + 2 * model.n_layers)
    return (state + 3 * inside) * model.dtype.itemsize


def _free(model: LanguageModel, device: torch.device) -> int:
    held = 0
    for parameter in model.network.parameters():
        # Of a model split over processes, this one holds a part.
        local: Any = parameter.to_local() if hasattr(parameter, "to_local") else parameter  # pyright: ignore[reportAttributeAccessIssue]
        held += local.nbytes if local.device == device else 0
    return max(0, torch.cuda.get_device_properties(device).total_memory - held)
