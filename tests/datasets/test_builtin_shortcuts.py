"""A bag of words and the length find nothing where they should find nothing.

The bounds are two-sided on purpose: far below one half would be a leak just as far above is. It
comes about where a word that is false in one group is bound to be true in another, and a balance
over the whole set causes it.
"""

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from repalign.datasets.builtin import BUILTIN, BUILTIN_TOPICS
from repalign.examples import Example

SINGLE = ("", "_negated", "_qa")
JOINED = ("_conjunction", "_disjunction")


def bag_of_words(examples: list[Example]) -> float:
    labels = np.array([example.label for example in examples])
    counts = CountVectorizer().fit_transform([example.text for example in examples])
    scores = cross_val_predict(
        LogisticRegression(solver="liblinear"),
        counts,
        labels,
        groups=[example.group for example in examples],
        cv=GroupKFold(5, shuffle=True, random_state=0),
        method="decision_function",
    )
    return float(roc_auc_score(labels, scores))


@pytest.mark.parametrize("variant", SINGLE)
@pytest.mark.parametrize("topic", BUILTIN_TOPICS)
def test_words_tell_nothing(topic: str, variant: str) -> None:
    assert 0.45 <= bag_of_words(BUILTIN[topic + variant].build()) <= 0.55


@pytest.mark.parametrize("variant", JOINED)
@pytest.mark.parametrize("topic", BUILTIN_TOPICS)
def test_words_of_joined_statements_tell_nothing(topic: str, variant: str) -> None:
    """Wider: there are half as many groups (a standard error of 0.03 for 110)."""
    assert 0.42 <= bag_of_words(BUILTIN[topic + variant].build()) <= 0.58


@pytest.mark.parametrize("variant", SINGLE + JOINED)
@pytest.mark.parametrize("topic", BUILTIN_TOPICS)
def test_length_tells_nothing(topic: str, variant: str) -> None:
    examples = BUILTIN[topic + variant].build()
    length = [len(example.text) for example in examples]
    assert 0.45 <= roc_auc_score([example.label for example in examples], length) <= 0.55


def test_the_last_number_tells_little_even_with_the_relation() -> None:
    """Numbers far apart would let the size of the last one stand for the comparison."""
    from repalign.datasets.quantities import words

    size = {words(number): number for number in range(100)}
    examples = BUILTIN["numbers"].build()
    labels = [example.label for example in examples]
    last = np.array([size[example.meta["object"]] for example in examples])
    sign = np.array([1 if e.meta["relation"] == "smaller" else -1 for e in examples])
    assert roc_auc_score(labels, last) == pytest.approx(0.5, abs=0.02)
    assert roc_auc_score(labels, sign * last) < 0.62


@pytest.mark.parametrize("joint", JOINED)
@pytest.mark.parametrize("part", ["first_label", "second_label"])
def test_one_part_alone_gives_three_quarters(joint: str, part: str) -> None:
    """The least that is possible with balanced labels; unequal use of the parts would give more."""
    examples = BUILTIN[f"cities{joint}"].build()
    labels = [example.label for example in examples]
    known = [int(example.meta[part]) for example in examples]
    assert roc_auc_score(labels, known) == pytest.approx(0.75, abs=0.01)
