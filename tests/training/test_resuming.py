"""A training that is killed and resumed goes on as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import killing
import pytest

HERE = Path(__file__).parent
# What takes time, and the count of tokens, which TRL begins anew.
UNEQUAL = ("train_", "total_flos", "num_tokens")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what came of every run in `killing`."""
    folder = tmp_path_factory.mktemp("killed")
    root = HERE.parent.parent
    paths = os.pathsep.join(map(str, (root, root / "tests", HERE)))
    command = [sys.executable, str(HERE / "killing.py"), str(folder)]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": paths, "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    ends = json.loads((folder / "ends.json").read_text())
    for kind, names in ends.items():
        for name, code in names.items():
            expected = -signal.SIGKILL if name.startswith("killed") else 0
            assert code == expected, (kind, name, done.stderr[-4000:])
    return folder


def _read(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text())


def _steps(history: list[dict[str, float]]) -> dict[int, dict[str, float]]:
    """The logs after the save, by step."""
    return {
        int(row["step"]): {k: v for k, v in row.items() if not k.startswith(UNEQUAL)}
        for row in history
        if "loss" in row and row["step"] > killing.SAVED
    }


@pytest.mark.parametrize("kind", killing.RUNS)
def test_resumed_losses_are_those_of_the_uninterrupted_run(runs: Path, kind: str) -> None:
    """Bit for bit: the measured weights, schedules, labels, dropout and reference go on."""
    expected = _steps(_read(runs / kind, "whole"))
    assert list(expected) == [4, 5, 6, 7]
    for row in expected.values():
        begins = [name.split("/")[0] for name in row]
        assert {"loss", "grad_norm", "penalty", "projection", "weight"} <= set(begins)
        # It compares with the model before training and not with that of the save.
        assert row["penalty/retain_L3.resid_post"] > 0
    assert _steps(_read(runs / kind, "resumed")) == expected


def test_a_half_written_save_is_refused(runs: Path) -> None:
    """Not passed over for an earlier one in silence, and not taken for a whole one."""
    said = _read(runs / "dpo", "resumed_from_torn")
    torn = runs / "dpo" / "torn" / f"checkpoint-{2 * killing.SAVED}"
    assert (torn / "adapter_model.safetensors").exists()
    assert said.startswith(str(torn))
