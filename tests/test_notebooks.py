"""Every notebook runs from top to bottom, on less data where that makes it quick."""

import os
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from repalign.models import LanguageModel
from repalign.storage import cache_dir

FOLDER = Path(__file__).parents[1] / "experiments" / "notebooks"
USERS_CACHE = cache_dir()

# What is replaced to make each notebook quick, and what its output must hold.
QUICK: Mapping[str, Mapping[str, str]] = {
    "first_probe.ipynb": {"model.sites(), max_groups=60": "model.sites()[::3], max_groups=24"},
    "ablate_honesty.ipynb": {
        "[:120]": "[:12]",
        "range(3)": "range(1)",
        'load("cities"), [here]': 'load("cities")[:80], [here]',
    },
    "honesty_metrics.ipynb": {
        "[:72]": "[:6]",
        "samples=10": "samples=2",
        "max_new_tokens=24": "max_new_tokens=8",
        "max_new_tokens=40": "max_new_tokens=8",
        "STEPS = 40": "STEPS = 1",
        "batch_size=8": "batch_size=2",
        "[::8]": "[::48]",
        "[:24]]": "[:3]]",
    },
    "train_with_penalty.ipynb": {
        "PAIRS, HELD_OUT, STEPS = 96, 60, 24": "PAIRS, HELD_OUT, STEPS = 4, 6, 1",
        '"train", 72': '"train", 24',
        "suites=(), folder": "suites=(), benign=quick, prompts=quick[:4], folder",
        "families(model, directions)": "families(model, directions, limit=24)",
        '"validation", 40': '"validation", 12',
        "def measures(after)": (
            "from repalign.datasets import load\n"
            'quick = load("benign", require_labels=False)[::80]\n'
            "def measures(after)"
        ),
    },
    "steer_and_tradeoff.ipynb": {
        'cities = datasets.load("cities")': 'cities = datasets.load("cities")[:80]',
        'load("requests")': 'load("requests")[:40]',
        "[:60]": "[:20]",
        "max_tokens=256": "max_tokens=64",
        "model.sites()[10:17:3]": "model.sites()[13:14]",
        "prompts=4": "prompts=1",
    },
}
SHOWS: Mapping[str, tuple[str, ...]] = {
    "first_probe.ipynb": ("shuffled", "capitals", "'value'"),
    "ablate_honesty.ipynb": ("at one site:", "by chance, everywhere, 0:", "largest projection"),
    "honesty_metrics.ipynb": ("against itself:", "over_conservativeness", "after: declines"),
    "train_with_penalty.ipynb": ("plain DPO", "with the penalty", "penalty at the first step"),
    "steer_and_tradeoff.ipynb": ("nats per unit", "refusal removed", "random", "R²"),
}
# Those that end in a picture.
DRAWS = {"first_probe.ipynb", "steer_and_tradeoff.ipynb"}


def test_every_notebook_is_known() -> None:
    assert {path.name for path in FOLDER.glob("*.ipynb")} == set(QUICK) == set(SHOWS)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("name", sorted(QUICK))
def test_it_runs_and_shows_what_it_promises(
    name: str, smollm2: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPALIGN_CACHE", str(USERS_CACHE))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER.parents[1])]))
    notebook = nbformat.read(FOLDER / name, as_version=4)
    for old, new in QUICK[name].items():
        cells = [cell for cell in notebook.cells if old in cell.source]
        assert cells, f"{name} no longer holds {old!r}: mend QUICK"
        for cell in cells:
            cell.source = cell.source.replace(old, new)
    folder = {"metadata": {"path": str(tmp_path)}}
    done = NotebookClient(notebook, timeout=600, resources=folder).execute()
    printed = "".join(
        output.get("text", "") for cell in done.cells for output in cell.get("outputs", [])
    )
    for wanted in SHOWS[name]:
        assert wanted in printed
    pictures = [
        o for c in done.cells for o in c.get("outputs", []) if "image/svg+xml" in o.get("data", {})
    ]
    assert bool(pictures) == (name in DRAWS)


def test_the_first_probe_takes_under_25_lines_of_code() -> None:
    notebook = nbformat.read(FOLDER / "first_probe.ipynb", as_version=4)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    lines = [line for source in code for line in source.splitlines() if line.strip()]
    assert len(lines) < 25
