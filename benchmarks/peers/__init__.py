"""Other tools' extraction, each in an environment of its own (`make bench-peers`), for benchmarks.

    peer = Peer("nnsight")
    if peer.available():
        with peer.start(model_folder, threads=2):
            peer.run(texts[:8], layers)                      # warms up
            print(peer.run(texts, layers, values=True).seconds)
    else:
        print(peer.reason())

A worker is `python worker_NAME.py MODEL_FOLDER THREADS` in the peer's environment. It prints one
JSON line when the model is loaded, `{"ready": true, "versions": {...}}` or `{"ready": false,
"reason": "..."}`, and then, for each line `{"texts_file", "layers", "batch", "out"}` on stdin, one
line `{"seconds", "added_memory_mb"}` or `{"error": "..."}`; with `out` it also saves the values
there, float32 [texts, layers, width]. Loading is not timed; tokenising is. It runs on the CPU.
"""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".venv-peers"


@dataclass(frozen=True)
class Kind:
    """How a peer extracts.

    Attributes:
        label: the peer's name in tables.
        environment: folder of `.venv-peers`, and name of the requirements file.
        worker: script of this folder.
        normed_last: whether the last layer comes after the model's final norm, because it is read
            from `hidden_states`; its values are then not those of the layer.
        stops_early: whether layers after the deepest one asked for are not run.
        batch: texts per batch; 16 took the least processor time of 8, 16 and 32 for each of them on
            short statements, all layers (32 within 4 %).
    """

    label: str
    environment: str
    worker: str
    normed_last: bool = False
    stops_early: bool = False
    batch: int = 16


KINDS = {
    "transformers": Kind(
        "transformers, output_hidden_states", "transformers", "transformers", normed_last=True
    ),
    "transformers_decoder": Kind(
        "transformers, decoder only", "transformers", "transformers_decoder", normed_last=True
    ),
    "repe": Kind("RepE's pipeline", "repe", "repe", normed_last=True),
    "repeng": Kind("repeng", "repeng", "repeng", normed_last=True),
    "steering_vectors": Kind("steering-vectors", "steering_vectors", "steering_vectors"),
    "nnsight": Kind("nnsight", "nnsight", "nnsight", stops_early=True),
    "transformer_lens": Kind(
        "TransformerLens bridge", "transformer_lens", "transformer_lens", stops_early=True
    ),
}


class PeerError(RuntimeError):
    """A worker did not start, ended, or failed at a request; says why."""


@dataclass(frozen=True)
class Extraction:
    """What one run of a peer took.

    Attributes:
        seconds: of the extraction, tokenising included, in the worker.
        added_memory_mb: the worker's peak resident memory above that right before. Memory that an
            earlier run left with the process counts as there before: for the memory of a work, run
            it once in a fresh worker after a small run with the same layers, which warms it up.
        values: float32 [texts, layers, width] if asked for.
    """

    seconds: float
    added_memory_mb: float
    values: np.ndarray | None


class Peer:
    """A peer's worker process.

    Args:
        name: one of `KINDS`.
    """

    def __init__(self, name: str) -> None:
        if name not in KINDS:
            raise ValueError(f"no peer {name!r}; there are {', '.join(KINDS)}")
        self.name, self.kind = name, KINDS[name]
        self.versions: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def available(self) -> bool:
        """Whether the peer's environment is installed."""
        return self.reason() is None

    def reason(self) -> str | None:
        """Why the peer is not available; None if it is."""
        folder = ENVIRONMENTS / self.kind.environment
        # Written last, so that an installation that was broken off is not taken for one.
        if not (folder / ".installed").exists():
            return f"{folder} is not installed; run make bench-peers"
        return None

    def start(self, model_folder: str | Path, threads: int) -> Self:
        """Start the worker and wait until its model is loaded.

        Raises:
            PeerError: not available, or the worker cannot load the model.
        """
        if (reason := self.reason()) is not None:
            raise PeerError(f"{self.name}: {reason}")
        if self._process is not None:
            raise PeerError(f"{self.name}: is running; close() it before starting it again")
        self._folder = tempfile.TemporaryDirectory(prefix="peer-")
        self._log = (Path(self._folder.name) / "stderr").open("w+")
        self._process = subprocess.Popen(
            [
                str(ENVIRONMENTS / self.kind.environment / "bin" / "python"),
                str(HERE / f"worker_{self.kind.worker}.py"),
                str(model_folder),
                str(threads),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=_environment(threads),
        )
        try:
            answer = self._answer()
            if not answer["ready"]:
                raise PeerError(f"{self.name}: {answer['reason']}")
        except BaseException:
            self.close()
            raise
        self.versions = answer["versions"]
        return self

    def run(
        self, texts: list[str], layers: list[int], values: bool = False, batch: int | None = None
    ) -> Extraction:
        """Extract the texts' last tokens after each of the layers, counted from 0.

        Args:
            texts: tokenised by the peer with the model's tokenizer as it is.
            layers: ascending.
            values: whether to bring the values here.
            batch: texts per batch; the peer's own (`kind.batch`) if None.

        Raises:
            PeerError: not started, or the worker failed or ended.
        """
        if self._process is None or self._folder is None:
            raise PeerError(f"{self.name}: not started; call start() first")
        folder = Path(self._folder.name)
        out = folder / "values.npy"
        (folder / "texts.json").write_text(json.dumps(texts))
        request = {
            "texts_file": str(folder / "texts.json"),
            "layers": layers,
            "batch": self.kind.batch if batch is None else batch,
            "out": str(out) if values else None,
        }
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise PeerError(f"{self.name}: the worker has ended{self._said()}") from error
        answer = self._answer()
        if "error" in answer:
            raise PeerError(f"{self.name}: {answer['error']}{self._said()}")
        found = np.load(out) if values else None
        return Extraction(answer["seconds"], answer["added_memory_mb"], found)

    def close(self) -> None:
        """End the worker; nothing if it was not started."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._log is not None:
            self._log.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._log = self._folder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"{self.name}: the worker has ended{self._said()}")
        return json.loads(line)

    def _said(self) -> str:
        """The end of what the worker wrote on stderr."""
        assert self._log is not None
        lines = Path(self._log.name).read_text().splitlines()[-15:]
        return "; it last wrote:\n" + "\n".join(lines) if lines else ""


def _environment(threads: int) -> dict[str, str]:
    """This process's variables, with the threads set and nothing fetched from the network."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    offline = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    return {**own, **dict.fromkeys(pools, str(threads)), **offline}
