"""Kept: answers stay on disk, and only answers to the same questions are taken."""

import json
from pathlib import Path
from typing import Any

import pytest

from repalign.answering.kept import Kept
from repalign.errors import InputError

WHAT = {"model": "m", "temperature": 1.0, "together": (1, 2)}


def rows(*places: int) -> list[dict[str, Any]]:
    return [{"prompt": str(place), "text": f"answer {place} é"} for place in places]


def test_what_was_kept_is_there_when_the_same_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "made" / "on the way" / "answers.jsonl"
    kept = Kept(path, WHAT)
    assert kept.rows == {}
    kept.add(rows(4, 0))
    kept.add(rows(2))
    assert kept.rows == Kept(path, WHAT).rows == {row["prompt"]: row for row in rows(0, 2, 4)}
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert lines[0]["model"] == "m"
    assert lines[1:] == [rows(4, 0), rows(2)]


def test_other_answers_are_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "a"
    Kept(path, WHAT).add(rows(1))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"temperature: 1\.0 there, 2\.0 here") as caught:
        Kept(path, {**WHAT, "temperature": 2.0})
    assert "model" not in str(caught.value)
    with pytest.raises(InputError, match="seed: nothing there, 3 here"):
        Kept(path, {**WHAT, "seed": 3})
    with pytest.raises(InputError, match="model: m there, nothing here"):
        Kept(path, {name: WHAT[name] for name in ("temperature", "together")})
    assert path.read_bytes() == before


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    for content in ("my notes\nof a year\n", '{"format": "repalign-activations-1"}\n', "draft"):
        path.write_text(content)
        with pytest.raises(InputError, match=r"begins with format .*'repalign-answers-1'"):
            Kept(path, WHAT)
        assert path.read_text() == content


def test_a_place_that_cannot_hold_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file" / "a"):
        with pytest.raises(InputError, match=r"cannot hold answers: .* Give another file"):
            Kept(path, WHAT)


@pytest.mark.parametrize(
    "harm",
    [b"\0" * 9, b'[{"prompt": "1", "te', b"7", b"[7]", b'[{"text": ""}]', b'{"prompt": "1"}'],
)
def test_prompts_of_a_damaged_line_are_asked_again(
    tmp_path: Path, harm: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a"
    kept = Kept(path, WHAT)
    for place in range(3):
        kept.add(rows(place))
    parts = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*parts[:2], harm, *parts[3:]]) + b"\n")
    again = Kept(path, WHAT)
    assert sorted(again.rows) == ["0", "2"]
    assert "holds a damaged line" in caplog.text
    again.add(rows(1))
    assert sorted(Kept(path, WHAT).rows) == ["0", "1", "2"]


def test_a_torn_batch_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    Kept(path, WHAT).add(rows(0))
    whole = path.read_bytes()
    path.write_bytes(whole + b'[{"prompt": "1", "text": "answ')
    again = Kept(path, WHAT)
    assert sorted(again.rows) == ["0"]
    again.add(rows(1))
    assert path.read_bytes().startswith(whole)
    assert sorted(Kept(path, WHAT).rows) == ["0", "1"]


def test_two_that_write_one_file_see_each_others_answers(tmp_path: Path) -> None:
    one, other = Kept(tmp_path / "a", WHAT), Kept(tmp_path / "a", WHAT)
    one.add(rows(0))
    other.add(rows(1))
    assert sorted(other.rows) == ["0", "1"]
    assert sorted(one.rows) == ["0"]
    one.refresh()
    assert one.rows == other.rows == Kept(tmp_path / "a", WHAT).rows


def test_rows_without_a_key_are_a_mistake(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "a", WHAT)
    for bad in ([{"text": "x"}], [{"prompt": 1}]):
        with pytest.raises((TypeError, KeyError)):
            kept.add(bad)
    assert Kept(tmp_path / "a", WHAT).rows == {}
