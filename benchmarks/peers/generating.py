"""What steering adds to generation, in a peer's own environment: pairs of plain and steered.

    python generating_NAME.py MODEL_FOLDER THREADS LAYER TOKENS PAIRS BATCH...

prints one JSON line: `{"versions", "ratios": {batch: [steered / plain of each pair]}}`. Which of a
pair comes first alternates. It needs nothing but torch and what `loading` needs.
"""

import importlib.metadata
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from loading import causal_model

Steer = Callable[[Any, int, torch.Tensor], tuple[Callable[[], None], Callable[[], None]]]
"""From model, layer and vector to what switches the steering on, and off."""


def measure(steer: Steer, *packages: str) -> None:
    """Measure with the arguments of the command line and print the answer."""
    folder, threads, layer, tokens, pairs = sys.argv[1], *map(int, sys.argv[2:6])
    torch.set_num_threads(threads)
    model = causal_model(folder)
    width = model.config.hidden_size
    vector = torch.randn(width, generator=torch.Generator().manual_seed(0)) / width**0.5
    on, off = steer(model, layer, vector)
    ratios = {}
    for batch in map(int, sys.argv[6:]):
        ids = torch.randint(100, 20000, (batch, 16), generator=torch.Generator().manual_seed(1))
        found = []
        for number in range(pairs + 1):
            seconds = {}
            for steered in (number % 2 == 0, number % 2 == 1):
                (on if steered else off)()
                seconds[steered] = _seconds(model, ids, tokens)
            off()
            found.append(seconds[True] / seconds[False])
        # The first pair warms up.
        ratios[batch] = found[1:]
    versions = {name: importlib.metadata.version(name) for name in packages}
    print(json.dumps({"versions": versions, "ratios": ratios}))


def _seconds(model: Any, ids: torch.Tensor, tokens: int) -> float:
    generator = getattr(model, "model", model) if not hasattr(model, "generate") else model
    start = time.perf_counter()
    with torch.no_grad():
        generator.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
        )
    return time.perf_counter() - start
