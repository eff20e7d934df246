"""Trackio, as the tracker of a run, keeps what the penalties log, on this machine alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_trackio_keeps_the_penalties_without_a_network(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    root = HERE.parent.parent
    paths = os.pathsep.join([*map(str, (root, root / "tests", HERE)), *sys.path[1:]])
    # It reads where to write when it is imported, so it runs in a process of its own.
    shared = {**os.environ, "PYTHONPATH": paths, "TRACKIO_DIR": str(tmp_path / "kept")}
    done = subprocess.run(
        [sys.executable, str(HERE / "tracking.py"), str(tmp_path)],
        env=shared,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["asked"] == []
    assert (tmp_path / "kept" / "toy.db").exists()
    kept = {row["train/global_step"]: row for row in found["kept"] if "train/loss" in row}
    steps = [row for row in found["logged"] if "loss" in row]
    assert [row["step"] for row in steps] == list(kept) == [1, 2]
    for row in steps:
        for name in ("loss", "penalty/projection_L2.resid_post", "projection/L2.resid_post"):
            assert kept[row["step"]][f"train/{name}"] == pytest.approx(row[name])
    assert steps[0]["penalty/projection_L2.resid_post"] > 0
