import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli_types import Shell

from repalign import LanguageModel, datasets
from repalign.activations import Store, collect, collecting


@pytest.fixture
def begun(model_folder: Path, topics: dict[str, Path], tmp_path: Path) -> tuple[str | Path, ...]:
    """The words of a command that collects two topics."""
    data = ("--data", topics["one"], "--data", topics["two"])
    return ("collect", "-m", model_folder, *data, "--sites", "1,2", "--out", tmp_path / "acts")


def test_collect_keeps_what_reading_gives_and_says_what_it_costs(
    shell: Shell,
    begun: tuple[str, ...],
    model_folder: Path,
    topics: dict[str, Path],
    tmp_path: Path,
) -> None:
    ended = shell(*begun, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert (found["rows_done"], found["rows"], found["shards_done"]) == (96, 96, 1)
    model = LanguageModel.load(model_folder)
    examples = [*datasets.load(str(topics["one"])), *datasets.load(str(topics["two"]))]
    wanted = collect(model, examples, model.sites()[1:3])
    kept = Store.open(tmp_path / "acts").activations()
    assert np.array_equal(np.asarray(kept.values), wanted.values)
    tokens = sum(len(model.tokenizer(example.text)["input_ids"]) for example in examples)
    said = re.search(r"96 texts, ([\d,]+) tokens, ([\d,]+) of them computed", ended.err)
    assert said is not None
    assert int(said[1].replace(",", "")) == tokens > int(said[2].replace(",", ""))
    record = json.loads((tmp_path / "acts" / "run.json").read_text())
    assert record["verb"] == "collect"
    assert record["results"]["rows"] == 96
    assert record["model"]["prefixes"] == "shared"


def test_the_same_command_again_computes_nothing(
    shell: Shell, begun: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shell(*begun).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "acts").glob("*.*")}
    monkeypatch.setattr(collecting.Extraction, "read", lambda *_: pytest.fail("computed again"))
    ended = shell(*begun)
    assert ended.code == 0, ended.err
    assert {path: path.read_bytes() for path in (tmp_path / "acts").glob("*.*")} == before


def test_the_status_names_a_damaged_shard(
    shell: Shell, begun: tuple[str, ...], tmp_path: Path
) -> None:
    assert shell(*begun, "--dtype", "bfloat16").code == 0
    shard = tmp_path / "acts" / "00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])
    ended = shell("collect", "--status", tmp_path / "acts")
    assert ended.code == 0, ended.err
    words = " ".join(ended.out.split())
    assert "rows 0 of 96" in words
    assert "kept as bfloat16" in words
    assert "00000.safetensors is truncated" in words
    assert json.loads(shell("collect", "--status", tmp_path / "acts", "--json").out)["damaged"]
    assert shell(*begun, "--dtype", "bfloat16").code == 0
    words = " ".join(shell("collect", "--status", tmp_path / "acts").out.split())
    assert "rows 96 of 96" in words
    assert "damaged" not in words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("collect",), "Say what to read and where to keep it"),
        (("collect", "--data", "cities"), "Say what to read and where to keep it"),
        (("collect", "--status", "nowhere"), "holds no store of activations"),
        (("collect", "--tensor-parallel", "--data", "cities", "--out", "acts"), "torchrun"),
    ],
)
def test_collect_refuses_with_what_to_do(
    shell: Shell, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = shell(*words)
    assert ended.code == 2
    assert said in ended.err
    assert not list(tmp_path.iterdir())


def test_a_dtype_that_cannot_be_kept_is_refused(
    shell: Shell, begun: tuple[str, ...], tmp_path: Path
) -> None:
    ended = shell(*begun, "--dtype", "float16")
    assert ended.code == 2
    assert "dtype of a store" in ended.err
    assert not (tmp_path / "acts").exists()


def test_a_store_of_other_data_is_refused_and_named(
    shell: Shell,
    begun: tuple[str, ...],
    model_folder: Path,
    topics: dict[str, Path],
    tmp_path: Path,
) -> None:
    assert shell(*begun).code == 0
    words = ("collect", "-m", model_folder, "--data", topics["one"], "--sites", "1,2")
    ended = shell(*words, "--out", tmp_path / "acts")
    assert ended.code == 2
    assert "texts: " in ended.err


def test_a_probe_on_a_store_finds_the_same(
    shell: Shell, model_folder: Path, topics: dict[str, Path], tmp_path: Path
) -> None:
    words = ("probe", "-m", model_folder, "--data", topics["one"], "--data", topics["two"])
    rest = ("--probes", "mean_difference,lda", "--benign", "none", "--json")
    stored = shell(*words, *rest, "--store", tmp_path / "acts", "--out", tmp_path / "a")
    plain = shell(*words, *rest, "--out", tmp_path / "b")
    assert stored.code == plain.code == 0, stored.err + plain.err
    found, wanted = json.loads(stored.out), json.loads(plain.out)
    assert {**found, "run": ""} == {**wanted, "run": ""}
    assert Store.open(tmp_path / "acts").complete
