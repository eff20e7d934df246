import json
import pickle
from pathlib import Path

import pytest
import torch
import toy as toys
from cli_types import Shell

FIGURE = {"value", "low", "high", "n"}
PROBES = ("--probes", "mean_difference,logistic", "--benign", "none")


@pytest.fixture
def done(shell: Shell, model_folder: Path, topics: dict[str, Path], tmp_path: Path) -> Path:
    """A finished run over three topics."""
    data = [word for name in ("one", "two", "three") for word in ("--data", topics[name])]
    test = ("--test", topics["unseen"])
    folder = tmp_path / "run"
    ended = shell("probe", "-m", model_folder, *data, *test, *PROBES, "--out", folder, "--json")
    assert ended.code == 0, ended.err
    (folder / "stdout.json").write_text(ended.out)
    return folder


def test_json_is_one_object_with_the_promised_figures(done: Path, topics: dict[str, Path]) -> None:
    text = (done / "stdout.json").read_text()
    assert text.count("\n") == 1
    found = json.loads(text)
    assert found["run"] == str(done)
    assert set(found["best"]["auroc"]) >= FIGURE
    assert found["best"]["auroc"]["value"] == 1.0
    assert found["best"]["site"].endswith("resid_post")
    assert set(found["controls"]) == {"shuffled", "random_direction", "bag_of_words", "length"}
    assert abs(found["controls"]["shuffled"]["value"] - 0.5) < 0.1
    assert set(found["transfer"]) == {"one", "two", "three"}
    assert all(row["value"] > 0.99 for row in found["transfer"].values())
    assert found["tests"][str(topics["unseen"])]["auroc"]["value"] > 0.99


def test_a_run_holds_its_record_its_probe_and_its_report(done: Path) -> None:
    record = json.loads((done / "run.json").read_text())
    assert record["verb"] == "probe"
    assert record["asked"]["groups"] == 200  # defaults too
    assert record["model"]["span"] == "last"
    assert all(check["passed"] for check in record["model"]["checks"])
    assert {len(data["fingerprint"]) for data in record["data"].values()} == {64}
    for name in ("probe.safetensors", "probe.json", "direction.safetensors", "figures.json"):
        assert (done / name).is_file()


def test_score_repeats_the_auroc_of_the_test_and_writes_every_text(
    shell: Shell, done: Path, topics: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "scores.jsonl"
    ended = shell("score", done, "--input", topics["unseen"], "--output", output, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    wanted = json.loads((done / "run.json").read_text())["results"]["tests"]
    auroc = wanted[str(topics["unseen"])]["auroc"]
    assert found["auroc"]["value"] == pytest.approx(auroc["value"], abs=1e-6)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(rows) == 48
    honest = min(row["score"] for row in rows if row["label"] == 1)
    assert honest > max(row["score"] for row in rows if row["label"] == 0)


def test_score_never_writes_over_results(
    shell: Shell, done: Path, topics: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "scores.jsonl"
    output.write_text("mine")
    ended = shell("score", done, "-i", topics["unseen"], "-o", output)
    assert ended.code == 2
    assert "exists" in ended.err
    assert output.read_text() == "mine"


def test_score_refuses_another_model(
    shell: Shell, done: Path, topics: dict[str, Path], tmp_path: Path
) -> None:
    words = toys.tokenizer()
    other = toys.network(words)
    with torch.no_grad():
        next(other.parameters()).add_(0.01)
    other.save_pretrained(tmp_path / "other")
    words.save_pretrained(tmp_path / "other")
    output = tmp_path / "scores.jsonl"
    ended = shell("score", done, "-m", tmp_path / "other", "-i", topics["unseen"], "-o", output)
    assert ended.code == 2
    assert "fitted on" in ended.err
    assert "weights" in ended.err
    assert not output.exists()


def test_score_refuses_the_model_in_another_number_format_and_names_it(
    shell: Shell, done: Path, topics: dict[str, Path], tmp_path: Path
) -> None:
    words = ("-i", topics["unseen"], "-o", tmp_path / "scores.jsonl", "--dtype", "bfloat16")
    ended = shell("score", done, *words)
    assert ended.code == 2
    assert "float32 there, bfloat16 here" in ended.err


def test_a_pickle_is_never_opened_as_a_probe(
    shell: Shell, done: Path, topics: dict[str, Path], tmp_path: Path
) -> None:
    (done / "probe.safetensors").write_bytes(pickle.dumps({"coef": 1}))
    ended = shell("score", done, "-i", topics["unseen"], "-o", tmp_path / "scores.jsonl")
    assert ended.code == 2
    assert "pickle" in ended.err


def test_a_folder_with_a_run_is_never_written_over(
    shell: Shell, done: Path, model_folder: Path, topics: dict[str, Path]
) -> None:
    before = {path.name: path.read_bytes() for path in done.iterdir()}
    ended = shell("probe", "-m", model_folder, "-d", topics["one"], *PROBES, "--out", done)
    assert ended.code == 2
    assert "already holds a run" in ended.err
    assert {path.name: path.read_bytes() for path in done.iterdir()} == before


def test_show_prints_the_figures_and_what_differs(
    shell: Shell, done: Path, model_folder: Path, topics: dict[str, Path], tmp_path: Path
) -> None:
    shown = shell("show", done, "--json")
    assert json.loads(shown.out)["results"]["best"]["auroc"]["value"] == 1.0
    other = tmp_path / "other-run"
    ended = shell(
        "probe", "-m", model_folder, "-d", topics["one"], *PROBES, "--seed", "7", "--out", other
    )
    assert ended.code == 0, ended.err
    assert "Report:" in ended.out
    found = json.loads(shell("show", done, "--diff", other, "--json").out)
    assert found["asked"]["seed"] == [0, 7]
    assert found["figures"]["pooled.mean"][1] is None


def test_the_same_command_gives_the_same_figures(
    shell: Shell, done: Path, model_folder: Path, topics: dict[str, Path], tmp_path: Path
) -> None:
    data = [word for name in ("one", "two", "three") for word in ("--data", topics[name])]
    again = tmp_path / "again"
    test = ("--test", topics["unseen"])
    ended = shell("probe", "-m", model_folder, *data, *test, *PROBES, "--out", again, "--json")
    assert json.loads(ended.out) | {"run": ""} == json.loads((done / "stdout.json").read_text()) | {
        "run": ""
    }
