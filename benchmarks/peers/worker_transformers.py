"""Plain transformers: `output_hidden_states=True` on padded batches, last token of each row.

States of a batch are dropped once its last tokens are taken. The last layer's state is the one
after the final norm, as transformers gives it.
"""

import numpy as np
import torch
from loading import causal_model, tokenizer
from protocol import Extract, serve


def load(folder: str) -> Extract:
    return extractor(causal_model(folder), tokenizer(folder, "right"))


def extractor(model, tokens) -> Extract:
    """Extraction with a model of transformers, with or without a head."""

    def extract(texts: list[str], layers: list[int], batch: int) -> np.ndarray:
        kept = []
        with torch.inference_mode():
            for start in range(0, len(texts), batch):
                rows = tokens(texts[start : start + batch], padding=True, return_tensors="pt")
                states = model(**rows, output_hidden_states=True, use_cache=False).hidden_states
                last = rows["attention_mask"].sum(dim=1) - 1
                each = torch.arange(len(last))
                kept.append(torch.stack([states[i + 1][each, last] for i in layers], dim=1))
        return torch.cat(kept).numpy()

    return extract


if __name__ == "__main__":
    serve(load, "transformers", "torch")
