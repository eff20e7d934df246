"""Steering vectors as JSON, as the vLLM plug-in vllm-lens takes them."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from repalign.errors import InputError
from repalign.exports.requests import Request, unused
from repalign.interventions import Intervention, Shift
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.storage import read_json, write_json


def export_vllm_lens(
    model: LanguageModel, interventions: Mapping[Site, Intervention], path: Path | str
) -> Path:
    """Write `Add` and `Shift` at `resid_post` as one `SteeringVector` of vllm-lens 1.3.

    `SteeringVector.model_validate(json)` takes it; it adds to what blocks put out, at all tokens,
    prompt included. The fields and their meaning were read from the source of vllm-lens, and what
    is written here is read back and compared; it was never run in vLLM.

    Args:
        model: the model that the vectors are of.
        interventions: what is added; several at one place are summed.
        path: where to; must not exist.

    Returns:
        The path.

    Raises:
        InputError: something that steering vectors cannot hold, or a path that exists.
    """
    path = unused(path)
    pushes = Request.of(model, interventions, "vllm-lens").pushes
    sites = sorted(pushes)
    rows = np.stack([pushes[site] for site in sites]).astype("<f4")
    activations = {
        "data": base64.b64encode(rows.tobytes()).decode("ascii"),
        "dtype": "float32",
        "original_dtype": "torch.float32",
        "shape": list(rows.shape),
    }
    record = {
        "activations": activations,
        "layer_indices": [site.layer for site in sites],
        "scale": 1.0,
        "norm_match": False,
        "position_indices": None,
    }
    write_json(path, record)
    return path


def read_vllm_lens(path: Path | str, model: LanguageModel) -> dict[Site, Shift]:
    """Read steering vectors that `export_vllm_lens` wrote.

    Returns:
        For each layer what is added there: `intervene(model, read_vllm_lens(path, model))`.

    Raises:
        InputError: another kind of file, vectors of another model, or options that a fixed vector
            cannot express.
    """
    path = Path(path).expanduser()
    record = read_json(path)
    if not isinstance(record, dict) or not {"activations", "layer_indices"} <= set(record):
        raise InputError(f"{path} is no SteeringVector: it has no activations and layer_indices.")
    if record.get("norm_match") or record.get("position_indices") is not None:
        raise InputError(
            f"{path} scales its vectors by the states (norm_match) or adds them at given positions "
            "only (position_indices); only vectors that are added as they are can be read."
        )
    rows = _decoded(path, record["activations"])
    layers = record["layer_indices"]
    wide = rows.ndim == 2 and rows.shape == (len(layers), model.d_model)
    if not wide or any(not 0 <= layer < model.n_layers for layer in layers):
        raise InputError(
            f"{path} holds vectors {rows.shape} for layers {layers}; {model.name} has layers 0 to "
            f"{model.n_layers - 1} of width {model.d_model}."
        )
    scale = float(record.get("scale", 1.0))
    return {Site(layer): Shift(row, scale) for layer, row in zip(layers, rows, strict=True)}


def _decoded(path: Path, encoded: Any) -> np.ndarray:
    if not isinstance(encoded, dict) or encoded.get("compression") or "data" not in encoded:
        raise InputError(
            f"The activations of {path} are not written as repalign writes them, float32 in base64 "
            "without compression."
        )
    if encoded.get("dtype") != "float32":
        raise InputError(f"The activations of {path} are {encoded.get('dtype')}, not float32.")
    data = base64.b64decode(encoded["data"])
    shape = tuple(int(size) for size in encoded["shape"])
    if len(data) != 4 * int(np.prod(shape)):
        raise InputError(f"The activations of {path} are cut short: {len(data)} bytes for {shape}.")
    return np.frombuffer(data, dtype="<f4").astype(np.float32).reshape(shape)
