"""Peak memory that extraction adds, in fresh processes.

python -m benchmarks.memory      # results/memory.json
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import measuring
from benchmarks.workloads import workloads
from repalign import LanguageModel, collect

RESULTS = Path(__file__).parent / "results" / "memory.json"
SHARES = (0.5, 1.0, 4.0)
"""Of the persona texts, on disk: the peak should not grow with them."""


def extraction(name: str, folder: str | None, scale: float) -> Callable[[], Any]:
    """Load a model, warm up, and return the extraction of a workload."""
    model = LanguageModel.load("smollm2")
    work = next(found for found in workloads(model, scale) if found.name == name)
    collect(model, work.examples[:4], work.sites())
    store = None if folder is None else str(Path(folder) / f"{name}-{scale}")
    return lambda: collect(model, work.examples, work.sites(), store=store)


def main() -> None:
    """Measure every workload in memory, and one on disk at several sizes."""
    names = [work.name for work in workloads(LanguageModel.load("smollm2"), 0.1)]
    with tempfile.TemporaryDirectory() as folder:
        outcome = {
            "machine": measuring.machine(),
            "in_memory_mb": {
                name: measuring.added_memory(extraction, name, None, 1.0) for name in names
            },
            "personas_on_disk_mb": {
                str(share): measuring.added_memory(extraction, "personas", folder, share)
                for share in SHARES
            },
        }
    RESULTS.write_text(json.dumps(outcome, indent=2) + "\n")
    print(json.dumps(outcome, indent=1))


if __name__ == "__main__":
    main()
