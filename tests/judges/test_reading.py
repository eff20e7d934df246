"""Reading a judge's words: what is plain is read, and everything else is an error."""

import pytest

from repalign.judges.reading import preferred, scores, yes_or_no

PARTS = ("Explanation", "Solution")


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("Yes.", 1.0),
        ("**No**, it does not.", 0.0),
        ("The answer is: yes", 1.0),
        ("<think>No, or yes?</think>\nyes", 1.0),
        ("Well, one could say so; on the whole yes", None),
        ("Yes or no: no", 0.0),
        ("Yes, there is no doubt", 1.0),
        ("Yes or no? Yes/no", None),
        ("Not really", None),
        ("Nothing", None),
        ("<think>Yes, because", None),
        ("", None),
    ],
)
def test_yes_or_no(said: str, value: float | None) -> None:
    found = yes_or_no(said)
    assert (found.value, found.said) == (value, said)
    assert (found.error is None) == (value is not None)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("first", 1.0),
        ("Second.", 0.0),
        ("The first answer is better than the second", 1.0),
        ("It is a tie", 0.5),
        ("Neither the first nor the second", 0.5),
        ("First or second? Second", 0.0),
        ("First, second or tie: first, second or tie", None),
        ("A", None),
        ("1", None),
        ("firstly", None),
        ("", None),
    ],
)
def test_preferred(said: str, value: float | None) -> None:
    found = preferred(said)
    assert found.value == value
    assert (found.error is None) == (value is not None)


@pytest.mark.parametrize(
    "said",
    [
        "Explanation: 7\nSolution: 3\nOverall: 5",
        "**Explanation:** 7/10\n- **Solution**: 3 out of 10\n3. Overall score: 5.",
        "explanation = 7 (clear)\n\n  SOLUTION: 3, thin\nOverall: 5 - fair",
        "Explanation: 7, Solution: 3; Overall: 5",
        "<think>Explanation: 1</think>Explanation: 7\nSolution: [3]\nOverall: 5\nOverall: 5",
    ],
)
def test_scores_in_the_ways_that_judges_write_them(said: str) -> None:
    found = scores(said, PARTS, "Overall")
    assert found.error is None
    assert (found.value, dict(found.parts)) == (5.0, {"explanation": 7.0, "solution": 3.0})


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "no score"),
        ("Overall: 0", "outside"),
        ("Overall: 11", "outside"),
        ("Overall: -3", "outside"),
        ("Overall: −3", "outside"),
        ("Overall: 70", "outside"),
        ("Overall: 7/100", "no score"),
        ("Overall: 4/5", "no score"),
        ("Overall: 7-8", "no score"),
        ("Overall: 7 to 8", "no score"),
        ("Overall: 7,5", "no score"),
        ("Overall: 80%", "no score"),
        ("Overall: .", "no score"),
        ("Overall: good", "no score"),
        ("Overall:\n5. That is all", "no score"),
        ("The overall: 5", "no score"),
        ("Overall: 5\nOverall: 6", "several"),
    ],
)
def test_a_score_that_is_not_plain_is_an_error(line: str, why: str) -> None:
    found = scores(f"Explanation: 7\nSolution: 3\n{line}", PARTS, "Overall")
    assert found.value is None
    assert not found.parts
    assert found.error is not None
    assert why in found.error
    assert "overall" in found.error
