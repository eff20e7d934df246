import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repalign.errors import InputError
from repalign.metrics import uncertainty as unsure

TOKENS = np.log([0.9, 0.5, 0.8])
ANSWERS = np.log([0.2, 0.1, 0.3])
LIKE = [[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]]
logs = st.lists(st.floats(-8, -0.01), min_size=1, max_size=8)


def test_golden_numbers() -> None:
    assert unsure.g_nll(TOKENS) == pytest.approx(1.021651, abs=1e-6)
    assert unsure.token_sar(TOKENS, [0.95, 0.4, 0.85]) == pytest.approx(0.568285, abs=1e-6)
    assert unsure.semantic_entropy(ANSWERS, [0, 0, 1]) == pytest.approx(1.203973, abs=1e-6)
    assert unsure.sentence_sar(ANSWERS, LIKE) == pytest.approx(-4.655521, abs=1e-6)


def test_perplexity_is_the_mean_and_quantiles_run_from_the_surest_token() -> None:
    assert unsure.perplexity_score(TOKENS) == pytest.approx(1.021651 / 3, abs=1e-6)
    assert unsure.token_quantile(TOKENS, 0.0) == pytest.approx(-np.log(0.9))
    assert unsure.token_quantile(TOKENS, 0.5) == pytest.approx(-np.log(0.8))
    assert unsure.token_quantile(TOKENS, 1.0) == pytest.approx(-np.log(0.5))


@given(logs)
def test_semantic_entropy_lies_between_one_meaning_and_as_many_as_answers(rows: list) -> None:
    apart = unsure.semantic_entropy(rows, range(len(rows)))
    assert apart == pytest.approx(unsure.sequence_entropy(rows))
    together = unsure.semantic_entropy(rows, [0] * len(rows))
    assert together == pytest.approx(-np.log(np.exp(rows).sum()))
    assert together <= apart + 1e-9


def test_direct_and_frequency_entropies() -> None:
    # Classes of probability 0.3 and 0.3, made to sum to 1.
    assert unsure.semantic_entropy(ANSWERS, [0, 0, 1], "direct") == pytest.approx(np.log(2))
    expected = -(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3))
    assert unsure.semantic_entropy(ANSWERS, [7, 7, 2], "frequency") == pytest.approx(expected)


def test_very_improbable_answers_do_not_vanish() -> None:
    low = np.array([-2000.0, -2000.0])
    assert unsure.semantic_entropy(low, [0, 0]) == pytest.approx(2000 - np.log(2))
    assert unsure.semantic_entropy(low, [0, 1], "direct") == pytest.approx(np.log(2))


def test_meanings_need_entailment_both_ways_with_the_first_of_a_class() -> None:
    one_way = [[True, True, False], [False, True, False], [False, False, True]]
    assert unsure.semantic_classes(one_way) == [0, 1, 2]
    # 2 means the same as 1, but not as 0, which opened the class that 1 joined.
    chain = [[True, True, False], [True, True, True], [False, True, True]]
    assert unsure.semantic_classes(chain) == [0, 0, 1]


@given(logs)
def test_token_sar_of_tokens_that_matter_alike_is_the_mean(rows: list) -> None:
    expected = unsure.perplexity_score(rows)
    assert unsure.token_sar(rows, [0.4] * len(rows)) == pytest.approx(expected)
    assert unsure.token_sar(rows, [1.0] * len(rows)) == pytest.approx(expected)


def test_token_sar_leaves_out_tokens_that_do_not_matter() -> None:
    assert unsure.token_sar(TOKENS, [1.0, 0.2, 1.0]) == pytest.approx(-np.log(0.5))


@given(logs)
def test_sentence_sar_of_answers_unlike_each_other_is_their_entropy(rows: list) -> None:
    nothing = np.zeros((len(rows), len(rows)))
    assert unsure.sentence_sar(rows, nothing) == pytest.approx(unsure.sequence_entropy(rows))
    assert unsure.sar(-np.array(rows), np.eye(len(rows))) == pytest.approx(
        unsure.sequence_entropy(rows)
    )


def test_what_others_say_alike_makes_an_answer_surer() -> None:
    more = np.array(LIKE) + 0.05
    assert unsure.sentence_sar(ANSWERS, more) < unsure.sentence_sar(ANSWERS, LIKE)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: unsure.g_nll([]), "at least one"),
        (lambda: unsure.g_nll([0.5]), "at most 0"),
        (lambda: unsure.g_nll([-1.0, float("nan")]), "finite"),
        (lambda: unsure.token_quantile(TOKENS, 1.5), "share from 0 to 1"),
        (lambda: unsure.semantic_entropy(ANSWERS, [0, 1]), "2 classes were given for 3"),
        (lambda: unsure.semantic_entropy(ANSWERS, [0, 1, 2], "mean"), "frequency"),
        (lambda: unsure.semantic_classes([[True, False]]), "square table"),
        (lambda: unsure.token_sar(TOKENS, [0.1, 0.2]), "one a token"),
        (lambda: unsure.token_sar(TOKENS, [0.1, 0.2, 1.2]), "from 0 to 1"),
        (lambda: unsure.sentence_sar(ANSWERS, [[1.0]]), "square table of 3"),
        (lambda: unsure.sentence_sar(ANSWERS, LIKE, 0.0), "above 0"),
        (lambda: unsure.sentence_sar(ANSWERS, -np.array(LIKE)), "0 or more"),
    ],
)
def test_bad_input_is_refused(call, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()
