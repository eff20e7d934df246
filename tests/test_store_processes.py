"""Stores and processes: several at one, one that is killed, one that may use little."""

import json
import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stores
from stores import fill, held, make

from repalign.activations import Store


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module", autouse=True)
def _processes() -> None:
    """Let the process that others are forked from load the libraries while tests run."""
    multiprocessing.set_forkserver_preload(["repalign.activations"])
    forkserver.ensure_running()


def start(work: Callable[..., None], *given: Any) -> tuple[BaseProcess, Connection]:
    mine, theirs = stores.CONTEXT.Pipe()
    process = stores.CONTEXT.Process(target=work, args=(theirs, *given))
    process.start()
    theirs.close()
    return process, mine


def test_processes_share_a_store_and_each_shard_is_written_once(tmp_path: Path) -> None:
    folder, given = tmp_path / "s", held(200)
    workers = [start(stores.share, folder, 200, 40) for _ in range(3)]
    for said in ("ready", "holding"):
        assert [pipe.recv() for _, pipe in workers] == [said] * 3
        for _, pipe in workers:
            pipe.send("go")
    written = [pipe.recv() for _, pipe in workers]
    for process, pipe in workers:
        process.join(30)
        pipe.close()
        assert process.exitcode == 0
    assert sorted(shard for part in written for shard in part) == list(range(40))
    assert all(written)
    assert sorted(line["shard"] for line in lines(folder)[1:]) == list(range(40))
    assert ["format" in line for line in lines(folder)] == [True] + 40 * [False]
    assert np.array_equal(np.asarray(Store.open(folder).activations().values), given.values)
    assert not list(folder.glob(".*"))


def test_a_killed_process_frees_its_shard_and_its_rubbish_is_removed(tmp_path: Path) -> None:
    folder, given = tmp_path / "s", held()
    store = make(folder, given)
    process, pipe = start(stores.hang, folder, 2)
    assert pipe.recv() is True
    assert list(folder.glob(".00002.safetensors.*"))
    with store.claim(2) as mine:
        assert not mine
    assert store.status().claimed == (2,)
    assert fill(store, given) == [0, 1, 3]
    process.kill()
    process.join(30)
    pipe.close()
    assert process.exitcode == -signal.SIGKILL
    assert store.status().claimed == ()
    assert fill(store, given) == [2]
    assert not list(folder.glob(".*"))


def test_a_file_that_may_not_grow_is_a_full_disk(tmp_path: Path) -> None:
    """The kernel stops the write in the middle, as it does where the disk is full."""
    given, folder = held(400), tmp_path / "s"
    make(folder, given)
    process, pipe = start(stores.write_limited, folder, 400, 9000)
    said = pipe.recv()
    process.join(30)
    pipe.close()
    assert "File too large" in said
    assert "0 of 4 shards are finished and kept" in said
    assert not list(folder.glob("0*"))
    assert not list(folder.glob(".*"))
    assert fill(make(folder, given), given) == [0, 1, 2, 3]


def test_a_store_larger_than_the_memory_is_read_a_site_at_a_time(tmp_path: Path) -> None:
    """80 MB at ten sites, in a process whom the kernel gives 24 MB more than it has."""
    process, pipe = start(stores.read_limited, tmp_path / "s", 24_000_000)
    found = pipe.recv()
    process.join(30)
    pipe.close()
    assert found["everything"] == "MemoryError"
    assert found["most"] < 20e6
    assert found["left by picking"] < 1e6
