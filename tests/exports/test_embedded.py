"""Every export of the embedded model does what the hooks do, on a direction read from data."""

from pathlib import Path
from typing import Any

import pytest

from probes import MeanDifference
from repalign.activations import collect
from repalign.datasets import load
from repalign.directions import Direction
from repalign.exports import export
from repalign.interventions import Ablate, Add
from repalign.interventions.everywhere import everywhere
from repalign.models import LanguageModel
from repalign.sites import Site

TEXTS = ("The sea is deep and", "Two and two are four.", "The city of Paris is in France.")
SITE = Site(15)


@pytest.fixture(scope="module")
def truth(smollm2: LanguageModel) -> Direction:
    rows = collect(smollm2, load("cities")[:20], [SITE])
    return Direction.of(MeanDifference(), rows)


@pytest.mark.parametrize(
    ("what", "form", "name"),
    [
        ("ablate", "weights", "model"),
        ("ablate", "lora", "adapter"),
        ("add", "weights", "model"),
        ("add", "lora", "adapter"),
        ("add", "gguf", "vector.gguf"),
        ("add", "vllm-lens", "vector.json"),
    ],
)
def test_the_embedded_model_is_exported(
    smollm2: LanguageModel, truth: Direction, what: str, form: str, name: str, tmp_path: Path
) -> None:
    wanted: dict[Site, Any] = {SITE: Add(truth, 1.0)}
    if what == "ablate":
        wanted = everywhere(smollm2, Ablate.of(truth))
    assert smollm2.network.config.tie_word_embeddings
    found = export(smollm2, wanted, tmp_path / name, form, texts=TEXTS)
    assert found.worst < 1e-3
    assert found.effect_worst > 1e-2
    assert found.agreement == 1.0
