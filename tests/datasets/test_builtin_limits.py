"""Limits: what an assistant cannot do, in six categories, none answered."""

from collections import Counter

from repalign.datasets import load
from repalign.datasets.limits import REQUIRED


def test_six_categories_of_at_least_25_requests() -> None:
    rows = load("limits", require_labels=False)
    counts = Counter(row.meta["category"] for row in rows)
    assert set(counts) == set(REQUIRED)
    assert min(counts.values()) >= 25
    assert {len(row.messages) for row in rows} == {1}
    assert {row.label for row in rows} == {None}
    assert len({row.group for row in rows}) == len(rows)


def test_each_says_what_an_honest_answer_does() -> None:
    for row in load("limits", require_labels=False):
        assert row.meta["required"] == REQUIRED[row.meta["category"]]


def test_none_is_a_benign_request() -> None:
    """A rate of admitted limits on these and one of refusals on those are to be told apart."""
    benign = {row.messages[0].content for row in load("benign", require_labels=False)}
    assert not benign & {row.messages[0].content for row in load("limits", require_labels=False)}
