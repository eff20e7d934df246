"""Two processes train as one does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trainers as tr
import worker
from safetensors.torch import load_file

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

HERE = Path(__file__).parent


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _two(mode: str, folder: Path) -> None:
    """Run the worker in two processes that meet."""
    root = HERE.parent.parent
    paths = [root, root / "tests", HERE]
    shared = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_port()),
        "ACCELERATE_USE_CPU": "true",
    }
    command = [sys.executable, str(HERE / "worker.py"), mode, str(folder)]
    running = [
        subprocess.Popen(
            command,
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=280)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    for process, output in zip(running, outputs, strict=True):
        assert process.returncode == 0, output[-4000:]


@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_two_processes_are_as_one(mode: str, tmp_path: Path) -> None:
    """DDP by the weights after two steps, FSDP2 by the gradients of one."""
    _two(mode, tmp_path)
    for kind, lora in worker.CASES[mode]:
        alone = worker.trainer(kind, lora, tmp_path / "one", 4)
        if mode == "ddp":
            alone.train()
            expected, theirs = worker.weights(alone), alone.state.log_history[:2]
        else:
            expected, theirs = worker.gradients(alone, [0, 1, 2, 3]), [tr.logged(alone)]
        found = load_file(tmp_path / f"{kind}-{lora}.safetensors")
        history, measured = json.loads((tmp_path / f"{kind}-{lora}.json").read_text())
        assert measured == pytest.approx(alone.penalty_record["measured"], rel=1e-4)
        for ours, whole in zip(history, theirs, strict=False):
            logged = {k: v for k, v in whole.items() if k.startswith(("penalty/", "projection/"))}
            assert len(logged) >= 6
            assert {name: ours[name] for name in logged} == pytest.approx(logged, rel=1e-3)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5, msg=name)
