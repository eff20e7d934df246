"""TransformerLens: `run_with_cache` of the bridge, filtered to the layers asked for.

Left padding and `pos_slice=-1`, so that only last tokens are cached, and `stop_at_layer`. Its
attention is the eager one, as it always is in the bridge.
"""

import numpy as np
import torch
from loading import tokenizer
from protocol import Extract, serve
from transformer_lens.model_bridge import TransformerBridge  # pyright: ignore[reportMissingImports]


def load(folder: str) -> Extract:
    # Not the bridge's own tokenizer, which puts a beginning-of-sequence token before every text.
    tokens = tokenizer(folder, "left")
    bridge = TransformerBridge.boot_transformers(
        folder, device="cpu", dtype=torch.float32, tokenizer=tokenizer(folder, "left")
    )

    def extract(texts: list[str], layers: list[int], batch: int) -> np.ndarray:
        names = [f"blocks.{layer}.hook_out" for layer in layers]
        kept = []
        with torch.inference_mode():
            for start in range(0, len(texts), batch):
                rows = tokens(texts[start : start + batch], padding=True, return_tensors="pt")
                _, cache = bridge.run_with_cache(
                    rows["input_ids"],
                    attention_mask=rows["attention_mask"],
                    names_filter=names,
                    stop_at_layer=max(layers) + 1,
                    pos_slice=-1,
                )
                kept.append(torch.stack([cache[name].flatten(1) for name in names], dim=1))
        return torch.cat(kept).numpy()

    return extract


if __name__ == "__main__":
    serve(load, "transformer-lens", "transformers", "torch")
