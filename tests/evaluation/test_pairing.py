"""Two runs item by item: differences by hand, and what cannot be paired."""

from pathlib import Path

import numpy as np
import pytest

from repalign.errors import InputError
from repalign.evaluation import Item, pairing
from repalign.evaluation.items import read_items, write_items
from repalign.evaluation.pairing import pair, sign_flip_p


def item(name: str, score: float | None, group: str = "", prompt: str = "") -> Item:
    scores = {} if score is None else {"right": float(score)}
    return Item(name, group or name, prompt or f"{name}?", "x", scores)


def test_means_and_difference_by_hand():
    first = [item("a", 1), item("b", 1), item("c", 0), item("d", 1)]
    second = [item("d", 0), item("c", 0), item("b", 1), item("a", 0)]  # in another order
    found = pair({"s": first}, {"s": second})["s"]
    right = found.scores["right"]
    assert (found.paired, found.only_first, found.only_second, found.changed) == (4, 0, 0, ())
    assert (right.first.value, right.second.value, right.difference.value) == (0.75, 0.25, 0.5)
    assert (right.items, right.difference.n) == (4, 4)
    # Two items differ, by 1 each: of the four flips of signs two are as far from 0.
    assert right.p == 0.5
    assert not right.sure


def test_it_is_paired():
    """Each item is better by 0.1, which the intervals of the two runs alone would not show."""
    hard = np.linspace(0, 0.9, 12)
    first = [item(str(place), value + 0.1) for place, value in enumerate(hard)]
    second = [item(str(place), value) for place, value in enumerate(hard)]
    right = pair({"s": first}, {"s": second})["s"].scores["right"]
    assert right.first.low < right.second.high
    assert right.difference.low == pytest.approx(0.1)
    assert right.difference.high == pytest.approx(0.1)
    assert right.p == 2 / 2**12
    assert right.sure
    turned = pair({"s": second}, {"s": first})["s"].scores["right"]
    assert turned.difference.value == pytest.approx(-0.1)
    assert turned.sure


def test_groups_are_what_is_resampled_and_flipped():
    first = [item(str(place), 1, group=f"g{place // 6}") for place in range(12)]
    second = [item(str(place), 0, group=f"g{place // 6}") for place in range(12)]
    right = pair({"s": first}, {"s": second})["s"].scores["right"]
    assert right.difference.n == 2
    # Exact: two groups of which all changed may come of a share of 0.16.
    assert right.difference.low == pytest.approx(0.025**0.5)
    assert right.difference.high == 1
    assert right.p == 0.5
    assert not right.sure  # two groups show nothing, though no resample of them reaches 0


def test_what_cannot_be_paired_is_left_out_and_counted():
    first = [item("a", 1), item("b", 1, prompt="b, as it was?"), item("c", 1), item("e", None)]
    second = [item("a", 0), item("b", 0), item("d", 0), item("e", 1), item("f", 0)]
    found = pair({"s": first, "only": first}, {"s": second})
    one = found["s"]
    assert (one.paired, one.only_first, one.only_second, one.changed) == (2, 1, 2, ("b",))
    # `e` was asked twice and answered once.
    assert one.scores["right"].items == 1
    assert one.scores["right"].difference.value == 1
    only = found["only"]
    assert (only.paired, only.only_first, only.scores) == (0, 4, {})


def test_scores_of_one_run_only_are_not_compared():
    first = [Item("a", "a", "a?", "x", {"right": 1.0, "sure": 1.0})]
    second = [Item("a", "a", "a?", "x", {"right": 1.0, "long": 1.0})]
    assert set(pair({"s": first}, {"s": second})["s"].scores) == {"right"}


@pytest.mark.parametrize(
    ("differences", "groups", "p"),
    [
        ([0.0, 0.0], None, 1.0),
        ([1.0], None, 1.0),
        ([1.0, 1.0, 1.0], None, 0.25),
        ([1.0, 1.0, -1.0], None, 1.0),
        ([2.0, 1.0, 1.0], None, 0.25),
        ([3.0, -1.0, 0.0], None, 1.0),
        ([3.0, -1.0, 4.0], None, 0.5),
        ([0.1, 0.2, 0.3], None, 0.25),  # sums that differ in their last bits
        ([1.0, 1.0, 1.0, 1.0], ["a", "a", "b", "b"], 0.5),
        ([1.0, -1.0, 1.0], ["a", "a", "b"], 1.0),
    ],
)
def test_flips_of_signs_by_hand(differences, groups, p):
    assert sign_flip_p(differences, groups) == p


def test_drawn_flips_come_near_all_flips(monkeypatch: pytest.MonkeyPatch):
    differences = np.random.default_rng(3).normal(0.5, 1, size=13)
    every = sign_flip_p(differences)
    monkeypatch.setattr(pairing, "_EXACT", 0)
    assert 0.02 < every < 0.5
    assert sign_flip_p(differences) == pytest.approx(every, abs=0.015)
    assert sign_flip_p([1.0] * 60) == 1 / 10_000  # never 0


def test_without_a_difference_p_is_below_a_twentieth_in_a_twentieth_of_runs():
    random = np.random.default_rng(0)
    found = [sign_flip_p(random.normal(size=10)) for _ in range(600)]
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_items_come_back_as_they_were_written(tmp_path: Path):
    whole = Item("ä\u2028b", "g", 'line\nbreak "q"', None, {"right": 0.25}, {"before": ["x", None]})
    write_items(tmp_path, {"s": [whole, item("b", 1)], "t": [item("b", 0)]})
    assert read_items(tmp_path) == {"s": [whole, item("b", 1)], "t": [item("b", 0)]}
    assert len((tmp_path / "items.jsonl").read_bytes().splitlines()) == 3


def test_half_a_surrogate_can_be_written(tmp_path: Path):
    write_items(tmp_path, {"s": [Item("a", "a", "a?", "half \ud83d", {})]})
    assert read_items(tmp_path)["s"][0].answer == "half \ud83d"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"suite": "s", "id": "a"', "line 2, is not an item"),
        ('{"suite": "s", "id": "b", "group": "b", "prompt": "b?"}', "line 2, is not an item"),
        ("[1]", "line 2, is not an item"),
        (
            '{"suite":"s","id":"a","group":"","prompt":"","answer":null,"scores":{"x":"y"}}',
            "line 2, is not an item",
        ),
        ('{"suite":"s","id":"a","group":"","prompt":"","answer":null,"scores":{}}', "two items"),
    ],
)
def test_broken_items_are_named(tmp_path: Path, line: str, message: str):
    path = write_items(tmp_path, {"s": [item("a", 1)]})
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(InputError, match=message):
        read_items(tmp_path)


def test_a_run_without_items_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"holds no items\.jsonl"):
        read_items(tmp_path)
