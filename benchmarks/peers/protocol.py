"""The loop of a peer's worker: one JSON line in, one JSON line out.

A worker runs in the peer's own environment, so this module needs nothing but numpy and torch, which
every peer brings. See the package's docstring for the lines.
"""

import importlib.metadata
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import numpy as np

# (texts, layers, batch size) -> float32 [texts, layers, width]: the stream after each layer at the
# last token of each text.
Extract = Callable[[list[str], list[int], int], np.ndarray]


def serve(load: Callable[[str], Extract], *packages: str) -> None:
    """Load the model of the folder in argv[1] with argv[2] threads; answer until stdin ends.

    Args:
        load: makes the extracting function from a model's folder.
        packages: distributions whose versions are reported.
    """
    answers = _own_stdout()
    folder, threads = sys.argv[1], int(sys.argv[2])
    try:
        _limit(threads)
        extract = load(folder)
    except Exception as error:
        traceback.print_exc()
        _answer(answers, {"ready": False, "reason": f"{type(error).__name__}: {error}"})
        return
    versions = {name: importlib.metadata.version(name) for name in packages}
    _answer(answers, {"ready": True, "versions": versions})
    for line in sys.stdin:
        try:
            _answer(answers, _measured(extract, json.loads(line)))
        except Exception as error:
            traceback.print_exc()
            _answer(answers, {"error": f"{type(error).__name__}: {error}"})


def _measured(extract: Extract, request: dict) -> dict:
    texts = json.loads(Path(request["texts_file"]).read_text())
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    start = time.perf_counter()
    values = extract(texts, request["layers"], request["batch"])
    seconds = time.perf_counter() - start
    added = (_status("VmHWM") - before) / 1024
    wanted = (len(texts), len(request["layers"]))
    if values.shape[:2] != wanted or values.ndim != 3 or values.dtype != np.float32:
        raise ValueError(
            f"extracted {values.dtype} {values.shape}, wanted float32 {wanted} + width"
        )
    if request["out"] is not None:
        np.save(request["out"], values)
    return {"seconds": seconds, "added_memory_mb": added}


def _own_stdout() -> TextIO:
    """The stream of answers; what anything else prints on stdout goes to stderr from here on."""
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return own


def _answer(stream: TextIO, message: dict) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def _limit(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")
