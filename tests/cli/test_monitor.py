import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy as toys
from cli_types import Shell

from repalign.activations import origin
from repalign.cli import options
from repalign.models import LanguageModel
from repalign.monitoring import Monitor
from repalign.readouts import Readout
from repalign.runs import Environment, Run
from repalign.sites import Site
from repalign.spans import Span

SHORT = ("--max-new-tokens", "6")
PLAIN = (*SHORT, "--benign", "none")


@pytest.fixture(scope="module")
def loaded(model_folder: Path) -> LanguageModel:
    return LanguageModel.load(str(model_folder), device="cpu")


@pytest.fixture(scope="module")
def run(
    loaded: LanguageModel, model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of `probe` whose probe reads the planted direction."""
    folder = tmp_path_factory.mktemp("runs") / "probe"
    coef = toys.direction().double().numpy()[np.newaxis]
    where = origin(loaded, Span("last"))
    Readout((Site(2),), coef, 0.0, Span("last"), None, where).save(folder)
    Run(
        verb="probe",
        asked={"model": str(model_folder), "revision": None},
        model=options.model_record(where),
        environment=Environment(python="3.11", platform="Linux", packages={}, commit=None),
        started="2026-01-05T12:00:00+00:00",
        seconds=1.0,
        results={},
    ).save(folder)
    return folder


@pytest.fixture
def at_hand(loaded: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is loaded already."""
    monkeypatch.setattr(options, "load_model", lambda *_: loaded)


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing slow may begin."""

    def fail(*_: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(options, "load_model", fail)


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_answers_are_scored_where_they_are_and_written_where_not(
    shell: Shell, run: Path, loaded: LanguageModel, tmp_path: Path
) -> None:
    asked = lines(
        tmp_path / "asked.jsonl",
        {"prompt": "the sea", "response": "the moon is true", "group": "a"},
        {"prompt": "the rain is"},
        {"prompt": "the bird", "response": "wrong", "system": "user", "group": "a"},
    )
    output = tmp_path / "new" / "watched.jsonl"
    ended = shell("monitor", "-p", run, "-i", asked, "-o", output, "--json", *PLAIN)
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    rows = rows_of(output)
    assert [row["written"] for row in rows] == [False, True, False]
    assert rows[0]["tokens"] == ["the", " moon", " is", " true"]
    assert rows[0]["scores"] == pytest.approx([0, 0, 0, 2], abs=1e-4)
    assert rows[0]["score"] == pytest.approx(0.5, abs=1e-4)
    assert rows[2]["score"] == pytest.approx(-2, abs=1e-4)
    assert [turn["role"] for turn in rows[2]["messages"]] == ["system", "user"]
    assert len(rows[1]["tokens"]) == len(rows[1]["scores"]) == 6
    assert all(0 < p <= 1 for row in rows for p in row["probabilities"])
    assert {row["flagged"] for row in rows} == {None}
    assert found["answers"] == 3
    assert found["flagged"] is None
    record = Run.load(Path(found["run"]))
    assert (record.verb, record.asked["aggregate"]) == ("monitor", "mean")
    assert record.data[str(asked)]["examples"] == 3
    assert not list(output.parent.glob("*.part"))
    (answer,) = Monitor.load(loaded, run).generate(["the rain is"], max_new_tokens=6)
    assert rows[1]["ids"] == [token.id for token in answer.tokens]
    assert rows[1]["scores"] == pytest.approx([t.score for t in answer.tokens], abs=1e-4)


@pytest.mark.usefixtures("at_hand")
def test_a_threshold_from_benign_answers_flags_and_classes_are_counted(
    shell: Shell, run: Path, tmp_path: Path
) -> None:
    calm = [{"prompt": "the sea", "response": "the moon and rain"} for _ in range(19)]
    benign = lines(tmp_path / "calm.jsonl", *calm, {"prompt": "the sea", "response": "is wrong"})
    lie = {"knows": True, "correct": False, "told": False, "label": 0}
    asked = lines(
        tmp_path / "asked.jsonl",
        {"prompt": "the sea", "response": "wrong", **lie},
        {"prompt": "the moon", "response": "right moon", **lie},
        {"prompt": "the rain", "response": "true", "correct": True, "knows": True, "label": 1},
        {"prompt": "the leaf", "response": "false moon"},
    )
    output = tmp_path / "watched.jsonl"
    words = ("-p", run, "-i", asked, "-o", output, "--benign", benign, "--fpr", "0.05", "--json")
    ended = shell("monitor", *words)
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    rows = rows_of(output)
    assert [row["flagged"] for row in rows] == [True, False, False, True]
    assert [row["class"] for row in rows] == ["lie", "lie", "honest", "unknown"]
    calibration = found["monitor"]["calibration"]
    assert (calibration["n"], calibration["flagged"], calibration["generated"]) == (20, 0.05, 0)
    assert found["monitor"]["threshold"] == pytest.approx(0.0, abs=1e-4)
    assert found["flagged"]["value"] == 0.5
    assert {name: share["value"] for name, share in found["by_class"].items()} == {
        "honest": 0.0,
        "lie": 0.5,
        "unknown": 1.0,
    }
    again = shell("monitor", *words[:-1])
    assert (again.code, "exists" in again.err) == (2, True)


@pytest.mark.usefixtures("at_hand")
def test_labels_are_judged_and_tables_are_printed(shell: Shell, run: Path, tmp_path: Path) -> None:
    pairs = [("true", 1), ("wrong", 0), ("right sea", 1), ("false sea", 0)]
    asked = lines(
        tmp_path / "asked.jsonl",
        *({"prompt": "the sea", "response": text, "label": label} for text, label in pairs),
    )
    output = tmp_path / "watched.jsonl"
    benign = lines(tmp_path / "calm.jsonl", {"prompt": "the sea"}, {"prompt": "the moon"})
    words = ("--benign", benign, "--own-answers", "--aggregate", "max", *SHORT)
    ended = shell("monitor", "-p", run, "-i", asked, "-o", output, *words)
    assert ended.code == 0, ended.err
    assert "2 of them the model's own" in " ".join(ended.err.split())
    assert "labels: auroc" in ended.out
    kept = Run.load(output.with_name("watched.jsonl.run")).results
    assert kept["labels"]["auroc"]["value"] == 1.0
    assert kept["monitor"]["aggregate"] == "max"


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "Say what to watch"),
        (("--chat", "-i", "ASKED", "-o", "NEW"), "one of them"),
        (("-i", "ASKED"), "Name a new file"),
        (("--chat", "--json"), "Leave one out"),
        (("-i", "ASKED", "-o", "THERE"), "never writes over"),
        (("-i", "ASKED", "-o", "STOPPED"), r"stopped.jsonl.part exists"),
        (("-i", "ASKED", "-o", "NEW", "--aggregate", "median"), "no aggregate 'median'"),
        (("-i", "ASKED", "-o", "NEW", "-p", "NOWHERE"), "holds no probe"),
        (("-i", "EMPTY", "-o", "NEW"), r"'prompt' is empty.*line 2"),
        (("-i", "NOWHERE", "-o", "NEW"), "data set"),
        (("-i", "ASKED", "-o", "NEW", "--benign", "EMPTY"), "line 2"),
    ],
)
def test_mistakes_are_told_before_anything_slow_begins(
    shell: Shell, run: Path, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    lines(tmp_path / "asked.jsonl", {"prompt": "the sea"})
    lines(tmp_path / "empty.jsonl", {"prompt": "the sea"}, {"prompt": " "})
    (tmp_path / "there.jsonl").write_text("mine")
    (tmp_path / "stopped.jsonl.part").write_text("mine")
    names = {
        name.upper(): str(tmp_path / f"{name}.jsonl")
        for name in ("asked", "empty", "there", "stopped", "new")
    }
    given = [names.get(word, word.lower() if word == "NOWHERE" else word) for word in words]
    ended = shell("monitor", "-p", run, *given)
    assert ended.code == 2
    assert " ".join(ended.err.split()).count("repalign: ") == 1
    assert re.search(why, " ".join(ended.err.split())), ended.err
    assert (tmp_path / "there.jsonl").read_text() == "mine"
    assert not (tmp_path / "new.jsonl").exists()


@pytest.mark.usefixtures("at_hand")
def test_a_row_that_cannot_be_answered_is_named_before_any_is(
    shell: Shell, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Monitor, "watch", None)
    for row, why in (
        ({"prompt": "moon " * 150}, "max_new_tokens"),
        ({"prompt": "the sea", "knows": "maybe"}, "true or false"),
    ):
        asked = lines(tmp_path / "asked.jsonl", {"prompt": "the sea"}, row)
        ended = shell("monitor", "-p", run, "-i", asked, "-o", tmp_path / "new.jsonl", *PLAIN)
        assert ended.code == 2
        assert "row 2" in ended.err
        assert why in " ".join(ended.err.split())


@pytest.mark.usefixtures("at_hand")
def test_what_was_finished_is_kept_when_something_breaks(
    shell: Shell, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = lines(tmp_path / "asked.jsonl", *({"prompt": f"the {n}"} for n in toys.NOUNS[:4]))
    whole, calls = Monitor.watch, []

    def breaking(self: Monitor, rows: Any, **more: Any) -> Any:
        calls.append(rows)
        if len(calls) == 2:
            raise RuntimeError("no memory")
        return whole(self, rows, **more)

    monkeypatch.setattr(Monitor, "watch", breaking)
    output = tmp_path / "watched.jsonl"
    with pytest.raises(RuntimeError, match="no memory"):
        shell("monitor", "-p", run, "-i", asked, "-o", output, "--batch-size", "2", *PLAIN)
    assert not output.exists()
    assert [row["index"] for row in rows_of(tmp_path / "watched.jsonl.part")] == [0, 1]


def test_another_model_is_refused(shell: Shell, run: Path, tmp_path: Path) -> None:
    words = toys.tokenizer()
    other = toys.network(words)
    with torch.no_grad():
        next(other.parameters()).add_(0.01)
    other.save_pretrained(tmp_path / "other")
    words.save_pretrained(tmp_path / "other")
    asked = lines(tmp_path / "asked.jsonl", {"prompt": "the sea"})
    output = tmp_path / "new.jsonl"
    ended = shell("monitor", "-p", run, "-m", tmp_path / "other", "-i", asked, "-o", output)
    assert ended.code == 2
    assert "fitted on" in ended.err
    assert not output.exists()


@pytest.mark.usefixtures("at_hand")
def test_a_chat_goes_on_until_it_is_ended(
    shell: Shell, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "the sea is\n\nthe moon\n/new\n" + "moon " * 150 + "\nthe rain\n/quit\nnot read\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(said))
    output = tmp_path / "talk.jsonl"
    ended = shell("monitor", "-p", run, "--chat", "-o", output, *PLAIN)
    assert ended.code == 0, ended.err
    rows = rows_of(output)
    assert [[turn["role"] for turn in row["messages"]] for row in rows] == [
        ["user"],
        ["user", "assistant", "user"],
        ["user"],
    ]
    assert rows[1]["messages"][1]["content"] == rows[0]["text"]
    assert all(row["written"] for row in rows)
    for row in rows:
        assert row["text"] in ended.out
        assert f"mean of 6 tokens {row['score']:.4g}" in ended.out
    assert "max_new_tokens" in ended.out
    assert Run.load(tmp_path / "talk.jsonl.run").data["chat"]["examples"] == 3
