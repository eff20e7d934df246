"""A penalised training that trackio tracks, without a network."""

import importlib
import json
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

import trainers as tr

from repalign.training import Projection

PROJECT = "toy"
_asked: list[str] = []


def _connect(_: socket.socket, address: Any) -> None:
    _asked.append(str(address))
    raise OSError(f"There is no network here to reach {address}.")


def main(folder: Path) -> None:
    """Train, and write what the tracker has kept beside what the trainer has logged."""
    warnings.filterwarnings("ignore")
    socket.socket.connect = _connect
    made = tr.trainer(
        "dpo",
        folder / "run",
        [Projection(tr.random(), 1.0, 3.0)],
        tr.LORA,
        steps=2,
        report_to="trackio",
        project=PROJECT,
        run_name="first",
    )
    made.train()
    kept = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
    found = {
        "asked": _asked,
        "kept": kept.get_logs(PROJECT, "first"),
        "logged": made.state.log_history,
    }
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
