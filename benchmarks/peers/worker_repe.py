"""RepE (arXiv 2310.01405): its `rep-reading` pipeline, called as `get_directions` calls it.

Left padding and position -1, as in its honesty notebook. The pipeline runs the whole model with
`output_hidden_states=True`; the last layer's state is the one after the final norm.
"""

from typing import Any

import numpy as np
import torch
from loading import causal_model, tokenizer
from protocol import Extract, serve
from repe import repe_pipeline_registry  # pyright: ignore[reportMissingImports]
from transformers import pipeline


def load(folder: str) -> Extract:
    repe_pipeline_registry()
    task: Any = "rep-reading"  # not among the names that transformers declares
    reading: Any = pipeline(task, model=causal_model(folder), tokenizer=tokenizer(folder, "left"))

    def extract(texts: list[str], layers: list[int], batch: int) -> np.ndarray:
        states = [layer + 1 for layer in layers]
        found = reading(texts, rep_token=-1, hidden_layers=states, batch_size=batch)
        return torch.stack([torch.cat([row[i] for i in states]) for row in found]).numpy()

    return extract


if __name__ == "__main__":
    serve(load, "repe", "transformers", "torch")
