"""Training sets: what each method teaches of questions known well, a little, and not at all."""

import json
from pathlib import Path

import pytest

from repalign.errors import InputError
from repalign.examples import Example
from repalign.knowledge import Asked, Known
from repalign.knowledge.training_sets import IDK, METHODS, balanced, rows, save
from repalign.verdicts import declines


def question(
    right: int, of: int = 10, greedy: str = "Oslo", golds: tuple | None = ("Rome",)
) -> Known:
    asked = Asked(Example.of_chat(f"Capital of Italy ({right})?", group="g"), golds)
    texts = tuple(f"Rome, said {i}." for i in range(right)) + ("Oslo.",) * (of - right)
    return Known.of(asked, texts, greedy)


def said(one: Known, method: str, **options) -> str:
    (row,) = rows([one], method, **options)
    assert row["prompt"] == [{"role": "user", "content": one.asked.words}]
    (turn,) = row["completion"]
    assert turn["role"] == "assistant"
    return turn["content"]


def test_absolute_teaches_a_right_sample_or_to_decline() -> None:
    assert said(question(10), "absolute") in question(10).texts
    assert said(question(0), "absolute") == IDK
    assert said(question(1), "absolute") == "Rome, said 0."
    assert said(question(1), "absolute", tau=0.2) == IDK
    drawn = {said(question(10), "absolute", seed=seed) for seed in range(30)}
    assert len(drawn) > 5


def test_the_authors_code_prefers_the_greedy_answer_and_knows_more() -> None:
    greedy = question(3, greedy="It is Rome!")
    assert said(greedy, "absolute", follow="code") == "It is Rome!"
    assert said(question(3), "absolute", follow="code") == "Rome, said 0."
    only_greedy = question(0, greedy="Rome")
    assert said(only_greedy, "absolute", follow="code") == "Rome"
    assert said(only_greedy, "absolute") == IDK
    assert said(question(1), "absolute", follow="code", tau=0.9) == "Rome, said 0."


@pytest.mark.parametrize(
    ("right", "percent", "verb"),
    [
        (1, "10%", "doubt"),
        (2, "20%", "doubt"),
        (3, "30%", "rather unsure"),
        (5, "50%", "as sure as not"),
        (6, "60%", "as sure as not"),
        (8, "80%", "fairly sure"),
        (9, "90%", "certain"),
        (10, "100%", "certain"),
    ],
)
def test_confidence_is_what_the_samples_say(right: int, percent: str, verb: str) -> None:
    number, verbal = (said(question(right), f"confidence-{kind}") for kind in ("num", "verb"))
    assert percent in number
    assert ("check" in number) == (right <= 5)
    assert number.endswith(".")
    assert ": Rome" in number
    assert verb in verbal
    assert "that rome, said" in verbal


def test_buckets_are_shares_whatever_the_number_of_samples() -> None:
    assert "50%" in said(question(10, of=20), "confidence-num")
    assert "as sure as not" in said(question(12, of=20), "confidence-verb")


def test_confidence_in_nothing_is_to_decline() -> None:
    for kind in ("num", "verb"):
        assert said(question(0), f"confidence-{kind}") == IDK
        assert said(question(0, golds=None), f"confidence-{kind}") == IDK


def test_the_letter_of_an_option_keeps_its_case() -> None:
    asked = Asked(Example.of_chat("Which?", group="g"), ("B",))
    found = Known.of(asked, ("B",) * 10, "B")
    assert said(found, "confidence-verb").endswith(" B")


def test_multisample_keeps_every_sample_and_declines_for_the_wrong_ones() -> None:
    found = [row["completion"][0]["content"] for row in rows([question(3)], "multisample")]
    assert found == ["Rome, said 0.", "Rome, said 1.", "Rome, said 2.", *[IDK] * 7]


def test_the_fine_tuned_baseline_never_declines() -> None:
    assert said(question(0), "fine-tuned") == "Rome"
    assert said(question(10), "fine-tuned") in question(10).texts
    with pytest.raises(InputError, match="Nobody can know"):
        rows([question(0, golds=None)], "fine-tuned")


def test_what_is_taught_to_decline_is_found_to_decline() -> None:
    assert declines(IDK)
    for method in set(METHODS) - {"multisample"}:
        assert not declines(said(question(10), method))


def test_as_many_known_as_unknown() -> None:
    some = [question(i, greedy="Rome" if i < 3 else "Oslo") for i in range(10)]
    found = balanced(some)
    assert [one.greedy.kind for one in found].count("correct") == 3
    assert len(found) == 6
    places = [some.index(one) for one in found]
    assert places == sorted(places)
    assert {tuple(some.index(one) for one in balanced(some, seed)) for seed in range(9)} != {
        tuple(places)
    }


def test_rows_are_written_as_json_lines(tmp_path: Path) -> None:
    made = rows([question(10), question(0)], "absolute")
    save(made, tmp_path / "set.jsonl")
    lines = (tmp_path / "set.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == made


@pytest.mark.parametrize(
    ("questions", "options", "said"),
    [
        ([], {"method": "absolute"}, "No questions"),
        ([question(1)], {"method": "absolut"}, "absolute"),
        ([question(1)], {"method": "absolute", "follow": "blog"}, "paper"),
    ],
)
def test_bad_input_is_refused(questions: list, options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        rows(questions, **options)
