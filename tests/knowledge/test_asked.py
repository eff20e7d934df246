"""Questions from the field's files: which columns are read, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from repalign.errors import InputError
from repalign.examples import Example
from repalign.knowledge import asked


def written(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_capitals_are_asked_of_countries_with_aliases() -> None:
    found = {one.words: one for one in asked("capitals")}
    kyiv = found["What is the capital of Ukraine?"]
    assert kyiv.right == ("Kyiv", "Kiev")
    assert len(kyiv.wrong) == 1
    assert not set(kyiv.wrong) & set(kyiv.right or ())
    # Each capital is a wrong answer to one other country.
    assert {one.wrong[0] for one in found.values()} == {
        one.right[0] for one in found.values() if one.right
    }


def test_answers_of_columns_in_the_plural_stand_between_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "Question,Best Answer,Correct Answers,Incorrect Answers\nWho?,Ann,Ann; Anne ;,Bob; Carl\n"
    )
    (one,) = asked(path)
    assert one.right == ("Ann", "Anne")
    assert one.wrong == ("Bob", "Carl")


def test_a_semicolon_in_a_column_in_the_singular_is_part_of_the_answer(tmp_path: Path) -> None:
    (one,) = asked(written(tmp_path / "q.json", [{"question": "What?", "answer": "a; b"}]))
    assert one.right == ("a; b",)


def test_objects_under_names_are_rows(tmp_path: Path) -> None:
    rows = {"x1": {"question": " Where is it? ", "answer": "Here", "false_answer": "There"}}
    (one,) = asked(written(tmp_path / "q.json", rows))
    assert (one.words, one.right, one.wrong) == ("Where is it?", ("Here",), ("There",))


def test_targets_with_marks_are_right_and_wrong_answers(tmp_path: Path) -> None:
    rows = [{"question": "Who?", "mc2_targets": {"Ann": 1, "Bob": 0, "Anne": 1}}]
    (one,) = asked(written(tmp_path / "q.json", rows))
    assert (one.right, one.wrong) == (("Ann", "Anne"), ("Bob",))


def test_what_nobody_can_know_has_no_right_answer_whatever_the_file_says(tmp_path: Path) -> None:
    path = written(tmp_path / "q.json", [{"question": "Who?", "answer": "Ann"}])
    assert asked(path)[0].right == ("Ann",)
    assert asked(path, knowable=False)[0].right is None
    only = written(tmp_path / "only.json", [{"question": "Who?"}])
    assert asked(only, knowable=False)[0].right is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"query": "Who?", "answer": "Ann"}], "no column `question`; its columns are query, answ"),
        ([{"question": "Who?", "label": 1}], "no column `answer`"),
        ([{"question": "Who?", "answer": "Ann"}, {"question": "When?"}], "row 2: `answer` is miss"),
        ([{"question": "Who?", "answer": 3}], "row 1: `answer` is a text, a list of texts"),
        ([{"question": "Who?", "answer": []}], "row 1: `answer` is a text, a list of texts"),
        ([{"question": " ", "answer": "Ann"}], "row 1: a question is a text with words"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_its_place(
    tmp_path: Path, rows: Any, said: str
) -> None:
    with pytest.raises(InputError) as refusal:
        asked(written(tmp_path / "q.json", rows))
    assert said in str(refusal.value)


def test_questions_of_a_topic_come_once_each_with_their_answer() -> None:
    found = asked("cities")
    assert len({one.words for one in found}) == len(found) >= 200
    assert all(one.right and len(one.right) == 1 for one in found)
    assert all(len(one.prompt.messages) == 1 for one in found)
    assert all(one.right is None for one in asked("invented"))


def test_questions_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(
        '{"question": "Who?", "answer": ["Ada", "Lovelace"], "group": "g"}\n\n'
        '{"question": "Where?", "answer": "here"}\n{"question": "When?", "answer": null}\n'
        '{"question": "Where?", "answer": "here"}\n'
    )
    found = asked(path)
    assert [one.right for one in found] == [("Ada", "Lovelace"), ("here",), None]
    assert [one.prompt.group for one in found] == ["g", "Where?", "When?"]
    assert asked(str(path)) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("{", "line 1 cannot be read as a JSON"),
        ("[1]", "line 1 is .1., not an object"),
        ('{"answer": "x"}', "no column `question`"),
        ('{"question": " ", "answer": "x"}', "with words"),
        ('{"question": "Who?", "answer": []}', "a list of texts"),
        ('{"question": "Who?", "answer": [""]}', "a list of texts"),
        ('{"question": "Who?", "answer": 3}', "3 was given"),
        ('{"question": "Q", "answer": "a"}\n{"question": "Q", "answer": "b"}', "comes twice"),
    ],
)
def test_files_that_hold_no_questions_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        asked(path)


def test_a_missing_file_and_examples_without_answers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="built-in topic"):
        asked(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="names no right answer"):
        asked([Example.of_chat("Who?")])


def test_an_answer_without_a_letter_or_digit_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        {"question": "Who?", "answer": ["---"]},
        {"question": "When?", "answer": ["---", "1969"]},
    ]
    (one,) = asked(written(tmp_path / "q.json", rows))
    assert (one.words, one.right) == ("When?", ("1969",))
    assert "row 1 is left out" in caplog.text
