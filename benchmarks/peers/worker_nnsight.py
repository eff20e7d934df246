"""nnsight: one trace per batch, last position of its left-padded rows, `tracer.stop()` after.

Nothing runs after the last layer asked for: neither later layers nor the head.
"""

import nnsight  # pyright: ignore[reportMissingImports]
import numpy as np
import torch
from protocol import Extract, serve


def load(folder: str) -> Extract:
    model = nnsight.TransformersModel(
        folder, task="text-generation", dtype=torch.float32, dispatch=True
    )

    def extract(texts: list[str], layers: list[int], batch: int) -> np.ndarray:
        kept = []
        with torch.inference_mode():
            for start in range(0, len(texts), batch):
                with model.trace(texts[start : start + batch]) as tracer:
                    last = nnsight.save([model.model.layers[i].output[:, -1] for i in layers])
                    tracer.stop()
                kept.append(torch.stack(last, dim=1))
        return torch.cat(kept).numpy()

    return extract


if __name__ == "__main__":
    serve(load, "nnsight", "transformers", "torch")
