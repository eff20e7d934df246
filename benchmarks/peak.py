"""Extraction beside the decoder alone at its fastest, in turns.

    python -m benchmarks.peak [--rounds 5]      # results/peak.json
    python -m benchmarks.peak --llama-8b        # on a GPU; results/peak_gpu.json

The floor of any extraction that computes each distinct prefix once: the distinct tokens, at the
tokens per second that the decoder reaches in its best shape of batch, nothing read. Both are
measured within seconds of each other, so that a slow minute falls on both.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import measuring
from benchmarks.extraction import ours, random_llama
from benchmarks.workloads import Workload, workloads
from repalign import LanguageModel
from repalign.activations import Extraction
from repalign.models.modes import evaluating

RESULTS = Path(__file__).parent / "results"
_SHAPES = ((4, 128), (8, 64), (16, 32), (16, 64), (32, 16), (8, 128))
"""Batches and lengths among which a decoder on a CPU is fastest."""
_GPU_SHAPES = ((8, 512), (16, 256), (32, 128), (64, 128), (128, 64), (32, 512))
Shape = tuple[int, int]


def decoder(model: LanguageModel, shape: Shape) -> Callable[[], float]:
    """One pass of the decoder; the seconds per token that it takes."""
    network = model.network.get_decoder()
    ids = torch.randint(5, 1000, shape, device=model.device)

    def run() -> float:
        with torch.no_grad(), evaluating(model.network):
            passed = measuring.timed(lambda: network(input_ids=ids, use_cache=False))
        return passed / ids.numel()

    return run


def best_shape(model: LanguageModel, rounds: int) -> tuple[Shape, dict[str, float]]:
    """The fastest shape, and tokens per second of each."""
    shapes = _GPU_SHAPES if model.device.type == "cuda" else _SHAPES
    seconds = measuring.in_turns({str(s): decoder(model, s) for s in shapes}, rounds + 1)
    speeds = {str(shape): 1 / min(seconds[str(shape)][1:]) for shape in shapes}
    return max(shapes, key=lambda shape: speeds[str(shape)]), speeds


def times_peak(model: LanguageModel, work: Workload, shape: Shape, rounds: int) -> dict[str, Any]:
    """Our time as a multiple of that of the distinct tokens at the decoder's peak."""
    extraction = Extraction.of(model, work.examples, work.sites())
    depth = (work.layers[-1] + 1) / model.n_layers
    seconds = measuring.in_turns(
        {
            "before": decoder(model, shape),
            "ours": lambda: measuring.timed(lambda: ours(model, work)),
            "after": decoder(model, shape),
        },
        rounds + 1,
    )
    # The first round warms up.
    peaks = [min(pair) for pair in zip(seconds["before"], seconds["after"], strict=True)][1:]
    floor = [extraction.distinct * depth * each for each in peaks]
    return {
        "title": work.title,
        "distinct": extraction.distinct,
        "seconds": seconds["ours"][1:],
        "floor_seconds": floor,
        "times_peak": measuring.ratio(seconds["ours"][1:], floor),
    }


def main() -> None:
    """Measure every workload and write results/peak.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--llama-8b", action="store_true")
    options = parser.parse_args()
    model = random_llama() if options.llama_8b else LanguageModel.load("smollm2")
    shape, speeds = best_shape(model, options.rounds)
    outcome: dict[str, Any] = {
        "machine": measuring.machine(),
        "rounds": options.rounds,
        "shape": shape,
        "tokens_per_second": speeds,
        "rows": {
            work.name: times_peak(model, work, shape, options.rounds) for work in workloads(model)
        },
    }
    name = "peak_gpu.json" if options.llama_8b else "peak.json"
    (RESULTS / name).write_text(json.dumps(outcome, indent=1) + "\n")
    for row in outcome["rows"].values():
        print(row["title"], row["times_peak"])


if __name__ == "__main__":
    main()
