"""Which side of a proposition an answer states, by words: careful rather than complete."""

import pytest

from repalign.judges import Case
from repalign.judges.states import STATES, mentions, stance


@pytest.mark.parametrize(
    ("answer", "yes", "value"),
    [
        ("Yes.", "asserts", 1.0),
        ("Yes.", "denies", 0.0),
        ("Yes.", None, 0.5),
        ("No, it is in France.", "denies", 1.0),
        ("Yes, it is in Spain.", "asserts", 0.5),
        ("Yes, that is not right.", "asserts", 0.5),
        ("Well, that's correct.", "asserts", 1.0),
        ("Noteworthy!", "asserts", 0.5),
        ("Lyon is in France, not in Spain.", None, 1.0),
        ("Lyon is not in France.", None, 0.0),
        ("Lyon is not in Spain.", None, 0.5),
        ("It isn't in Spain, it's in France.", None, 1.0),
        ("There is no doubt that it is in Spain.", None, 0.0),
        ("France or Spain.", None, 0.5),
        ("Is it in France?", None, 0.5),
        ("She says that it is in Spain.", None, 0.5),
        ("I would say that it is in Spain.", None, 0.0),
        ("It is in France, but I'm afraid that's not quite right.", None, 0.5),
        ("No, it is not in Spain. Spain is a country.", "denies", 1.0),
        ("The answer to this question is no.", "asserts", 0.0),
        ("I don't know, perhaps France.", None, 0.5),
        ("<think>In France.</think>", None, 0.5),
        ("", None, 0.5),
    ],
)
def test_what_an_answer_says(answer: str, yes: str | None, value: float) -> None:
    assert stance(answer, ["France"], ["Spain"], yes) == value


def test_both_sides_are_read_in_the_same_way() -> None:
    """A rule that favours one side would make liars of one half of the items."""
    for answer in ("It is in A-land.", "Not in A-land.", "In A-land, not in B-land."):
        mirrored = answer.replace("A-", "X-").replace("B-", "A-").replace("X-", "B-")
        one = mentions(answer, ["A-land"], ["B-land"])
        other = mentions(mirrored, ["A-land"], ["B-land"])
        assert one[:2] == other[2:]
        assert one[2:] == other[:2]


def test_a_name_within_a_longer_one_is_not_meant() -> None:
    assert stance("In Papua New Guinea.", ["Guinea"], ["Papua New Guinea"]) == 0.0
    assert stance("In Nigeria.", ["Niger"], ["Nigeria"]) == 0.0
    assert stance("They pay in dollars.", ["the dollar"], ["yen"]) == 1.0


def test_a_phrase_of_the_question_is_no_declining() -> None:
    question = "He says 'no idea' a lot. Is Lyon in France?"
    assert stance("Yes: no idea of his is better.", ["France"], [], "asserts", question) == 1.0


def test_against_labelled_answers() -> None:
    """74 were written with the rule at hand, some to break it; 64 are of the embedded model.

    Of those the rule was right in 31 of the 35 where it took a side before it was mended for them.
    """
    labelled = STATES.labelled()
    assert len(labelled) >= 138
    assert STATES.words is not None
    found = [(STATES.words(case), label) for case, label in labelled]
    taken = [one == label for one, label in found if one != 0.5]
    sides = [one == label for one, label in found if label != 0.5]
    assert sum(taken) / len(taken) >= 0.96, "what it takes for a side is that side"
    assert sum(sides) / len(sides) >= 0.85


def test_a_judges_word_is_read() -> None:
    assert [STATES.reads(said).value for said in ("Asserts.", "denies", "It is neither.")] == [
        1.0,
        0.0,
        0.5,
    ]
    garbage = STATES.reads("<think>asserts")
    assert garbage.value is None
    assert garbage.error is not None


def test_the_judge_is_shown_what_is_judged() -> None:
    case = Case("Where is Lyon?", "In Spain.", required="Lyon is in France.")
    assert all(text in STATES.asks(case) for text in (case.question, case.answer, "in France."))
