"""Both orders: a judge wins nothing by where an answer is shown."""

from collections.abc import Sequence

import pytest
from respondents import Scripted

from repalign.errors import InputError
from repalign.judges import RUBRICS, ByModel, Case, Ruling, both_orders

PREFERS = RUBRICS["prefers"]
PAIRS = [Case(f"Question {i}?", "ours", "theirs") for i in range(4)]


def _by(first: str, second: str):
    """A judge by what stands first in the prompt, `ours` or `theirs`."""

    def function(prompt) -> str:
        words = prompt.messages[-1].content
        return first if words.index("ours") < words.index("theirs") else second

    return lambda cases: ByModel(Scripted(function)).rules(PREFERS, cases)


def test_a_judge_that_always_says_first_makes_ties_and_is_found_out() -> None:
    found = both_orders(_by("first", "first"), PAIRS)
    assert found.outcomes == ("tie",) * 4
    assert found.wins is not None
    assert found.wins.counts == {"win": 0, "tie": 4, "lose": 0}
    assert (found.wins.first_shown.value, found.wins.rate.value) == (1.0, 0.5)
    assert found.wins.agreement.value == 0.0


@pytest.mark.parametrize(
    ("first", "second", "outcome", "rate"),
    [
        ("first", "second", "win", 1.0),
        ("second", "first", "lose", 0.0),
        ("tie", "tie", "tie", 0.5),
        ("first", "tie", "tie", 0.75),
        ("second", "tie", "tie", 0.25),
    ],
)
def test_only_what_both_orders_say_is_won_or_lost(
    first: str, second: str, outcome: str, rate: float
) -> None:
    found = both_orders(_by(first, second), PAIRS)
    assert set(found.outcomes) == {outcome}
    assert found.wins is not None
    assert found.wins.counts[outcome] == 4
    assert found.wins.rate.value == rate


def test_pairs_without_a_ruling_in_both_orders_are_left_out_and_groups_follow() -> None:
    def rules(cases: Sequence[Case]) -> list[Ruling]:
        # Ours is better, but there is nothing on pair 0 turned and on pair 2 as it is.
        gone = {4, 2}
        return [
            Ruling(None, error="gone") if i in gone else Ruling(float(case.answer == "ours"))
            for i, case in enumerate(cases)
        ]

    found = both_orders(rules, PAIRS, ["a", "b", "c", "b"])
    assert found.outcomes == (None, "win", None, "win")
    assert found.unruled == 2
    assert found.wins is not None
    assert found.wins.rate.n == 1
    nothing = both_orders(lambda cases: [Ruling(None, error="x")] * len(cases), PAIRS)
    assert (nothing.wins, nothing.unruled) == (None, 4)


def test_a_single_answer_is_no_pair() -> None:
    with pytest.raises(InputError, match="of 1 cases 1 have"):
        both_orders(_by("first", "first"), [Case("Q", "A")])
    with pytest.raises(InputError, match="of 0 cases"):
        both_orders(_by("first", "first"), [])
