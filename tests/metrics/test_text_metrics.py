"""Repetition and distinct-n: counted by hand, and what must hold for any text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repalign.errors import InputError
from repalign.metrics.texts import distinct, repetition

sequences = st.lists(st.integers(0, 3), max_size=20)


def test_repetition_counts_what_came_before() -> None:
    # a b, b a, a b, b c: the third occurred before.
    assert repetition("a b a b c", 2) == 0.25
    assert repetition("a a a a a", 1) == 0.8
    # 10 tokens have 7 four-grams, of which a loop of length 3 has 3 different ones.
    assert repetition([1, 2, 3] * 3 + [1]) == pytest.approx(4 / 7)
    assert repetition("one two three four five") == 0.0


def test_a_text_too_short_to_repeat_itself_does_not() -> None:
    assert repetition("", 4) == 0.0
    assert repetition("so so so", 4) == 0.0


def test_a_string_is_words_and_not_letters() -> None:
    assert repetition("aaaa bbbb", 1) == 0.0
    assert repetition(list("aaaa"), 1) == 0.75


@given(sequences, st.integers(1, 4))
def test_repetition_is_one_minus_distinct_of_one_text(tokens: list[int], n: int) -> None:
    if len(tokens) >= n:
        assert repetition(tokens, n) == pytest.approx(1 - distinct([tokens], n).value)


@given(sequences.filter(bool))
def test_saying_all_of_it_again_repeats_half_or_more(tokens: list[int]) -> None:
    assert repetition(tokens * 2, 1) >= 0.5


def test_distinct_counts_over_all_texts() -> None:
    # the cat, cat sat | the cat, cat ran: 3 different of 4.
    found = distinct(["the cat sat", "the cat ran"], 2)
    assert found.value == 0.75
    assert found.n == 2
    # Without either text, both of its two bigrams are different ones: no spread.
    assert (found.low, found.high) == (0.75, 0.75)
    assert distinct([[1, 1, 1], [2, 2, 2]], 1).value == pytest.approx(2 / 6)


def test_the_interval_of_distinct_is_the_jackknifes() -> None:
    texts = [[1, 1], [1, 2], [3, 4]]
    # Distinct-1 of all: 4 of 6. Without the first 4 of 4, the second 3 of 4, the third 2 of 4.
    without = np.array([1.0, 0.75, 0.5])
    spread = np.sqrt(2 / 3 * ((without - without.mean()) ** 2).sum())
    found = distinct(texts, 1)
    assert found.value == pytest.approx(4 / 6)
    assert found.low == pytest.approx(4 / 6 - 1.959964 * spread, abs=1e-6)
    assert found.high == 1.0  # 1.07 is cut at 1.


def test_texts_of_one_group_are_left_out_together() -> None:
    texts = [[1, 1], [1, 2], [3, 4]]
    grouped = distinct(texts, 1, ["a", "a", "b"])
    assert grouped.n == 2
    # Without a 2 of 2, without b 2 of 4.
    spread = np.sqrt(1 / 2 * ((np.array([1.0, 0.5]) - 0.75) ** 2).sum())
    assert grouped.low == pytest.approx(4 / 6 - 1.959964 * spread, abs=1e-6)


def test_distinct_does_not_depend_on_order() -> None:
    texts = [[1, 2, 3], [3, 2, 1], [1, 2, 3], [2, 2]]
    one, other = distinct(texts, 2), distinct(texts[::-1], 2)
    assert (one.value, one.low) == pytest.approx((other.value, other.low))


@pytest.mark.parametrize("texts", [[], ["one"], [[], [1]]])
def test_no_ngram_at_all_is_refused(texts: list[str | list[int]]) -> None:
    with pytest.raises(InputError, match="distinct-2 says nothing"):
        distinct(texts, 2)


def test_an_ngram_has_parts() -> None:
    with pytest.raises(InputError, match="n=0"):
        repetition("a b", 0)
