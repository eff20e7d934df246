"""Control vectors in GGUF, as llama.cpp and repeng read and write them."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from repalign.errors import InputError, MissingExtraError
from repalign.exports.requests import Request, unused
from repalign.interventions import Intervention, Shift
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.storage import write_atomic

_KIND = "controlvector"
_TENSOR = "direction."


def export_gguf(
    model: LanguageModel, interventions: Mapping[Site, Intervention], path: Path | str
) -> Path:
    """Write `Add` and `Shift` at `resid_post` as a control vector.

    Tensor `direction.N` is added to what block N puts out, blocks counted from 0, with strength 1:
    in llama.cpp with `--control-vector FILE`. llama.cpp never adds to block 0 and refuses files
    that ask for it. The file holds no name of weights: it can be used with a quantised copy.

    Args:
        model: the model that the vectors are of.
        interventions: what is added; several at one place are summed.
        path: where to; must not exist.

    Returns:
        The path.

    Raises:
        InputError: something that a control vector cannot hold, or a path that exists.
        MissingExtraError: the package `gguf` is not installed.
    """
    path, gguf = unused(path), _gguf()
    pushes = Request.of(model, interventions, "gguf").pushes
    if Site(0) in pushes:
        raise InputError(
            "llama.cpp cannot add to what block 0 puts out and refuses files that hold "
            "direction.0. Choose another layer, or export in the form 'weights', 'lora' or "
            "'vllm-lens'."
        )
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "vector.gguf"
        writer = gguf.GGUFWriter(str(draft), _KIND)
        writer.add_string(f"{_KIND}.model_hint", model.architecture.family)
        writer.add_uint32(f"{_KIND}.layer_count", len(pushes))
        for site in sorted(pushes):
            writer.add_tensor(f"{_TENSOR}{site.layer}", pushes[site].astype(np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        write_atomic(path, draft.read_bytes())
    return path


def read_gguf(
    path: Path | str, model: LanguageModel, other_family: bool = False
) -> dict[Site, Shift]:
    """Read a control vector, ours or one that repeng or llama.cpp made.

    Args:
        path: the file.
        model: the model to use it with.
        other_family: take vectors of a model of another family, or whose family goes by another
            name, as long as they fit.

    Returns:
        For each layer what is added there: `intervene(model, read_gguf(path, model))`.

    Raises:
        InputError: no control vector, or one of a model of other width, depth or family.
        MissingExtraError: the package `gguf` is not installed.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{path} does not exist.")
    try:
        reader = _gguf().GGUFReader(str(path))
    except ValueError as error:
        raise InputError(f"{path} is damaged or no GGUF file: {error}") from error
    kind = _text(reader, "general.architecture")
    if kind != _KIND:
        raise InputError(f"{path} holds {kind!r}, not a {_KIND}.")
    hint = _text(reader, f"{_KIND}.model_hint")
    known = {model.architecture.family, str(model.network.config.model_type)}
    if not other_family and _short(hint) not in map(_short, known):
        raise InputError(
            f"{path} says that it was made for a model of family {hint!r}; {model.name} is "
            f"{' or '.join(sorted(known))}. If it is of this very model all the same, pass "
            "other_family=True."
        )
    found = {}
    for tensor in reader.tensors:
        if tensor.name.startswith(_TENSOR):
            site = _site(path, tensor.name, model)
            found[site] = Shift(_vector(path, tensor, model))
    if not found:
        raise InputError(f"{path} holds no tensor called {_TENSOR}N.")
    return found


def _site(path: Path, name: str, model: LanguageModel) -> Site:
    number = name.removeprefix(_TENSOR)
    if not number.isdecimal() or not 0 < int(number) < model.n_layers:
        raise InputError(
            f"{path} holds {name}; {model.name} has blocks 0 to {model.n_layers - 1}, of which a "
            "control vector can add to those after block 0."
        )
    return Site(int(number))


def _vector(path: Path, tensor: Any, model: LanguageModel) -> np.ndarray:
    vector = np.array(tensor.data)
    if vector.dtype != np.float32 or vector.shape != (model.d_model,):
        raise InputError(
            f"{path} holds {tensor.name} of shape {vector.shape}, {vector.dtype}; {model.name} "
            f"needs float32 of width {model.d_model}."
        )
    return vector


def _text(reader: Any, key: str) -> str:
    field = reader.get_field(key)
    return "" if field is None else str(bytes(field.parts[-1]), "utf-8", "replace")


def _short(family: str) -> str:
    # llama.cpp writes gptneox and qwen2moe.
    return family.replace("_", "").replace("-", "").removesuffix("text").lower()


def _gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise MissingExtraError(
            "Control vectors need the package gguf; install it with `pip install "
            "'repalign[export]'`."
        ) from error
    return gguf
