"""Experiments that train run from end to end in their smoke setting."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from repalign.models import LanguageModel
from repalign.storage import cache_dir

FOLDER = Path(__file__).parents[1] / "experiments"
USERS_CACHE = cache_dir()


@pytest.mark.slow
def test_agreeable_runs_and_goes_on_where_it_was(tmp_path: Path, smollm2: LanguageModel) -> None:
    def run(*settings: str) -> dict[str, Any]:
        asked = ["--smoke", "--seeds", "1", "--only", *settings, "--out", str(tmp_path)]
        subprocess.run(
            [sys.executable, str(FOLDER / "agreeable" / "run.py"), *asked],
            check=True,
            capture_output=True,
            env={**os.environ, "REPALIGN_CACHE": str(USERS_CACHE)},
        )
        return json.loads((tmp_path / "results.json").read_text())

    first = run("plain")
    both = run("plain", "honest 2", "random 2")
    assert both["weights"] == smollm2.fingerprint
    runs, summary = both["runs"], both["summary"]["settings"]
    assert [one["setting"] for one in runs] == ["plain", "honest 2", "random 2"]
    assert [runs[0]] == first["runs"]
    # A step has moved the style, and the penalty's step is another one.
    assert summary["before"]["style_margin"]["value"] == 0
    assert summary["plain"]["style_margin"]["value"] != 0
    assert runs[0]["values"]["margin"] != runs[1]["values"]["margin"]
    assert (tmp_path / "frontier.svg").read_text().rstrip().endswith("</svg>")
