"""One process against two on the same store, one thread each.

python -m benchmarks.processes      # results/processes.json
"""

import json
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import measuring
from benchmarks.workloads import workloads
from repalign import LanguageModel
from repalign.activations import Extraction, fill

RESULTS = Path(__file__).parent / "results" / "processes.json"


def compare(rounds: int, scale: float) -> dict[str, Any]:
    """How much faster two processes fill a store than one; models are loaded before."""
    context = multiprocessing.get_context("spawn")
    gate, done = context.Barrier(3), context.Barrier(3)
    folders = [context.Queue() for _ in range(2)]
    workers = [
        context.Process(target=_work, args=(gate, done, folders[rank], rank, scale))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as parent:
        for number in range(rounds):
            for count in (1, 2):
                for rank in range(2):
                    at = str(Path(parent) / f"{number}-{count}") if rank < count else None
                    folders[rank].put(at)
                gate.wait()
                start = time.perf_counter()
                done.wait()
                seconds[count].append(time.perf_counter() - start)
        for rank in range(2):
            folders[rank].put("stop")
        gate.wait()
    for worker in workers:
        worker.join()
    return {
        "seconds": seconds,
        "times_as_fast": measuring.ratio(seconds[1], seconds[2]),
        "cores": len(os.sched_getaffinity(0)),
    }


def _work(gate: Any, done: Any, folders: Any, rank: int, scale: float) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
    model = LanguageModel.load("smollm2")
    work = workloads(model, scale)[0]
    extraction = Extraction.of(model, work.examples, work.sites(), shared=True)
    while True:
        gate.wait()
        mine = folders.get()
        if mine == "stop":
            return
        if mine is not None:
            fill(extraction, Path(mine))
        done.wait()


def main() -> None:
    """Measure and write results/processes.json."""
    outcome = {"machine": measuring.machine(), **compare(rounds=3, scale=1.0)}
    RESULTS.write_text(json.dumps(outcome, indent=2) + "\n")
    print(json.dumps(outcome, indent=1))


if __name__ == "__main__":
    main()
