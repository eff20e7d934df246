import pytest

from repalign.datasets.lists import Closed, closed
from repalign.evaluation.listing import listed

COLOURS = [["red"], ["yellow", "gold"], ["blue"]]


@pytest.mark.parametrize(
    ("answer", "named", "besides"),
    [
        ("red, blue and yellow", (0, 1, 2), ()),
        ("1. Red\n2. Blue\n3. Green", (0, 2), ("green",)),
        ("- red\n- red\n* gold", (0, 1), ()),
        ("The colours are: red; blue.", (0, 2), ()),
        ("Red blue yellow", (0, 1, 2), ()),
        ("Reddish things", (), ("reddish things",)),
        ("green, green, and black", (), ("green", "black")),
        ("<think>red, blue</think>yellow", (1,), ()),
        ("", (), ()),
        ("red & brandy", (0,), ("brandy",)),
    ],
)
def test_what_is_named_by_hand(answer: str, named: tuple, besides: tuple) -> None:
    found = listed(answer, COLOURS)
    assert (found.named, found.besides) == (named, besides)


def test_shares_by_hand() -> None:
    found = listed("red, blue, green, black", COLOURS)
    assert (found.recall, found.precision) == (pytest.approx(2 / 3), 0.5)
    assert found.f1 == pytest.approx(4 / 7)
    nothing = listed("", COLOURS)
    assert (nothing.recall, nothing.precision, nothing.f1) == (0, 0, 0)


@pytest.mark.parametrize("one", closed(), ids=lambda one: one.name)
def test_the_whole_list_is_all_of_it_and_no_member_is_taken_for_another(one: Closed) -> None:
    whole = listed(", ".join(names[0] for names in one.members) + ".", one.members)
    assert whole.f1 == 1
    for place, names in enumerate(one.members):
        for name in names:
            assert listed(name, one.members).named == (place,), name
    for question, answer in one.singles:
        assert not listed(question, [answer]).named, "the question holds its answer"
