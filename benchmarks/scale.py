"""What extraction costs per distinct token: a model of it, and measurements that check it.

    python -m benchmarks.scale      # writes results/scale.json and the tables of docs/scale.md

Three sizes of random Llama read the same trie; the model says how their times compare. What a
million texts cost on large models is computed from the model and from the rates measured here for
the steps that do not run on the accelerator.
"""

import json
import random
import tempfile
import time
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks import measuring
from benchmarks.table import between
from repalign import LanguageModel, datasets
from repalign.activations import Extraction, Store
from repalign.models import passes
from repalign.models.modes import evaluating
from repalign.prefixes import Plan, Trie, cut_into_pieces
from repalign.spans import Span, read_all

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "scale.json"
PAGE = ROOT / "docs" / "scale.md"
TEXTS = 1_000_000
GPU_FLOPS = 989e12
"""Dense bfloat16 of an H200 by its data sheet."""
UTILISATION = 0.4
"""Of that in large passes: assumed, not measured."""
GPU_BYTES = 141e9


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama that its cost depends on."""

    name: str
    layers: int
    width: int
    heads: int
    shared_heads: int
    inside: int
    vocabulary: int = 49152

    @property
    def block_parameters(self) -> int:
        """Weights of all blocks; embedding and head are not computed with."""
        narrow = self.width // self.heads * self.shared_heads
        attention = 2 * self.width**2 + 2 * self.width * narrow
        return self.layers * (attention + 3 * self.width * self.inside)

    def flops(self, seen: float) -> float:
        """Floating-point operations of one token that attends to `seen` positions."""
        return 2.0 * self.block_parameters + 4.0 * self.layers * self.width * seen

    def row_bytes(self, sites: int, item: int) -> int:
        """Bytes of one position kept at some sites."""
        return sites * self.width * item

    def trunk_bytes(self, item: int) -> int:
        """Bytes of the cached keys and values of one token of a trunk."""
        return 2 * self.layers * (self.width // self.heads) * self.shared_heads * item

    def model(self, tokenizer: Any) -> LanguageModel:
        """Build it with random weights."""
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            intermediate_size=self.inside,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.shared_heads,
        )
        return LanguageModel(LlamaForCausalLM(config), tokenizer, self.name)


SIZES = (
    Shape("small", 12, 384, 6, 2, 1024),
    Shape("135M", 30, 576, 9, 3, 1536),
    Shape("350M", 24, 1024, 16, 4, 2816),
)
LLAMA_8B = Shape("8B", 32, 4096, 32, 8, 14336, 128256)
LLAMA_70B = Shape("70B", 80, 8192, 64, 8, 28672, 128256)


def seen_positions(plan: Plan) -> float:
    """Positions that a computed one attends to, on average: trunk and row, masked ones included."""
    total = sum(step.positions * (step.before + step.width) for step in plan.passes)
    return total / plan.positions


def three_sizes(tokenizer: Any, rounds: int = 3) -> dict[str, Any]:
    """Measured seconds of the same passes at three sizes, and what the model says of them."""
    examples = datasets.load("cities")[:100]
    readings = read_all(tokenizer, examples, Span.parse("last"))
    trie = Trie.of([r.ids for r in readings], [r.positions for r in readings])
    plan = Plan.of(trie, 512)
    models = {shape.name: shape.model(tokenizer) for shape in SIZES}

    def run(model: LanguageModel) -> float:
        with evaluating(model.network):
            return measuring.timed(lambda: list(passes.run(model, plan, model.sites())))

    contenders = {name: lambda model=model: run(model) for name, model in models.items()}
    measuring.in_turns(contenders, 1)
    seconds = measuring.in_turns(contenders, rounds)
    seen = seen_positions(plan)
    rates = {
        shape.name: plan.positions * shape.flops(seen) / min(seconds[shape.name]) for shape in SIZES
    }
    return {
        "positions": plan.positions,
        "distinct": len(trie),
        "seen": seen,
        "gflops_per_token": {shape.name: shape.flops(seen) / 1e9 for shape in SIZES},
        "tokens_per_second": {n: plan.positions / min(t) for n, t in seconds.items()},
        "gflops_per_second": {name: rate / 1e9 for name, rate in rates.items()},
        "seconds": seconds,
    }


def host_rates(model: LanguageModel) -> dict[str, float]:
    """Rates of the steps that run on the host, each on one core."""
    rates = {}
    for kind in ("cities", "cities_persona"):
        rows = datasets.load(kind)[:400]
        seconds = measuring.timed(
            lambda rows=rows: read_all(model.tokenizer, rows, Span.parse("last"))
        )
        rates[f"tokenise {kind}, texts per second"] = len(rows) / seconds
    draw = random.Random(0)
    nouns = [[draw.randrange(50_000) for _ in range(3)] for _ in range(20_000)]
    texts = [
        array("i", [1, 2, *draw.choice(nouns), 3, *draw.choice(nouns), 4]) for _ in range(100_000)
    ]
    kept = [array("i", [len(text) - 1]) for text in texts]
    pieces: list[list[int]] = []
    seconds = measuring.timed(
        lambda: pieces.extend(
            cut_into_pieces(texts, [1] * len(texts), max_tokens=131072, max_rows=4096)
        )
    )
    rates["sort and cut, texts per second"] = len(texts) / seconds
    few = pieces[:5]
    seconds = measuring.timed(
        lambda: [
            Plan.of(Trie.of([texts[i] for i in piece], [kept[i] for i in piece]), 16384)
            for piece in few
        ]
    )
    rates["plan, texts per second"] = sum(map(len, few)) / seconds
    return rates | {"write a store, MB per second": _write_rate(model)}


def _write_rate(model: LanguageModel, megabytes: int = 400) -> float:
    work = Extraction.of(model, datasets.load("cities")[:1], model.sites())
    row = 4 * model.d_model * model.n_layers
    rows = megabytes * 10**6 // row
    shards = np.array_split(np.arange(rows), max(1, megabytes // 64))
    index = work.index
    many = type(index)(**{name: np.repeat(v, rows) for name, v in index.fields().items()})
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        store = Store.create(
            Path(folder) / "s", {"made": "up"}, work.sites, model.d_model, "float32", many, shards
        )
        blocks = [torch.randn(len(shard), model.d_model) for shard in shards]
        start = time.perf_counter()
        for number in store.missing():
            with store.claim(number):
                store.write(number, dict.fromkeys(work.sites, blocks[number]))
        return rows * row / 1e6 / (time.perf_counter() - start)


def million(
    shape: Shape, distinct: float, length: float, rates: dict[str, float]
) -> dict[str, Any]:
    """What a million texts cost on a model.

    Args:
        shape: the model.
        distinct: distinct prefixes per text.
        length: tokens per text, which is what reading texts one by one would compute.
        rates: of the host.
    """
    flops = TEXTS * distinct * shape.flops(128 + length)
    weights = 2 * (shape.block_parameters + 2 * shape.vocabulary * shape.width)
    disk = TEXTS * shape.row_bytes(shape.layers, 2)
    return {
        "petaflop": flops / 1e15,
        "gpu_hours": flops / (GPU_FLOPS * UTILISATION) / 3600,
        "gpu_hours_whole": TEXTS * length * shape.flops(length) / (GPU_FLOPS * UTILISATION) / 3600,
        "gpus_for_weights": int(np.ceil(weights / (0.8 * GPU_BYTES))),
        "weights_gb": weights / 1e9,
        "disk_gb_all_layers_bfloat16": disk / 1e9,
        "disk_gb_one_layer_bfloat16": disk / shape.layers / 1e9,
        "write_hours_all_layers": disk / 1e6 / rates["write a store, MB per second"] / 3600,
        "trunk_mb_per_100_tokens": 100 * shape.trunk_bytes(2) / 1e6,
    }


def main() -> None:
    """Measure, compute, and write results and the page's tables."""
    model = LanguageModel.load("smollm2")
    rates = host_rates(model)
    sets = {}
    for name in ("cities", "cities_persona"):
        work = Extraction.of(model, datasets.load(name), [model.sites()[0]])
        count = len(work.texts)
        sets[name] = {"distinct": work.distinct / count, "length": work.tokens / count}
    outcome: dict[str, Any] = {
        "machine": measuring.machine(),
        "three_sizes": three_sizes(model.tokenizer),
        "host": rates,
        "sets": sets,
        "million": {
            f"{shape.name}, {name}": million(shape, **each, rates=rates)
            for shape in (LLAMA_8B, LLAMA_70B)
            for name, each in sets.items()
        },
    }
    RESULTS.write_text(json.dumps(outcome, indent=2) + "\n")
    between(PAGE, "sizes", _sizes(outcome))
    between(PAGE, "host", _host(outcome))
    between(PAGE, "million", _million(outcome))
    print(json.dumps(outcome, indent=1))


