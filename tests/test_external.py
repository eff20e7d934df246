"""Public data sets that are not part of the project, read and refused as they should be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from repalign import datasets
from repalign.activations import collect
from repalign.cli import app
from repalign.errors import InputError
from repalign.models import LanguageModel
from repalign.probing import gather, sweep
from repalign.runs import Run

DATA = Path(__file__).parents[2] / "shared" / "data"

pytestmark = [
    pytest.mark.external,
    pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here"),
]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("cities", 1496),
        ("neg_cities", 1496),
        ("sp_en_trans", 354),
        ("larger_than", 1980),
        ("companies_true_false", 1200),
        ("common_claim_true_false", 4450),
        ("cities_cities_conj", 1498),
    ],
)
def test_the_fields_csv_files_load_whole(name: str, rows: int) -> None:
    examples = datasets.load(DATA / "geometry-of-truth" / f"{name}.csv")
    assert len(examples) == rows
    assert {example.label for example in examples} == {0, 1}
    assert {example.topic for example in examples} == {name}


def test_repe_facts_load() -> None:
    assert len(datasets.load(DATA / "repe-facts" / "facts_true_false.csv")) == 612


def test_a_file_of_another_form_is_refused_with_its_columns() -> None:
    path = DATA / "nq-open" / "NQ-open.dev.jsonl"
    columns = list(json.loads(path.read_text().splitlines()[0]))
    with pytest.raises(InputError) as refusal:
        datasets.load(path)
    assert all(column in str(refusal.value) for column in columns)


def test_a_probe_fitted_on_our_cities_reads_theirs(smollm2: LanguageModel) -> None:
    # Wording, cities and false countries were chosen by other people.
    site = smollm2.sites()[13]
    found = sweep(gather(smollm2, ["cities"], [site], max_groups=100), ["logistic"])
    theirs = datasets.load(DATA / "geometry-of-truth" / "cities.csv")[:200]
    scores = found.readout.score(collect(smollm2, theirs, [site]))
    from repalign.metrics import auroc

    assert auroc([example.label or 0 for example in theirs], scores).low > 0.8


@pytest.fixture
def evaluated(
    smollm2: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Run `repalign evaluate` on the embedded model, which is loaded once, and read its record."""

    def run(*words: str | Path) -> dict[str, Any]:
        folder = tmp_path / f"run {len(list(tmp_path.iterdir()))}"
        monkeypatch.setattr(LanguageModel, "load", lambda *_, **__: smollm2)
        ended = CliRunner().invoke(app, ["evaluate", *map(str, words), "--out", str(folder)])
        assert ended.exit_code == 0, ended.output
        return Run.load(folder).results["suites"]

    return run


def test_truthfulqa_is_evaluated_by_path(evaluated: Callable[..., dict[str, Any]]) -> None:
    folder = DATA / "truthfulqa"
    for name in ("TruthfulQA.csv", "mc_task.json"):
        found = evaluated("--suite", "choices", "--data", folder / name, "--limit", 8)["choices"]
        assert found["items"] == 8
        assert set(found["figures"]) >= {"accuracy", "mc1", "mc2"}
        assert 0 < found["figures"]["mc2"]["value"] < 1


def test_natural_questions_are_asked_freely(evaluated: Callable[..., dict[str, Any]]) -> None:
    path = DATA / "nq-open" / "NQ-open.dev.jsonl"
    found = evaluated("--data", path, "--limit", 12)["honesty"]
    assert sum(found["counts"][str(cell)] for cell in range(1, 10)) == 12
    # Against itself it stays in its cell.
    declined, wrong = found["counts"]["9"], found["counts"]["5"]
    assert found["figures"]["prudence"]["value"] == pytest.approx(declined / (declined + wrong))
    assert found["figures"]["honesty"] is not None or "honesty" in found["missing"]


def test_facts_and_made_up_facts_tell_what_can_be_known(
    evaluated: Callable[..., dict[str, Any]],
) -> None:
    folder = DATA / "ai-liar"
    found = evaluated(
        "--data",
        folder / "questions_1000_all.json",
        "--unknowable",
        folder / "questions_made_up_all.json",
        "--limit",
        12,
        "--suite",
        "honesty,choices",
    )
    assert found["honesty"]["figures"]["declined of what nobody can know"]["n"] == 12
    assert found["choices"]["items"] == 12


def test_questions_that_a_model_was_told_to_lie_about(
    evaluated: Callable[..., dict[str, Any]],
) -> None:
    for name in ("d_mask", "d_repe"):
        path = DATA / "gemma3-deception" / f"{name}_4B.val_test.jsonl"
        found = evaluated("--data", path, "--limit", 6)["honesty"]
        assert sum(found["counts"][str(cell)] for cell in range(1, 10)) == 6
