"""Every score of one question against its definition, by hand."""

from typing import Any

import numpy as np
import pytest
import toy as toys

from repalign.answering import Reply
from repalign.evaluation.unsure import SCORES, WHY_NOT, Drawn, Means, scores
from repalign.metrics import uncertainty


def reply(text: str, *probabilities: float, ids: tuple[int, ...] = ()) -> Reply:
    return Reply(text, ids, tuple(np.log(probabilities).tolist()))


SAMPLES = (reply("Paris.", 0.2), reply("It is Paris", 0.1), reply("Rome", 0.3))
GREEDY = reply("Paris", 0.9, 0.5, 0.8)


def test_scores_by_hand() -> None:
    found = scores(Drawn("Which city?", GREEDY, SAMPLES, p_true=0.7))
    expected = {
        "g-nll": 1.021651,
        "perplexity": 1.021651 / 3,
        # Surprises 0.1054, 0.2231, 0.6931: four fifths of the way from the second to the third.
        "token quantile": 0.2231436 + 0.8 * (0.6931472 - 0.2231436),
        "sequence entropy": -np.log([0.2, 0.1, 0.3]).mean(),
        "semantic entropy": 1.203973,
        "semantic entropy, direct": np.log(2),
        "semantic entropy, frequency": -(2 / 3 * np.log(2 / 3) + np.log(1 / 3) / 3),
        # `Paris.` and `It is Paris` share one word of three, `Rome` none.
        "sentenceSAR": -np.log([0.2 + 0.1 / 3e-3, 0.1 + 0.2 / 3e-3, 0.3]).mean(),
        "disagreement": 1 / 3,
        "p(true)": 0.3,
    }
    assert found == {name: pytest.approx(value, abs=1e-6) for name, value in expected.items()}


def test_only_what_can_be_computed_is_given() -> None:
    silent = [Reply("Paris"), Reply("Rome")]
    assert set(scores(Drawn("?", Reply("Paris"), silent))) == {
        "semantic entropy, frequency",
        "disagreement",
    }
    assert set(scores(Drawn("?", GREEDY, []))) == {"g-nll", "perplexity", "token quantile"}
    # One sample without log-probabilities spoils what needs those of all, and nothing else.
    mixed = scores(Drawn("?", GREEDY, [*SAMPLES, Reply("Rome")]))
    assert "sequence entropy" not in mixed
    assert mixed["disagreement"] == 0.5
    assert set(WHY_NOT) == set(SCORES)


def test_token_sar_weighs_tokens_by_the_words_they_carry() -> None:
    """Of `the sea` only `sea` changes the words; the end of the answer counts for nothing."""
    tokenizer = toys.tokenizer()
    ids: Any = tuple(map(tokenizer.convert_tokens_to_ids, ("▁the", "▁sea", "</s>")))
    answer = reply("the sea", 0.5, 0.25, 0.125, ids=ids)
    drawn = Drawn("which water", answer, [answer, answer], Means(tokenizer=tokenizer))
    assert drawn.token_sar(answer) == pytest.approx(-np.log(0.25))
    found = scores(drawn)
    assert found["tokenSAR"] == pytest.approx(-np.log(0.25))
    assert found["SAR"] == pytest.approx(uncertainty.sar([-np.log(0.25)] * 2, np.ones((2, 2))))
    # A word that the question holds already adds nothing to it.
    again = Drawn("which sea", answer, [answer], Means(tokenizer=tokenizer))
    assert again.token_sar(answer) == pytest.approx(-np.log([0.5, 0.25, 0.125]).mean())


def test_answers_of_one_meaning_are_one_class_and_thoughts_do_not_count() -> None:
    said = [Reply("<think>Rome?</think>Paris"), Reply("paris!"), Reply("Rome"), Reply("")]
    assert Drawn("?", Reply("It's Paris."), said).classes == [0, 0, 1, 2, 0]


def test_a_log_probability_that_rounding_left_above_zero_is_zero() -> None:
    found = scores(Drawn("?", Reply("a", logprobs=(1e-4,)), [Reply("a", logprobs=(1e-4,))]))
    assert found["g-nll"] == 0
    assert found["sequence entropy"] == 0
