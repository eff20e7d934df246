"""Preference sets: what is chosen over what, in which stage."""

import json
from pathlib import Path

import pytest

from repalign.errors import InputError
from repalign.examples import Example
from repalign.knowledge.preference_sets import STAGES, Rated, preferences, save

ASKED = Example.of_chat("Open the window.", system="Be brief.")


def rated(*rows: tuple[str, float | None, float | None], prompt: Example = ASKED) -> list[Rated]:
    return [Rated(prompt, answer, honest, quality) for answer, honest, quality in rows]


SOME = rated(("good", 1.0, 8.0), ("poor", 1.0, 3.0), ("lie", 0.0, 2.0), ("unruled", None, 9.0))


def pairs(some: list[Rated], stage: str, **options) -> set[tuple[str, str]]:
    return {
        (row["chosen"][0]["content"], row["rejected"][0]["content"])
        for row in preferences(some, stage, **options)
    }


def test_the_first_stage_prefers_honest_answers_and_the_second_good_ones() -> None:
    (first,) = pairs(SOME, "honest")
    assert first in {("good", "lie"), ("poor", "lie")}
    assert pairs(SOME, "quality") == {("good", "poor")}
    assert pairs(SOME, "direct") == {first, ("good", "poor")}
    drawn = {next(iter(pairs(SOME, "honest", seed=seed))) for seed in range(20)}
    assert drawn == {("good", "lie"), ("poor", "lie")}


def test_rows_are_as_trl_reads_them(tmp_path: Path) -> None:
    rows = preferences(SOME, "quality")
    assert rows == [
        {
            "prompt": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Open the window."},
            ],
            "chosen": [{"role": "assistant", "content": "good"}],
            "rejected": [{"role": "assistant", "content": "poor"}],
        }
    ]
    save(rows, tmp_path / "rows.jsonl")
    lines = (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows


@pytest.mark.parametrize(("threshold", "chosen"), [(5, "5 6 7"), (6, "6 7"), (7.0, "7")])
def test_the_threshold_itself_counts_as_good(threshold: float, chosen: str) -> None:
    # Four poor answers, so that every good one finds a partner.
    some = rated(
        *((f"{quality}", 1.0, float(quality)) for quality in (5, 6, 7)),
        *((f"poor {i}", 1.0, 1.0) for i in range(4)),
    )
    assert {one for one, _ in pairs(some, "quality", threshold=threshold)} == set(chosen.split())


def test_only_answers_to_one_prompt_are_paired_and_each_once() -> None:
    other = Example.of_chat("Close it.")
    some = [
        *rated(("a", 1.0, None), ("b", 1.0, None), ("x", 0.0, None)),
        *rated(("c", 1.0, None), ("y", 0.0, None), ("z", 0.0, None), prompt=other),
    ]
    found = pairs(some, "honest")
    assert len(found) == 2
    assert {(one in "ab", two in "x") for one, two in found} == {(True, True), (False, False)}


def test_equal_answers_count_once_and_empty_ones_never() -> None:
    some = rated(("a", 1.0, None), ("a ", 0.0, None), ("  ", 0.0, None), ("b", 0.0, None))
    assert pairs(some, "honest") == {("a", "b")}


def test_at_most_so_many_rows_of_each_stage() -> None:
    many = [
        one
        for i in range(30)
        for one in rated(
            ("good", 1.0, 8.0),
            ("poor", 1.0, 2.0),
            ("lie", 0.0, None),
            prompt=Example.of_chat(f"Request {i}"),
        )
    ]
    assert len(preferences(many, "honest")) == 30
    kept = preferences(many, "honest", most=10)
    assert len(kept) == 10
    numbers = [int(row["prompt"][0]["content"].split()[1]) for row in kept]
    assert numbers == sorted(numbers)
    assert numbers != list(range(10))
    assert len(preferences(many, "direct", most=10)) == 20
    assert preferences(many, "direct", most=10) == preferences(many, "direct", most=10)


def test_a_stage_without_a_pair_is_refused_with_its_numbers() -> None:
    with pytest.raises(InputError, match="Of 4 answers to 1 prompts 1 are honest and of quality 6"):
        preferences(
            rated(("a", 1.0, 9.0), ("b", 0.0, 9.0), ("c", 1.0, None), ("d", None, 1.0)), "direct"
        )
    with pytest.raises(InputError, match="0 are not, and 1 are neither or have no ruling"):
        preferences(rated(("a", 1.0, 9.0), ("b", None, 9.0)), "honest")


def test_refusals() -> None:
    with pytest.raises(InputError, match="No answers"):
        preferences([], "honest")
    with pytest.raises(InputError, match="Did you mean"):
        preferences(SOME, STAGES[0] + "y")
    for options in ({"threshold": 1}, {"threshold": 11}, {"most": 0}):
        with pytest.raises(InputError, match="from 1 to 10"):
            preferences(SOME, "quality", **options)
