"""What steering adds to generation, in a peer's own environment.

    python generating_NAME.py MODEL_FOLDER THREADS LAYER BLOCKS BATCH...

prints one JSON line: `{"versions", "ratios": {batch: [steered / plain of each pair of passes]}}`.
"""

import importlib.metadata
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from decoding import ratios
from loading import causal_model

Steer = Callable[[Any, int, torch.Tensor], AbstractContextManager[Any]]
"""From model, layer and vector to the context in which the model is steered."""


def measure(steer: Steer, *packages: str) -> None:
    """Measure with the arguments of the command line and print the answer."""
    folder, threads, layer, blocks = sys.argv[1], *map(int, sys.argv[2:5])
    torch.set_num_threads(threads)
    one, other = causal_model(folder), causal_model(folder)
    width = one.config.hidden_size
    vector = torch.randn(width, generator=torch.Generator().manual_seed(0)) / width**0.5
    contests = [
        (other, one, lambda: steer(one, layer, vector)),
        (one, other, lambda: steer(other, layer, vector)),
    ]
    found = {batch: ratios(contests, batch, blocks) for batch in map(int, sys.argv[5:])}
    versions = {name: importlib.metadata.version(name) for name in packages}
    print(json.dumps({"versions": versions, "ratios": found}))
