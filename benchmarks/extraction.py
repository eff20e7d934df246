"""Extraction against plain transformers, side by side in one run.

    python benchmarks/extraction.py [--rounds 7] [--statements 300]

Last token, all layers, short statements, embedded model. The contenders take turns, so that a slow
minute of a shared machine falls on all of them; ratios are medians over rounds with their range.
"""

import argparse
import json
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from repalign import Example, LanguageModel, collect, datasets
from repalign.activations import MAX_TOKENS, batches
from repalign.models.modes import evaluating
from repalign.tokens import Tokens

RESULTS = Path(__file__).parent / "results" / "extraction.json"
PEER_BATCH = 32
Contender = Callable[[LanguageModel, list[Example]], "np.ndarray | None"]


def ours(model: LanguageModel, examples: list[Example]) -> np.ndarray:
    """collect() as a user calls it."""
    return collect(model, examples, model.sites()).values


def bare(model: LanguageModel, examples: list[Example]) -> None:
    """The decoder's forward pass on the same length-sorted batches, keeping nothing."""
    rows = [model.tokenizer(example.text)["input_ids"] for example in examples]
    decoder = model.network.get_decoder()
    with torch.no_grad(), evaluating(model.network):
        for batch in batches([len(row) for row in rows], MAX_TOKENS):
            tokens = Tokens.pad([rows[i] for i in batch], model.pad_id)
            decoder(
                input_ids=tokens.ids,
                attention_mask=tokens.attended.long(),
                position_ids=tokens.position_ids,
                use_cache=False,
            )


def hidden_states(model: LanguageModel, examples: list[Example]) -> np.ndarray:
    """Batched transformers with output_hidden_states, as notebooks and most peers do it.

    Each batch's states are dropped once the last tokens are taken, which is more frugal than most.
    """
    tokenizer, kept = model.tokenizer, []
    tokenizer.padding_side = "right"
    with torch.no_grad():
        for start in range(0, len(examples), PEER_BATCH):
            texts = [example.text for example in examples[start : start + PEER_BATCH]]
            batch = tokenizer(texts, return_tensors="pt", padding=True)
            states = model.network(**batch, output_hidden_states=True).hidden_states
            last = batch["attention_mask"].sum(dim=1) - 1
            rows = torch.arange(len(texts))
            kept.append(torch.stack([state[rows, last] for state in states[1:]], dim=1))
    return torch.cat(kept).numpy()


CONTENDERS: dict[str, Contender] = {"repalign": ours, "bare": bare, "hidden_states": hidden_states}


def statements(count: int) -> list[Example]:
    """Short statements of every topic, the same ones each time."""
    topics = ("cities", "capitals", "currencies", "spanish", "numbers", "arithmetic")
    return [example for topic in topics for example in datasets.load(topic)[: -(-count // 6)]][
        :count
    ]


def added_memory(name: str, count: int) -> float:
    """Peak resident memory above that of the loaded, warmed-up model, in MB; in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_added_memory, (name, count))


def _added_memory(name: str, count: int) -> float:
    model, examples = LanguageModel.load("smollm2"), statements(count)
    CONTENDERS[name](model, examples[:8])
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    CONTENDERS[name](model, examples)
    return (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")


def main() -> None:
    """Time the contenders in turns and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--statements", type=int, default=300)
    options = parser.parse_args()
    memory = {name: added_memory(name, options.statements) for name in CONTENDERS}
    model, examples = LanguageModel.load("smollm2"), statements(options.statements)
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    values = {name: run(model, examples) for name, run in CONTENDERS.items()}  # also warms up
    found, wanted = values["repalign"], values["hidden_states"]
    assert found is not None
    assert wanted is not None
    # The last layer is left out: transformers returns it after the final norm.
    difference = np.abs(found[:, :-1] - wanted[:, :-1]).max() / np.abs(wanted[:, :-1]).max()
    for _ in range(options.rounds):
        for name, run in CONTENDERS.items():
            start = time.perf_counter()
            run(model, examples)
            seconds[name].append(time.perf_counter() - start)
    ratios = {
        name: [other / own for other, own in zip(seconds[name], seconds["repalign"], strict=True)]
        for name in ("bare", "hidden_states")
    }
    outcome = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "date": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "statements": options.statements,
        "rounds": options.rounds,
        "largest_relative_difference": float(difference),
        "seconds": {name: statistics.median(times) for name, times in seconds.items()},
        "times_as_fast_as": {
            name: {"median": statistics.median(r), "low": min(r), "high": max(r)}
            for name, r in ratios.items()
        },
        "added_memory_mb": memory,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(outcome, indent=2) + "\n")
    print(json.dumps(outcome, indent=2))


if __name__ == "__main__":
    main()
