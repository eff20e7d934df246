"""What keeping activations in bfloat16 does to AUROC; see README.md."""

import json
import tempfile
from pathlib import Path

import numpy as np

from repalign import LanguageModel, collect, datasets, fitting
from repalign.metrics import auroc
from repalign.probing.cross_validation import nested
from repalign.runs import Environment

DATA = ("cities", "currencies")
EVERY = 3
"""Layers from one that is read to the next."""
PROBES = ("mean_difference", "lda", "logistic", "contrast_pca")


def main() -> None:
    """Collect in both formats, cross-validate the same folds, write results.json."""
    model = LanguageModel.load("smollm2")
    estimators = {name: fitting.by_name(name) for name in PROBES}
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for data in DATA:
            examples, found, size = datasets.load(data), {}, {}
            for dtype in ("float32", "bfloat16"):
                store = Path(folder) / f"{data}-{dtype}"
                kept = collect(model, examples, model.sites()[::EVERY], store=store, dtype=dtype)
                found[dtype] = nested(kept, estimators)
                size[dtype] = sum(path.stat().st_size for path in store.glob("*.safetensors"))
            exact, rounded = found["float32"], found["bfloat16"]
            moved = [
                auroc(exact.labels, rounded.by_choice[choice], resamples=0).value
                - auroc(exact.labels, exact.by_choice[choice], resamples=0).value
                for choice in exact.by_choice
            ]
            rows[data] = {
                "bytes": size,
                "nested": {
                    dtype: auroc(one.labels, one.selected, one.groups).to_json()
                    for dtype, one in found.items()
                },
                "same_choices": exact.chosen == rounded.chosen,
                "largest_change": float(np.abs(moved).max()),
                "mean_change": float(np.mean(moved)),
                "compared": len(moved),
            }
            print(data, rows[data])
    outcome = {
        "model": model.name,
        "weights": model.fingerprint,
        "environment": Environment.here().model_dump(),
        "data": rows,
    }
    path = Path(__file__).with_name("results.json")
    path.write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
