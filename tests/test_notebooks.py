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
    "first_probe.ipynb": {"max_groups=60": "max_groups=24"},
    "ablate_honesty.ipynb": {"[:120]": "[:24]", "range(3)": "range(1)"},
    "honesty_metrics.ipynb": {
        "[:72]": "[:6]",
        "samples=10": "samples=2",
        "STEPS = 40": "STEPS = 1",
        "[::8]": "[::48]",
        "[:24]]": "[:3]]",
    },
    "steer_and_tradeoff.ipynb": {
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
