"""steering-vectors: `extract_activations`, which its steering vectors are trained from.

It takes pairs of texts, so consecutive texts are paired; a last single text is paired with the
shortest one, whose second row is thrown away. Only the layers asked for are recorded, but the whole
model is run.
"""

import numpy as np
import torch
from loading import causal_model, tokenizer
from protocol import Extract, serve
from steering_vectors import extract_activations  # pyright: ignore[reportMissingImports]


def load(folder: str) -> Extract:
    model, tokens = causal_model(folder), tokenizer(folder, "right")

    def extract(texts: list[str], layers: list[int], batch: int) -> np.ndarray:
        even = texts if len(texts) % 2 == 0 else [*texts, min(texts, key=len)]
        pairs = list(zip(even[::2], even[1::2], strict=True))
        sides = extract_activations(model, tokens, pairs, layers=layers, batch_size=batch)
        first, second = (
            torch.stack([torch.cat(side[layer]) for layer in layers], dim=1) for side in sides
        )
        return torch.stack([first, second], dim=1).flatten(0, 1)[: len(texts)].numpy()

    return extract


if __name__ == "__main__":
    serve(load, "steering-vectors", "transformers", "torch")
