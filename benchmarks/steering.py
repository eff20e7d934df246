"""What steering and monitoring add to generation, side by side with two other tools.

    python -m benchmarks.steering [--pairs 7]      # results/steering.json

Greedy generation of the embedded model, 32 tokens after prompts of 16, at batch 1 and 16. Every
ratio is of a pair that ran one after the other, which of the two came first alternating: the time
with steering over the time without. Peers run in their own environments (`make bench-peers`), each
against its own transformers without steering.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import measuring
from benchmarks.peers import ENVIRONMENTS, HERE
from repalign import LanguageModel
from repalign.directions import Direction
from repalign.exports import bake
from repalign.interventions import Ablate, Add, everywhere, intervene
from repalign.monitoring import Monitor
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span
from repalign.tokens import Tokens

RESULTS = Path(__file__).parent / "results" / "steering.json"
BATCHES, TOKENS, PROMPT = (1, 16), 32, 16
PEERS = {"repeng": "repeng", "steering_vectors": "steering-vectors"}


def contenders(model: LanguageModel) -> dict[str, tuple[LanguageModel, Callable[[], Any]]]:
    """For each a model to generate with, and the context in which it does."""
    site = Site(model.n_layers // 2)
    vector = np.random.default_rng(0).normal(size=model.d_model).astype(np.float32)
    direction = Direction(vector / np.linalg.norm(vector), site, 0.0, 1.0)
    ablate = Ablate.of(direction)
    readout = Readout((site,), vector[np.newaxis].astype(np.float64), 0.0, Span.parse("answer"))
    monitor = Monitor(model, readout)
    return {
        "add at one site": (model, lambda: intervene(model, {site: Add(direction, 1.0)})),
        "add after every layer": (
            model,
            lambda: intervene(model, {one: Add(direction, 0.1) for one in model.sites()}),
        ),
        "ablate after every layer": (
            model,
            lambda: intervene(model, dict.fromkeys(model.sites(), ablate)),
        ),
        "coefficient 0": (model, lambda: intervene(model, {site: Add(direction, 0.0)})),
        "ablation baked": (bake(model, everywhere(model, ablate)), nullcontext),
        "monitor at one site": (model, monitor.watching),
    }


def seconds(model: LanguageModel, ids: torch.Tensor, context: AbstractContextManager[Any]) -> float:
    """Of one generation inside a context."""
    tokens = Tokens(ids, torch.ones_like(ids, dtype=torch.bool))
    length = {"max_new_tokens": TOKENS, "min_new_tokens": TOKENS}
    with context:
        return measuring.timed(lambda: model.generate(tokens, **length))


def ours(model: LanguageModel, pairs: int) -> dict[str, dict[int, list[float]]]:
    """Ratios of every contender at every batch size."""
    found: dict[str, dict[int, list[float]]] = {}
    for batch in BATCHES:
        generator = torch.Generator().manual_seed(1)
        ids = torch.randint(100, 20000, (batch, PROMPT), generator=generator)
        made = contenders(model)
        for number in range(pairs + 1):
            for name, (other, context) in made.items():
                times = {}
                for steered in (number % 2 == 0, number % 2 == 1):
                    within = context() if steered else nullcontext()
                    times[steered] = seconds(other if steered else model, ids, within)
                # The first pair warms up.
                if number:
                    found.setdefault(name, {}).setdefault(batch, []).append(
                        times[True] / times[False]
                    )
        print({name: statistics.median(each[batch]) for name, each in found.items()}, flush=True)
    return found


def peer(name: str, folder: str, layer: int, pairs: int) -> Mapping[str, Any] | None:
    """A peer's ratios; None where it is not installed."""
    environment = ENVIRONMENTS / name
    if not (environment / ".installed").exists():
        print(f"{name} is not installed; run make bench-peers")
        return None
    settings = map(str, (torch.get_num_threads(), layer, TOKENS, pairs, *BATCHES))
    command = [environment / "bin" / "python", HERE / f"generating_{name}.py", folder, *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and write results/steering.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    model = LanguageModel.load("smollm2")
    outcome: dict[str, Any] = {"machine": measuring.machine(), "pairs": options.pairs}
    outcome["times_as_long"] = {
        name: {str(batch): _spread(found) for batch, found in each.items()}
        for name, each in ours(model, options.pairs).items()
    }
    with tempfile.TemporaryDirectory() as folder:
        model.network.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)
        for name, label in PEERS.items():
            found = peer(name, folder, model.n_layers // 2, options.pairs)
            if found is not None:
                outcome["times_as_long"][f"{label}, one layer"] = {
                    batch: _spread(each) for batch, each in found["ratios"].items()
                }
                outcome.setdefault("versions", {})[label] = found["versions"]
    RESULTS.write_text(json.dumps(outcome, indent=2) + "\n")
    for name, each in outcome["times_as_long"].items():
        shown = "   ".join(
            f"batch {batch}: {one['median']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
            for batch, one in each.items()
        )
        print(f"{name:32} {shown}")


def _spread(found: list[float]) -> dict[str, float]:
    low, high = np.quantile(found, [0.25, 0.75])
    return {"median": statistics.median(found), "low": float(low), "high": float(high)}


if __name__ == "__main__":
    main()
