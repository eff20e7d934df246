"""repeng: `batched_get_hiddens`, which its control vectors are trained from.

It runs the whole model with `output_hidden_states=True`; the last layer's state is the one after
the final norm.
"""

import numpy as np
from loading import causal_model, tokenizer
from protocol import Extract, serve
from repeng.extract import batched_get_hiddens  # pyright: ignore[reportMissingImports]


def load(folder: str) -> Extract:
    model, tokens = causal_model(folder), tokenizer(folder, "right")

    def extract(texts: list[str], layers: list[int], batch: int) -> np.ndarray:
        found = batched_get_hiddens(model, tokens, texts, layers, batch)
        return np.stack([found[layer] for layer in layers], axis=1)

    return extract


if __name__ == "__main__":
    serve(load, "repeng", "transformers", "torch")
