"""The suite over the toy, and what it does with data."""

import json
from pathlib import Path

import pytest
from respondents import Scripted

from repalign.answering import Local
from repalign.errors import InputError
from repalign.evaluation import Setting, polarity
from repalign.evaluation.evaluating import run
from repalign.evaluation.suites import named
from repalign.models import LanguageModel


@pytest.fixture
def rows(tmp_path: Path) -> str:
    lines = [
        {"statement": f"the sea is {i}", "opposite": f"no sea is {i}", "label": 1, "group": f"g{i}"}
        for i in range(16)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_every_layer_is_told_and_items_are_those_reported(
    toy: LanguageModel, tmp_path: Path
) -> None:
    setting = Setting(Local(toy), tmp_path, data=("cities",), limit=20)
    found = run(setting, named(["polarity"])).outcomes["polarity"]
    for layer in range(toy.n_layers):
        assert found.figures[f"L{layer}.resid_post: separation"] is not None
        assert found.figures[f"L{layer}.resid_post: contradiction"] is not None
    assert found.counts == {"pairs": 40, "reported": len(found.items)}
    assert len({item.group for item in found.items}) == 6, "of 20 groups"
    chosen = found.figures["chosen layer: contradiction"]
    assert chosen is not None
    scores = [item.scores["contradiction"] for item in found.items]
    assert chosen.value == pytest.approx(sum(scores) / len(scores))
    for name in ("constant: contradiction", "random: separation", "told the labels: separation"):
        assert found.controls[name] is not None


def test_data_with_a_column_of_opposites_and_one_label_say_what_that_means(
    toy: LanguageModel, tmp_path: Path, rows: str
) -> None:
    found = polarity.evaluate(Setting(Local(toy), tmp_path, data=(rows,)))
    assert found.counts["pairs"] == 16
    sides = found.controls["sides alone: separation"]
    assert sides is not None
    assert sides.value == 1
    assert any("one label" in note for note in found.notes)
    few = Setting(Local(toy), tmp_path, data=(rows,), limit=5)
    with pytest.raises(InputError, match="12 or more"):
        polarity.evaluate(few)


def test_a_server_has_no_states(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Load the model here"):
        polarity.evaluate(Setting(Scripted(lambda prompt: "yes"), tmp_path))
