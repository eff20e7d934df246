"""From a name, a folder, a file or an object to a LanguageModel."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from repalign.errors import InputError, MissingExtraError
from repalign.models import embedded
from repalign.models.language_model import LanguageModel

EMBEDDED = "smollm2"


def load(
    source: Any = EMBEDDED,
    *,
    tokenizer: Any = None,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
    device_map: Any = None,
    tensor_parallel: bool = False,
    revision: str | None = None,
    trust_remote_code: bool = False,
    allow_failed: Sequence[str] = (),
) -> LanguageModel:
    """Load a causal language model.

    Args:
        source: a Hugging Face hub id; a local folder; a `.gguf` file; a folder with a PEFT adapter
            (its base is loaded too); a transformers model object; a TransformerLens
            `TransformerBridge` (its network is used as it stands); or `smollm2`, the embedded
            SmolLM2-135M-Instruct.
        tokenizer: the tokenizer of a model object that does not name its own.
        dtype: number format of the weights; float32 on a CPU and the checkpoint's own elsewhere.
        device: where to put the model; the first GPU (of several processes that `accelerate
            launch` started, each its own), or the CPU without one.
        device_map: placement over several devices as in transformers, such as `"auto"`.
        tensor_parallel: split every matrix over the processes that `torchrun` or `accelerate
            launch` started; all of them then have to run the same passes.
        revision: branch, tag or commit on the hub.
        trust_remote_code: run model code from the hub. Off: such code can do anything you can.
        allow_failed: names of self-checks whose failure does not stop reading.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: the source is unknown or is not a causal language model, or an option cannot be
            met.
    """
    if not isinstance(source, str | Path):
        given = {"dtype": dtype, "device": device, "device_map": device_map, "revision": revision}
        _refuse_options(source, given)
        if isinstance(source, LanguageModel):
            _refuse_options(source, {"tokenizer": tokenizer, "allow_failed": allow_failed or None})
            return source
        return _wrap(source, tokenizer, allow_failed)
    place = _placement(dtype, device, device_map)
    hub: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    if tensor_parallel:
        from transformers.distributed.configuration_utils import DistributedConfig

        _check_launched(device, device_map)
        place["distributed_config"] = DistributedConfig(tp_plan="auto")
    name, path = str(source), Path(source).expanduser()
    if name == EMBEDDED:
        model = _embedded(place, hub)
    elif path.suffix == ".gguf":
        model = _gguf(path, place, name)
    elif (path / "adapter_config.json").is_file():
        model = _adapter(path, place, hub)
    else:
        model = _pretrained(str(path) if path.exists() else name, place, hub, name)
    if tokenizer is not None:
        model.tokenizer = tokenizer
    if device_map is None and not tensor_parallel:
        model.network.to(place["device"])
    model.allow_failed = tuple(allow_failed)
    return model


def _refuse_options(source: Any, options: Mapping[str, Any]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise InputError(
            f"A {type(source).__name__} object is taken as it stands, but {', '.join(given)} was "
            "given too. Leave it out, or give the name or folder of the model."
        )


def _placement(dtype: Any, device: Any, device_map: Any) -> dict[str, Any]:
    if device_map is not None and device is not None:
        raise InputError("Give either device or device_map, not both.")
    if device is None:
        # Launchers number the processes of a machine: each takes a GPU of its own.
        own = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        device = own if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        first = str(error).partition("\n")[0]
        raise InputError(f"{device!r} is not a device; use cpu, cuda or cuda:1. {first}") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"{device!r} was asked for, but torch finds no GPU here; use 'cpu'.")
    if dtype is None:
        dtype = torch.float32 if kind == "cpu" else "auto"
    elif dtype != "auto":
        found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
        if not isinstance(found, torch.dtype) or not found.is_floating_point:
            raise InputError(
                f"{dtype!r} is not a number format for weights; use float32, bfloat16, float16 or "
                "auto."
            )
        dtype = found
    return {"dtype": dtype, "device": device, "device_map": device_map}


def _check_launched(device: Any, device_map: Any) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        raise InputError(
            "tensor_parallel splits the model over several processes, and this is one alone. Start "
            "them with `torchrun --nproc-per-node 2 -m repalign …`, or load it without."
        )
    if device is not None or device_map is not None:
        raise InputError(
            "tensor_parallel places the model itself: leave out device and device_map."
        )


def _embedded(place: dict[str, Any], hub: dict[str, Any]) -> LanguageModel:
    gguf = embedded.gguf_path()
    if gguf is None:
        return _pretrained(embedded.HUB_ID, place, hub, EMBEDDED)
    folder, digest = embedded.dequantised(gguf, embedded.KNOWN_HASH)
    model = _pretrained(str(folder), place, {}, EMBEDDED)
    model.revision = f"sha256:{digest[:16]}"
    return model


def _gguf(path: Path, place: dict[str, Any], name: str) -> LanguageModel:
    if not path.is_file():
        raise InputError(f"{path} does not exist.")
    folder, digest = embedded.dequantised(path)
    model = _pretrained(str(folder), place, {}, name)
    model.revision = f"sha256:{digest[:16]}"
    return model


def _adapter(path: Path, place: dict[str, Any], hub: dict[str, Any]) -> LanguageModel:
    try:
        from peft import PeftConfig, PeftModel
    except ImportError as error:
        raise MissingExtraError(
            f"{path} is a PEFT adapter; install peft with `pip install 'repalign[train]'`."
        ) from error
    from transformers import AutoTokenizer

    base_name = PeftConfig.from_pretrained(str(path)).base_model_name_or_path
    if not base_name:
        raise InputError(f"{path}/adapter_config.json names no base model.")
    base = load(base_name, dtype=place["dtype"], device_map=place["device_map"], **hub)
    network = PeftModel.from_pretrained(base.network, str(path)).eval()
    tokenizer = base.tokenizer
    if (path / "tokenizer_config.json").is_file():
        # Training may have used another chat template than the base has.
        tokenizer = AutoTokenizer.from_pretrained(str(path))
    return LanguageModel(network, tokenizer, f"{base_name}+{path.name}", base.revision)


def _pretrained(where: str, place: dict[str, Any], hub: dict[str, Any], name: str) -> LanguageModel:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with embedded.quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(where, **hub)
            spread = {key: place[key] for key in place if key != "device"}
            network = AutoModelForCausalLM.from_pretrained(where, **spread, **hub)
    except (OSError, ValueError) as error:
        raise InputError(_not_found(name, where, error)) from error
    commit = getattr(network.config, "_commit_hash", None)
    return LanguageModel(network, tokenizer, name, commit or hub.get("revision"))


def _not_found(name: str, where: str, error: Exception) -> str:
    import difflib

    folder = Path(where)
    if folder.exists():
        what = f"The folder {folder} is not a causal language model that transformers can load"
    else:
        near = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
        close = difflib.get_close_matches(folder.name, [*near, EMBEDDED], n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        what = (
            f"There is no model {name!r}: no such folder here, and the Hugging Face hub did not "
            f"give it.{hint} Give a hub id, a folder, a .gguf file or {EMBEDDED}"
        )
    return f"{what}. transformers says: {str(error).strip().partition(chr(10))[0]}"


def _wrap(source: Any, tokenizer: Any, allow_failed: Sequence[str]) -> LanguageModel:
    kind = type(source)
    if kind.__module__.startswith("transformer_lens") and hasattr(source, "original_model"):
        network, tokenizer = source.original_model, tokenizer or source.tokenizer
    else:
        network = source
    config = getattr(network, "config", None)
    if not isinstance(network, torch.nn.Module) or config is None:
        raise InputError(
            f"A {kind.__name__} object was given, which is no model with a Hugging Face config; "
            "give a causal language model of transformers, its name or its folder."
        )
    name = str(getattr(config, "_name_or_path", "") or kind.__name__)
    if tokenizer is None:
        if not getattr(config, "_name_or_path", ""):
            raise InputError(
                f"A {kind.__name__} object was given that names no tokenizer; pass tokenizer=…."
            )
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(config._name_or_path)
    commit = getattr(config, "_commit_hash", None)
    return LanguageModel(network, tokenizer, name, commit, allow_failed)