def _sizes(outcome: dict[str, Any]) -> str:
    found = outcome["three_sizes"]
    lines = ["| model | GFLOP per token, computed | tokens per second | GFLOP per second |"]
    lines.append("|---|---|---|---|")
    for shape in SIZES:
        cells = (
            f"{shape.name}: {shape.layers} layers, width {shape.width}",
            f"{found['gflops_per_token'][shape.name]:.3f}",
            f"{found['tokens_per_second'][shape.name]:.0f}",
            f"{found['gflops_per_second'][shape.name]:.0f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _host(outcome: dict[str, Any]) -> str:
    lines = ["| step on the host, one process | rate | a million texts |", "|---|---|---|"]
    for name, rate in outcome["host"].items():
        step, unit = name.rsplit(", ", 1)
        takes = f"{TEXTS / rate / 60:.1f} min" if unit.startswith("texts") else "see below"
        lines.append(f"| {step} | {rate:,.0f} {unit} | {takes} |")
    return "\n".join(lines)


def _million(outcome: dict[str, Any]) -> str:
    lines = [
        "| model, texts | GPU hours, prefixes shared | GPU hours, whole texts | GPUs to hold it | "
        "disk, all layers | disk, one layer | hours to write all layers |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in outcome["million"].items():
        cells = (
            name.replace("cities_persona", "persona chats").replace("cities", "short statements"),
            f"{row['gpu_hours']:.2f}",
            f"{row['gpu_hours_whole']:.2f}",
            str(row["gpus_for_weights"]),
            f"{row['disk_gb_all_layers_bfloat16']:,.0f} GB",
            f"{row['disk_gb_one_layer_bfloat16']:,.1f} GB",
            f"{row['write_hours_all_layers']:.2f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
