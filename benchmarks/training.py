"""What a penalty adds to a step of DPO with an adapter, side by side with TRL's own trainer.

    python -m benchmarks.training [--rounds 30] [--smoke]      # results/training.json

Trainers of the embedded model take turns at the same batches, in one process, the order turned
round in every other round; a ratio is of two steps of one round. Pairs of 128 to 256 tokens a text.
A second plain trainer shows how much is noise. Memory is the peak of a few steps, each trainer in a
fresh process: on a CPU what is resident beyond what the imports took, on a GPU what torch holds.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers.trainer_utils import set_seed
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from benchmarks import measuring
from repalign import LanguageModel, datasets
from repalign.directions import Direction
from repalign.sites import Site
from repalign.training import delta, penalised

RESULTS = Path(__file__).parent / "results" / "training.json"
SITES = 8
PLAIN, AGAIN, PENALISED = "plain", "plain again", "penalised"
KINDS = (PLAIN, AGAIN, PENALISED)


def pairs(count: int) -> Dataset:
    """Preference pairs: statements to go on from, and a true and a false continuation."""
    statements = datasets.load("cities")
    sides = [[one.text for one in statements if one.label == label] for label in (1, 0)]
    drawn = np.random.default_rng(0)

    def several(texts: list[str], low: int, high: int) -> str:
        return " ".join(drawn.choice(texts, size=int(drawn.integers(low, high))))

    true, false = sides
    rows = []
    for _ in range(count):
        prompt = several(true, 4, 8)
        size = int(drawn.integers(10, 16))
        chosen, rejected = (" " + several(side, size, size + 1) for side in (true, false))
        rows.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    return Dataset.from_list(rows)


def trainer(kind: str, folder: str, checkpointing: bool, rows: int) -> Any:
    """A trainer of a fresh copy of the model, ready to step."""
    model = LanguageModel.load("smollm2")
    made: Any = penalised(DPOTrainer, [_penalty(model)]) if kind == PENALISED else DPOTrainer
    on_gpu = torch.cuda.is_available()
    words = model.tokenizer
    words.pad_token = words.pad_token or words.eos_token
    set_seed(0)
    ready = made(
        model=model.network.float(),
        args=DPOConfig(
            output_dir=folder,
            per_device_train_batch_size=rows,
            gradient_checkpointing=checkpointing,
            use_cpu=not on_gpu,
            bf16=on_gpu,
            report_to="none",
            max_length=512,
            max_steps=1000,
        ),
        train_dataset=pairs(64),
        processing_class=words,
        peft_config=LoraConfig(r=16, target_modules="all-linear"),
    )
    ready.current_gradient_accumulation_steps = 1
    ready.create_optimizer()
    ready.model.train()
    return ready


def batches(made: Any, count: int) -> list[dict[str, Any]]:
    """The first batches of the trainer's own loader."""
    return [batch for batch, _ in zip(made.get_train_dataloader(), range(count), strict=False)]


def step(made: Any, batch: dict[str, Any]) -> None:
    """A step of training, its logs included."""
    made.training_step(made.model, batch)
    torch.nn.utils.clip_grad_norm_(made.model.parameters(), 1.0)
    made.optimizer.step()
    made.model.zero_grad()


def times(folder: str, checkpointing: bool, rows: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of every step of every trainer, in turns."""
    made = {kind: trainer(kind, folder, checkpointing, rows) for kind in KINDS}
    found = batches(made[PLAIN], 8)
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for each in made.values():
        # The first step measures the weight of the penalty.
        step(each, found[0])
    for number in range(rounds):
        batch = found[number % len(found)]
        for kind in KINDS if number % 2 else reversed(KINDS):
            seconds[kind].append(measuring.timed(partial(step, made[kind], batch)))
    return seconds


def training(
    kind: str, folder: str, checkpointing: bool, rows: int, steps: int
) -> Callable[[], Any]:
    """Returns the work that takes memory: loading the model, and a few steps."""

    def work() -> None:
        made = trainer(kind, folder, checkpointing, rows)
        found = batches(made, steps)
        step(made, found[0])
        measuring.reset_peak()
        for batch in found:
            step(made, batch)

    return work


def peak(kind: str, folder: str, checkpointing: bool, rows: int, steps: int) -> float:
    """Peak memory of a trainer in a process of its own, in MB."""
    arguments = (kind, folder, checkpointing, rows, steps)
    if torch.cuda.is_available():
        return measuring.apart(_on_gpu, *arguments)
    return measuring.added_memory(training, *arguments)


def main() -> None:
    """Measure and write results/training.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--rows", type=int, default=1, help="pairs in a batch")
    parser.add_argument("--smoke", action="store_true", help="one round; nothing is written")
    options = parser.parse_args()
    rounds, steps = (1, 1) if options.smoke else (options.rounds, 4)
    outcome: dict[str, Any] = {
        "machine": measuring.machine(),
        "rounds": rounds,
        "pairs_in_a_batch": options.rows,
        "sites": SITES,
        "rows": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for checkpointing in (True, False):
            arguments = (folder, checkpointing, options.rows)
            # Memory first, before this process holds models of its own.
            memory = {kind: peak(kind, *arguments, steps) for kind in KINDS}
            seconds = times(*arguments, rounds)
            outcome["rows"]["checkpointing" if checkpointing else "no checkpointing"] = {
                kind: {
                    "seconds": measuring.median(seconds[kind]),
                    "times_as_long": measuring.median(
                        [a / b for a, b in zip(seconds[kind], seconds[PLAIN], strict=True)]
                    ),
                    "peak_mb": memory[kind],
                    "times_the_peak": memory[kind] / memory[PLAIN],
                }
                for kind in KINDS
            }
    print(json.dumps(outcome, indent=1))
    if not options.smoke:
        RESULTS.write_text(json.dumps(outcome, indent=2) + "\n")


def _penalty(model: LanguageModel) -> Any:
    layers = np.linspace(model.n_layers // 6, model.n_layers - 3, SITES).round().astype(int)
    drawn = np.random.default_rng(0)
    directions = []
    for layer in layers.tolist():
        vector = drawn.normal(size=model.d_model).astype(np.float32)
        directions.append(Direction(vector / np.linalg.norm(vector), Site(layer), 0.0, 1.0))
    return delta(directions)


def _on_gpu(*arguments: Any) -> float:
    training(*arguments)()
    return torch.cuda.max_memory_allocated() / 2**20


if __name__ == "__main__":
    main()
