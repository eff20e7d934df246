"""Extraction side by side with other tools, in one run.

    make bench-peers                              # once: the other tools' environments
    python -m benchmarks.extraction               # the embedded model; results/extraction.json
    python -m benchmarks.extraction --llama-8b    # on a GPU: an 8B-shaped Llama, random weights

All contenders read the last token of the same texts. Every peer runs once on some of them, to
compare values and to find the fastest; the two fastest, and the fastest of those that run every
layer, then take turns with us on all of them. Ratios are medians over rounds with their range.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import measuring
from benchmarks.peers import KINDS, Peer
from benchmarks.workloads import Workload, workloads
from repalign import LanguageModel, collect
from repalign.activations import Extraction
from repalign.tokens import Tokens

RESULTS = Path(__file__).parent / "results"
_TRIAL_TEXTS = 60
"""Texts on which every peer's values are compared and the fastest peers are found."""


def ours(model: LanguageModel, work: Workload) -> np.ndarray:
    """collect() as a user calls it."""
    found = collect(model, work.examples, work.sites()).values
    assert isinstance(found, np.ndarray)
    return found


def hidden_states(model: LanguageModel, work: Workload, batch: int = 16) -> np.ndarray:
    """Batched transformers with output_hidden_states in this process: the peer where none runs."""
    texts, kept, tokenizer = work.texts(model), [], model.tokenizer
    for start in range(0, len(texts), batch):
        rows = [tokenizer(text)["input_ids"] for text in texts[start : start + batch]]
        tokens = Tokens.pad(rows, model.pad_id).to(model.device)
        with torch.no_grad():
            states = model.forward(tokens, output_hidden_states=True).hidden_states
        index = torch.arange(len(rows), device=model.device)
        last = tokens.lengths - 1
        kept.append(torch.stack([states[n + 1][index, last] for n in work.layers], 1).float().cpu())
    return torch.cat(kept).numpy()


def compare(
    model: LanguageModel, work: Workload, peers: dict[str, Peer], rounds: int
) -> dict[str, Any]:
    """One row of the table: our time against peers', and whether the values agree."""
    texts = work.texts(model)
    few = replace(work, examples=work.examples[:: max(1, len(texts) // _TRIAL_TEXTS)])
    found = ours(model, few)
    ends_last = work.layers[-1] == model.n_layers - 1
    trial: dict[str, float] = {}
    differences: dict[str, float] = {}
    for name in [n for n in peers if not work.against or n in work.against]:
        result = peers[name].run(few.texts(model), work.layers, values=True)
        assert result.values is not None
        # Some read the last layer after the final norm.
        stop = -1 if KINDS[name].normed_last and ends_last else None
        differences[name] = _difference(found[:, :stop], result.values[:, :stop])
        trial[name] = result.seconds
    if not peers:
        stop = -1 if ends_last else None
        states = hidden_states(model, few)
        differences["hidden_states"] = _difference(found[:, :stop], states[:, :stop])
    fastest = sorted(trial, key=lambda name: trial[name])[:2]
    # The fastest of those that run every layer too: stopping early is one of the things compared.
    fastest += sorted((n for n in trial if not KINDS[n].stops_early), key=lambda n: trial[n])[:1]
    contenders: dict[str, Callable[[], float]] = {
        "repalign": lambda: measuring.timed(lambda: ours(model, work))
    }
    for name in dict.fromkeys(fastest):
        contenders[name] = lambda name=name: peers[name].run(texts, work.layers).seconds
    if not peers:
        contenders["hidden_states"] = lambda: measuring.timed(lambda: hidden_states(model, work))
    seconds = measuring.in_turns(contenders, rounds)
    own = seconds.pop("repalign")
    extraction = Extraction.of(model, work.examples, work.sites())
    return {
        "title": work.title,
        "texts": len(texts),
        "tokens": extraction.tokens,
        "distinct": extraction.distinct,
        "layers": len(work.layers),
        "asked": work.asked,
        "seconds": own,
        "trial_seconds": trial,
        "times_as_fast": {name: measuring.ratio(times, own) for name, times in seconds.items()},
        "largest_relative_difference": differences,
    }


def _difference(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(max(np.abs(found - wanted).max((0, 2)) / np.abs(wanted).max((0, 2))))


def random_llama() -> LanguageModel:
    """A Llama of the shape of an 8B model, with random weights, in bfloat16 on the GPU."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = LanguageModel.load("smollm2", device="cpu").tokenizer
    config = LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=8192,
    )
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        network = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    # Random states compare badly in bfloat16 under the checks' tolerance.
    return LanguageModel(network, tokenizer, "llama-8b-random", allow_failed=["padding", "applied"])


def main() -> None:
    """Run every row, write the results and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the texts")
    parser.add_argument("--only", help="one workload")
    parser.add_argument("--llama-8b", action="store_true")
    options = parser.parse_args()
    model = random_llama() if options.llama_8b else LanguageModel.load("smollm2")
    chosen = [w for w in workloads(model, options.scale) if options.only in (None, w.name)]
    outcome: dict[str, Any] = {"machine": measuring.machine(), "rounds": options.rounds}
    peers: dict[str, Peer] = {}
    if not options.llama_8b:
        source = model.network.config._name_or_path
        peers = {n: Peer(n) for n in KINDS if Peer(n).available()}
        outcome["missing"] = {n: Peer(n).reason() for n in KINDS if n not in peers}
        for peer in peers.values():
            peer.start(source, torch.get_num_threads())
            peer.run(chosen[0].texts(model)[:8], chosen[0].layers)
        outcome["versions"] = {name: peer.versions for name, peer in peers.items()}
    ours(model, chosen[0])
    outcome["rows"] = {}
    for work in chosen:
        started = time.monotonic()
        row = compare(model, work, peers, options.rounds)
        outcome["rows"][work.name] = row
        best = {name: round(r["median"], 2) for name, r in row["times_as_fast"].items()}
        print(f"{work.title}: {best} ({time.monotonic() - started:.0f} s)", flush=True)
    for peer in peers.values():
        peer.close()
    if options.only is None and options.scale == 1.0:
        RESULTS.mkdir(exist_ok=True)
        name = "extraction_gpu.json" if options.llama_8b else "extraction.json"
        (RESULTS / name).write_text(json.dumps(outcome, indent=2) + "\n")
    print(json.dumps({k: v for k, v in outcome.items() if k not in ("rows", "versions")}, indent=1))


if __name__ == "__main__":
    main()
