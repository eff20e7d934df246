"""Timing in turns, memory in fresh processes, and where it was measured."""

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch


def in_turns(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Let contenders take turns, so that a slow minute of a shared machine falls on all of them.

    Args:
        contenders: each runs once and returns the seconds it took.
        rounds: how often each runs.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            seconds[name].append(run())
    return seconds


def ratio(others: Sequence[float], own: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest ratio of times of the same round."""
    found = [other / mine for other, mine in zip(others, own, strict=True)]
    return {"median": statistics.median(found), "low": min(found), "high": max(found)}


def median(found: Sequence[float]) -> dict[str, float]:
    """The median with its 95% interval, from the order of the values alone."""
    values = sorted(found)
    reach = 0.98 * len(values) ** 0.5
    low, high = (round(len(values) / 2 + sign * reach) for sign in (-1, 1))
    return {
        "median": statistics.median(values),
        "low": values[max(low, 0)],
        "high": values[min(high, len(values) - 1)],
    }


def timed(run: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def added_memory(work: Callable[..., Callable[[], Any]], *arguments: Any) -> float:
    """Peak resident memory that work adds to a process that has everything loaded, in MB.

    Args:
        work: called with the arguments in a fresh process; loads, warms up, and returns what is to
            be measured.
        arguments: of `work`.
    """
    return apart(_added_memory, work, arguments)


def apart(work: Callable[..., float], *arguments: Any) -> float:
    """What work returns in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def _added_memory(work: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...]) -> float:
    run = work(*arguments)
    before = _status("VmRSS")
    reset_peak()
    run()
    return (_status("VmHWM") - before) / 1024


def reset_peak() -> None:
    """Forget the peak of memory up to now."""
    Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")


def machine() -> dict[str, Any]:
    """Where and with what a benchmark ran."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "transformers", "scikit-learn")},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
