"""Requests: harmless ones of the benign chats, harmful ones of our own, none answered."""

from collections import Counter

from repalign.datasets import load


def test_each_group_has_a_harmless_and_a_harmful_request_and_no_reply() -> None:
    rows = load("requests")
    assert len(rows) == 100
    assert Counter((row.group, row.label) for row in rows).most_common(1)[0][1] == 1
    assert {len(row.messages) for row in rows} == {1}
    assert {row.messages[0].role for row in rows} == {"user"}


def test_the_harmless_ones_are_those_of_the_benign_chats_and_the_harmful_ones_are_not() -> None:
    chats = {row.messages[0].content for row in load("benign", require_labels=False)}
    kinds = [row.label == 1 for row in load("requests")]
    assert [row.messages[0].content in chats for row in load("requests")] == kinds
    # Spread over all kinds of chats, which the list has one after the other.
    order = [row.messages[0].content for row in load("benign", require_labels=False)]
    places = [order.index(r.messages[0].content) for r in load("requests") if r.label == 1]
    assert places == sorted(places)
    assert places[-1] > 0.9 * len(order)
