"""What steering and monitoring add to generation, side by side with two other tools.

    python -m benchmarks.steering [--blocks 4]      # results/steering.json

Two copies of the embedded model decode greedily in lockstep, with a cache, at batch 1 and 16, one
of them steered. Every ratio is of two passes that ran one after the other; see `peers.decoding`. A
copy that is not steered is the control. Peers run in their own environments (`make bench-peers`),
each against its own transformers without steering.
"""

import argparse
import json
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
from benchmarks.peers.decoding import BLOCK, ratios
from repalign import LanguageModel
from repalign.directions import Direction
from repalign.exports import bake
from repalign.interventions import Ablate, Add, everywhere, intervene
from repalign.monitoring import Monitor
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span

RESULTS = Path(__file__).parent / "results" / "steering.json"
BATCHES = (1, 16)
PEERS = {"repeng": "repeng", "steering_vectors": "steering-vectors"}


def contexts(model: LanguageModel) -> dict[str, Callable[[], AbstractContextManager[Any]]]:
    """What is measured while it is open."""
    direction = _direction(model)
    site, ablate = direction.site, Ablate.of(direction)
    readout = Readout(
        (site,), direction.vector[np.newaxis].astype(np.float64), 0.0, Span.parse("answer")
    )
    return {
        "nothing (control)": nullcontext,
        "add at one site": lambda: intervene(model, {site: Add(direction, 1.0)}),
        "add after every layer": lambda: intervene(
            model, {one: Add(direction, 0.1) for one in model.sites()}
        ),
        "ablate after every layer": lambda: intervene(model, dict.fromkeys(model.sites(), ablate)),
        "monitor at one site": Monitor(model, readout).watching,
    }


def ours(
    one: LanguageModel, other: LanguageModel, blocks: int
) -> dict[str, dict[int, list[float]]]:
    """Ratios of every contender at every batch size, with two copies of a model."""
    contests = {
        name: [
            (other.network, one.network, context),
            (one.network, other.network, contexts(other)[name]),
        ]
        for name, context in contexts(one).items()
    }
    baked = bake(one, everywhere(one, Ablate.of(_direction(one))))
    contests["ablation baked"] = [(one.network, baked.network, nullcontext)]
    return {
        name: {batch: ratios(each, batch, blocks) for batch in BATCHES}
        for name, each in contests.items()
    }


def zero_is_equal(model: LanguageModel) -> bool:
    """Whether a coefficient of zero leaves the logits bit for bit."""
    direction = _direction(model)
    ids = torch.randint(100, 20000, (4, 32), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        plain = model.network(input_ids=ids).logits
        with intervene(model, {direction.site: Add(direction, 0.0)}):
            return torch.equal(plain, model.network(input_ids=ids).logits)


def peer(name: str, folder: str, layer: int, blocks: int) -> Mapping[str, Any] | None:
    """A peer's ratios; None where it is not installed."""
    environment = ENVIRONMENTS / name
    if not (environment / ".installed").exists():
        print(f"{name} is not installed; run make bench-peers")
        return None
    settings = map(str, (torch.get_num_threads(), layer, blocks, *BATCHES))
    command = [environment / "bin" / "python", HERE / f"generating_{name}.py", folder, *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and write results/steering.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=4)
    options = parser.parse_args()
    model, other = LanguageModel.load("smollm2"), LanguageModel.load("smollm2")
    outcome: dict[str, Any] = {
        "machine": measuring.machine(),
        "pairs": options.blocks * BLOCK,
        "coefficient_zero_is_bit_equal": zero_is_equal(model),
    }
    outcome["times_as_long"] = {
        name: {str(batch): measuring.median(found) for batch, found in each.items()}
        for name, each in ours(model, other, options.blocks).items()
    }
    with tempfile.TemporaryDirectory() as folder:
        model.network.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)
        for name, label in PEERS.items():
            found = peer(name, folder, model.n_layers // 2, options.blocks)
            if found is not None:
                outcome["times_as_long"][f"{label}, one layer"] = {
                    batch: measuring.median(each) for batch, each in found["ratios"].items()
                }
                outcome.setdefault("versions", {})[label] = found["versions"]
    RESULTS.write_text(json.dumps(outcome, indent=2) + "\n")
    for name, each in outcome["times_as_long"].items():
        shown = "   ".join(
            f"batch {batch}: {one['median']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
            for batch, one in each.items()
        )
        print(f"{name:32} {shown}")


def _direction(model: LanguageModel) -> Direction:
    vector = np.random.default_rng(0).normal(size=model.d_model).astype(np.float32)
    return Direction(vector / np.linalg.norm(vector), Site(model.n_layers // 2), 0.0, 1.0)


if __name__ == "__main__":
    main()
