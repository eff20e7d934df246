"""Choices: accuracy, MC1 and MC2 from probabilities that were set by hand."""

import numpy as np
import pytest

from repalign.behavior import Choices, Question
from repalign.errors import InputError


def _question(number: int, options: int, correct: tuple[int, ...], group: str = "") -> Question:
    return Question(f"Number {number} is", tuple("abcd"[:options]), correct, group)


def _choices(*rows: tuple[list[float], tuple[int, ...]], groups: str = "") -> Choices:
    """Choices from the probabilities of options and which are right; options have two tokens."""
    questions = [
        _question(i, len(chances), correct, groups[i] if groups else "")
        for i, (chances, correct) in enumerate(rows)
    ]
    return Choices(
        questions,
        [np.log(np.array(chances)) for chances, _ in rows],
        [np.full(len(chances), 2) for chances, _ in rows],
        [question.example.text for question in questions],
        [[f" {option}" for option in question.options] for question in questions],
        {"model": "by hand"},
    )


# The best answer of the second question, `c`, is beaten by `a`, while the other right one, `b`, is
# not: MC1 and accuracy part there.
BY_HAND = _choices(
    ([0.4, 0.1], (0,)),
    ([0.2, 0.3, 0.1], (2, 1)),
    ([0.05, 0.15], (0,)),
)


def test_log_odds_are_of_right_against_wrong() -> None:
    assert BY_HAND.log_odds == pytest.approx(np.log([0.4 / 0.1, 0.4 / 0.2, 0.05 / 0.15]))


def test_mc1_is_about_the_best_answer_and_mc2_about_all_right_ones() -> None:
    assert BY_HAND.items("mc1").tolist() == [1.0, 0.0, 0.0]
    assert BY_HAND.items("mc2") == pytest.approx([0.4 / 0.5, 0.4 / 0.6, 0.05 / 0.2])
    assert BY_HAND.items("accuracy").tolist() == [1.0, 1.0, 0.0]
    assert BY_HAND.mc1.value == pytest.approx(1 / 3)
    assert BY_HAND.mc2.value == pytest.approx((0.8 + 2 / 3 + 0.25) / 3)
    assert BY_HAND.accuracy.value == pytest.approx(2 / 3)
    assert BY_HAND.picked.tolist() == [0, 1, 1]


def test_probabilities_too_small_for_a_number_still_compare() -> None:
    # exp(-2000) is 0 in double precision; the shares are 0.9 and 0.1 all the same.
    small = _choices(([0.9, 0.1], (0,)))
    tiny = Choices(
        small.questions,
        [small.logprobs[0] - 2000],
        small.tokens,
        small.prompts,
        small.continued,
    )
    assert tiny.items("mc2") == pytest.approx([0.9])
    assert tiny.log_odds == pytest.approx(np.log([9.0]))


def test_ties_are_said() -> None:
    tied = _choices(([0.3, 0.3], (0,)), ([0.2, 0.2, 0.1], (0, 1)), ([0.6, 0.4], (0,)))
    assert tied.tied.tolist() == [True, True, False]
    assert tied.picked.tolist() == [-1, -1, 0]
    # Of the best ones the right share; MC1 asks for more than the wrong ones, not as much.
    assert tied.items("accuracy").tolist() == [0.5, 1.0, 1.0]
    assert tied.items("mc1").tolist() == [0.0, 1.0, 1.0]
    assert "2 of them tied" in str(tied)
    assert tied.to_json()["ties"] == 2
    assert "right, tied" in tied.shown(0)
    assert "no ties" in str(BY_HAND)


def test_intervals_rest_on_groups() -> None:
    rows = [([0.6, 0.4], (i % 2,)) for i in range(6)]
    assert _choices(*rows).accuracy.n == 6
    assert _choices(*rows, groups="aabbcc").accuracy.n == 3
    # Each group holds one right and one wrong choice, so no resample of groups differs.
    grouped = _choices(*rows, groups="aabbcc").accuracy
    assert (grouped.low, grouped.high) == (0.5, 0.5)


def test_leaning_is_what_is_left_when_right_and_wrong_weigh_the_same() -> None:
    # `a` is preferred by 1 in log-odds wherever it is asked for, right in two questions of three.
    def leaning(knows: float) -> float:
        chances = [[1 / (1 + np.exp(-(1 + knows * sign))), 0.0] for sign in (1, 1, -1)]
        rows = [
            ([a, 1 - a], (0,) if s > 0 else (1,))
            for (a, _), s in zip(chances, (1, 1, -1), strict=True)
        ]
        return _choices(*rows).leaning("a").value

    assert leaning(0.0) == pytest.approx(1.0)
    assert leaning(3.0) == pytest.approx(1.0)


def test_leaning_needs_questions_of_both_kinds() -> None:
    with pytest.raises(InputError, match="right in 2 and wrong in 0"):
        _choices(([0.6, 0.4], (0,)), ([0.6, 0.4], (0,))).leaning("a")
    with pytest.raises(InputError, match="right in 0 and wrong in 0"):
        BY_HAND.leaning("nothing")


def test_what_was_read_is_shown() -> None:
    lines = BY_HAND.shown(1).splitlines()
    assert lines[0] == "Number 1 is"
    assert lines[1] == "→ ' a': -1.609 (2 tokens, -0.805 each), wrong"
    assert lines[2] == "→ ' b': -1.204 (2 tokens, -0.602 each), right, picked"
    assert lines[4] == "log-odds of right against wrong: 0.693"


def test_the_record_has_every_number() -> None:
    record = BY_HAND.to_json()
    assert record["model"] == "by hand"
    assert record["mc1"]["value"] == pytest.approx(1 / 3)
    row = record["questions"][1]
    assert [option["right"] for option in row["options"]] == [False, True, True]
    assert row["options"][0]["logprob"] == pytest.approx(np.log(0.2))
    assert row["picked"] == 1


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(InputError, match="mc1"):
        BY_HAND.estimate("mc3")
