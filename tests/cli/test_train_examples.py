"""The four example plans run in little on the embedded model, by the words of the README."""

import json
import math
from pathlib import Path

import pytest
from cli_types import Shell

from repalign.models import LanguageModel

# PEFT reads what transformers deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
# Fewer answers, and no audit, which `test_train` and the notebook run.
LITTLE = {
    "sft": [("samples = 10", "samples = 2")],
    "curriculum": [("samples = 4", "samples = 1")],
    "dpo": [],
    "grpo": [("samples = 10", "samples = 2")],
}
LOGGED = {
    "sft": "mean_token_accuracy",
    "curriculum": "rewards/margins",
    "dpo": "penalty/movement",
    "grpo": "rewards/knowledge_aware/mean",
}


@pytest.mark.parametrize(
    "name",
    [
        "dpo",
        "sft",
        # Minutes of decoding.
        pytest.param("curriculum", marks=pytest.mark.slow),
        pytest.param("grpo", marks=pytest.mark.slow),
    ],
)
def test_an_example_trains_the_embedded_model(
    name: str, shell: Shell, smollm2: LanguageModel, tmp_path: Path
) -> None:
    path, folder = tmp_path / f"{name}.toml", tmp_path / "run"
    assert shell("train", "--example", name, "--out", path).code == 0
    text = path.read_text()
    for old, new in [*LITTLE[name], ("[audit]\n", "[audit]\nrun = false\n")]:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    ended = shell("train", path, "--smoke", "--out", folder)
    assert ended.code == 0, ended.err
    results = json.loads((folder / "run.json").read_text())["results"]
    steps = [entry for entry in results["log"] if "loss" in entry]
    stages = results["stages"]
    assert [stage["steps"] for stage in stages] == [2] * len(stages)
    assert len(steps) == 2 * len(stages) == (4 if name in ("curriculum", "grpo") else 2)
    assert all(math.isfinite(entry["loss"]) for entry in steps)
    # A penalty on rows of a label logs nothing where a batch has none of them.
    assert any(LOGGED[name] in entry for entry in steps)
    trained = LanguageModel.load(str(folder / stages[-1]["name"] / "trained"))
    assert trained.fingerprint != smollm2.fingerprint
