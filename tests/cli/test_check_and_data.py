import json
from pathlib import Path

import pytest
import torch
from cli_types import Shell

from repalign import datasets
from repalign.models.language_model import LanguageModel
from repalign.tokens import Tokens


def test_check_prints_every_law_and_its_error(shell: Shell, model_folder: Path) -> None:
    ended = shell("check", model_folder, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["passed"]
    assert {check["name"] for check in found["checks"]} == {
        "padding",
        "heads",
        "prefixes",
        "sites",
        "sums",
        "middle",
        "spans",
        "identity",
        "applied",
    }
    table = shell("check", model_folder)
    assert table.code == 0
    assert "FAILS" not in table.out
    assert table.out.count(" holds") == 9


def test_check_ends_in_1_when_a_law_fails(
    shell: Shell, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = LanguageModel.logits

    def noisy(self: LanguageModel, tokens: Tokens) -> torch.Tensor:
        scores = plain(self, tokens)
        return scores + torch.rand_like(scores)

    monkeypatch.setattr(LanguageModel, "logits", noisy)
    ended = shell("check", model_folder)
    assert ended.code == 1
    assert "FAILS" in ended.out


def test_data_list_names_every_built_in_set(shell: Shell) -> None:
    found = json.loads(shell("data", "list", "--json").out)
    assert [row["name"] for row in found["data"]] == datasets.names()
    assert all(row["examples"] >= row["groups"] > 0 for row in found["data"])


def test_data_show_prints_the_card_and_examples(shell: Shell) -> None:
    found = json.loads(shell("data", "show", "cities", "-n", "3", "--json").out)
    assert len(found["examples"]) == 3
    assert found["card"]["licence"]
    shown = shell("data", "show", "cities", "-n", "2").out
    assert datasets.load("cities")[0].text in shown


def test_data_lint_finds_a_planted_shortcut(shell: Shell, tmp_path: Path) -> None:
    rows = [
        f"{'short' if i % 2 else 'a much longer statement than that'} {i},{i % 2}"
        for i in range(80)
    ]
    path = tmp_path / "short.csv"
    path.write_text("statement,label\n" + "\n".join(rows) + "\n")
    found = json.loads(shell("data", "lint", path, "--json").out)
    assert "length" in json.dumps(found)
    table = shell("data", "lint", path)
    assert table.code == 0
    assert "warning" in table.out
