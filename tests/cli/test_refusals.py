"""A user's mistake: exit code 2, one clear message, nothing written."""

import json
from pathlib import Path

import pytest
import toy as toys
from cli_types import Shell

PROBES = ("--probes", "mean_difference", "--benign", "none")


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "citys"), "Did you mean 'cities'"),
        (("--probes", "logistc"), "Did you mean 'logistic'"),
        (("--span", "lastt"), "last"),
        (("--model", "smolm2"), "Did you mean 'smollm2'"),
        (("--data", "no/such/file.csv"), "file.csv"),
    ],
)
def test_unknown_names_are_refused_before_anything_is_written(
    shell: Shell, model_folder: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    base = () if "--model" in words else ("--model", model_folder)
    ended = shell("probe", *base, *words, "--out", tmp_path / "run")
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("repalign:") == 1
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("sites", ["L9.resid_post", "99", "9-2", "L1.resid", "middle"])
def test_unknown_sites_are_refused(
    shell: Shell, model_folder: Path, topics: dict[str, Path], tmp_path: Path, sites: str
) -> None:
    run = ("--out", tmp_path / "run")
    ended = shell("probe", "-m", model_folder, "-d", topics["one"], "--sites", sites, *PROBES, *run)
    assert ended.code == 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("text,label", "a,1", "b,0"), "statement"),
        (("statement,label", "a,1", "b,1", "c,1", "d,1"), "all 4 rows have label 1"),
        (("statement,label", "a,1", ",0", "c,1", "d,0"), "empty"),
        (("statement,label", "a,1", "b,0"), "2"),
        (("statement,label", "a,1", "b,2", "c,0", "d,0"), "'2'"),
    ],
    ids=["columns", "one class", "empty statement", "two rows", "labels"],
)
def test_files_that_cannot_be_used_are_refused(
    shell: Shell, model_folder: Path, tmp_path: Path, lines: tuple[str, ...], message: str
) -> None:
    data = write(tmp_path / "mine.csv", *lines)
    ended = shell("probe", "-m", model_folder, "-d", data, *PROBES, "--out", tmp_path / "run")
    assert ended.code == 2
    assert "mine.csv" in ended.err
    assert message in ended.err
    assert not (tmp_path / "run").exists()


def test_a_text_longer_than_the_context_is_named(
    shell: Shell, model_folder: Path, topics: dict[str, Path], tmp_path: Path
) -> None:
    lines = topics["one"].read_text().splitlines()
    long = "the bird " + "is the sea and " * toys.CONTEXT
    data = write(tmp_path / "long.csv", *lines, f"{long},1,x", f"{long},0,y")
    ended = shell("probe", "-m", model_folder, "-d", data, *PROBES, "--out", tmp_path / "run")
    assert ended.code == 2
    assert f"more than the {toys.CONTEXT}" in ended.err
    assert "the bird is the sea" in ended.err


def test_chats_need_a_template(shell: Shell, topics: dict[str, Path], tmp_path: Path) -> None:
    words = toys.tokenizer()
    words.chat_template = None
    toys.network(words).save_pretrained(tmp_path / "base")
    words.save_pretrained(tmp_path / "base")
    rows = [
        json.dumps({"prompt": "the sea is", "response": f"{noun} is {marker}", "label": label})
        for noun in toys.NOUNS
        for label, marker in ((1, "true"), (0, "false"))
    ]
    data = write(tmp_path / "chat.jsonl", *rows)
    ended = shell("probe", "-m", tmp_path / "base", "-d", data, *PROBES, "--out", tmp_path / "run")
    assert ended.code == 2
    assert "chat template" in ended.err


def test_too_few_groups_are_refused(shell: Shell, model_folder: Path, tmp_path: Path) -> None:
    rows = [f"the {n} is {m},{i}" for n in toys.NOUNS[:4] for i, m in ((1, "true"), (0, "false"))]
    data = write(tmp_path / "few.csv", "statement,label", *rows)
    ended = shell("probe", "-m", model_folder, "-d", data, *PROBES, "--out", tmp_path / "run")
    assert ended.code == 2
    assert "8 groups" in ended.err


@pytest.mark.parametrize("number", [("--groups", "5"), ("--groups", "-5"), ("--seed", "-1")])
def test_numbers_out_of_bounds_are_refused(shell: Shell, number: tuple[str, str]) -> None:
    ended = shell("probe", *number)
    assert ended.code == 2
    assert number[0] in ended.err


def test_a_test_on_texts_that_are_fitted_on_is_refused(
    shell: Shell, model_folder: Path, topics: dict[str, Path], tmp_path: Path
) -> None:
    words = ("-d", topics["one"], "--test", topics["one"], "--out", tmp_path / "run")
    ended = shell("probe", "-m", model_folder, *words, *PROBES)
    assert ended.code == 2
    assert "48 of the 48 texts" in ended.err


def test_a_test_without_labels_is_refused_at_once(
    shell: Shell, model_folder: Path, topics: dict[str, Path], tmp_path: Path
) -> None:
    words = ("-d", topics["one"], "--test", "invented", "--out", tmp_path / "run")
    ended = shell("probe", "-m", model_folder, *words, *PROBES)
    assert ended.code == 2
    assert "no label" in ended.err


def test_a_folder_that_cannot_be_made_is_refused_before_reading(
    shell: Shell, model_folder: Path, topics: dict[str, Path]
) -> None:
    out = ("--out", "/dev/null/run")
    ended = shell("probe", "-m", model_folder, "-d", topics["one"], *PROBES, *out)
    assert ended.code == 2
    assert "/dev/null" in ended.err


def test_a_span_that_benign_texts_lack_says_that_it_is_they(
    shell: Shell, model_folder: Path, topics: dict[str, Path], tmp_path: Path
) -> None:
    words = (
        "-d",
        topics["one"],
        "--span",
        "regex:true|false|right|wrong",
        "--out",
        tmp_path / "run",
    )
    ended = shell("probe", "-m", model_folder, *words, "--probes", "lda")
    assert ended.code == 2
    assert "--benign none" in ended.err


def test_a_probe_that_needs_pairs_says_so(
    shell: Shell, model_folder: Path, topics: dict[str, Path], tmp_path: Path
) -> None:
    lines = [line.rsplit(",", 1)[0] for line in topics["one"].read_text().splitlines()]
    data = write(tmp_path / "alone.csv", *lines)
    words = ("-m", model_folder, "-d", data, "--benign", "none")
    ended = shell("probe", *words, "--probes", "ccs", "--out", tmp_path / "run")
    assert ended.code == 2
    assert "ccs needs groups" in ended.err
    # The default probes do without.
    ended = shell("probe", *words, "--out", tmp_path / "run", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["transfer"] == {}
    assert found["threshold"] is None


def test_score_and_show_say_what_a_folder_lacks(
    shell: Shell, topics: dict[str, Path], tmp_path: Path
) -> None:
    ended = shell("score", tmp_path, "-i", topics["one"], "-o", tmp_path / "x.jsonl")
    assert ended.code == 2
    assert "no probe" in ended.err
    ended = shell("show", tmp_path)
    assert ended.code == 2
    assert "no run" in ended.err


def test_an_unknown_option_or_verb_ends_in_2(shell: Shell) -> None:
    assert shell("probe", "--no-such-option").code == 2
    assert shell("prob").code == 2
