"""compare(): differences are taken question by question, and only of the same questions."""

from dataclasses import replace

import numpy as np
import pytest

from repalign.behavior import Answers, Choices, Question, compare, rate
from repalign.errors import InputError
from repalign.examples import Example
from repalign.metrics import mean

COUNT = 40
GROUPS = [f"g{i // 2}" for i in range(COUNT)]


def _choices(log_odds: np.ndarray, groups: list[str] = GROUPS) -> Choices:
    asked = [Question(f"Is {i}", ("so", "not"), (0,), group) for i, group in enumerate(groups)]
    rows = [np.array([0.0, -value]) for value in log_odds]
    ones = [np.ones(2, dtype=int)] * len(rows)
    return Choices(asked, rows, ones, ["?"] * len(rows), [(" so", " not")] * len(rows))


def _answers(*lengths: int, allowed: int = 64) -> Answers:
    asked = [Example.of_text(f"Number {i}") for i in range(len(lengths))]
    ids = [list(range(length)) for length in lengths]
    texts = ["x" * length for length in lengths]
    settings = {"max_new_tokens": allowed}
    return Answers(asked, ["?"] * len(ids), texts, ids, [False] * len(ids), settings)


def test_a_small_sure_difference_is_seen_among_large_ones_between_questions() -> None:
    generator = np.random.default_rng(0)
    before = generator.normal(0, 5, COUNT)
    after = before + 0.5 + generator.normal(0, 0.1, COUNT)
    found = compare(_choices(after), _choices(before))
    assert found.value == pytest.approx(np.mean(after - before))
    assert 0.4 < found.low < found.high < 0.6
    # Unpaired, the intervals overlap by far.
    assert mean(after, GROUPS).low < mean(before, GROUPS).high
    assert found.n == COUNT // 2
    assert found == mean(after - before, GROUPS)


def test_after_minus_before() -> None:
    up, down = _choices(np.ones(COUNT)), _choices(np.zeros(COUNT))
    assert compare(up, down).value == 1.0
    assert compare(down, up).value == -1.0
    assert compare(up, up).value == 0.0


def test_other_measures() -> None:
    before = _choices(np.r_[np.full(10, -1.0), np.full(30, 1.0)])
    after = _choices(np.r_[np.full(20, -1.0), np.full(20, 1.0)])
    assert compare(after, before, "accuracy").value == -0.25
    assert compare(after, before, "mc1").value == -0.25
    odds = 1 / (1 + np.exp(-1))
    assert compare(after, before, "mc2").value == pytest.approx(0.25 * ((1 - odds) - odds))
    with pytest.raises(InputError, match="no measure 'length'"):
        compare(after, before, "length")


def test_answers_differ_in_length_and_repetition() -> None:
    assert compare(_answers(1, 2, 9), _answers(1, 1, 1)).value == 3.0
    loop = replace(_answers(8, 8), ids=[[1] * 8, list(range(8))])
    assert compare(loop, _answers(8, 8), "repetition").value == pytest.approx(0.5 * 4 / 5)


def test_ratings_are_compared_where_both_were_rated() -> None:
    def short(_prompt: str, answer: str) -> float:
        if len(answer) == 7:
            raise ValueError("seven")
        return float(len(answer))

    before, after = rate(_answers(1, 7, 3, 4), short), rate(_answers(2, 5, 7, 7), short)
    found = compare(after, before)
    assert (found.value, found.n) == (1.0, 1)
    with pytest.raises(InputError, match="both before and after"):
        compare(rate(_answers(7, 7), short), rate(_answers(1, 2), short))
    with pytest.raises(InputError, match="Question 0"):
        compare(rate(_answers(1), short), rate(_answers(1), lambda _prompt, _answer: 1.0))


def test_other_questions_are_refused() -> None:
    plain = _choices(np.zeros(COUNT))
    with pytest.raises(InputError, match="40 questions cannot be compared with 38"):
        compare(plain, _choices(np.zeros(38), GROUPS[:38]))
    turned = replace(plain, questions=plain.questions[::-1])
    with pytest.raises(InputError, match="Question 0 is not the same"):
        compare(turned, plain)
    swapped = [Question("Is 0", ("not", "so"), (1,), "g0"), *plain.questions[1:]]
    with pytest.raises(InputError, match="Question 0 is not the same"):
        compare(replace(plain, questions=swapped), plain)


def test_answers_generated_otherwise_are_refused() -> None:
    with pytest.raises(InputError, match="same settings"):
        compare(_answers(1, 2), _answers(1, 2, allowed=32))


def test_things_of_different_kinds_are_refused() -> None:
    with pytest.raises(InputError, match="Choices cannot be compared with Answers"):
        compare(_choices(np.zeros(2), ["a", "b"]), _answers(1, 2))
