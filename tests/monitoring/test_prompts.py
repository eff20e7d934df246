import json
from pathlib import Path
from typing import Any

import pytest

from repalign import datasets
from repalign.errors import InputError
from repalign.monitoring.prompts import is_answered, read_prompts


def lines(path: Path, *rows: dict[str, Any] | str) -> str:
    texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(texts) + "\n")
    return str(path)


def test_prompts_with_and_without_responses_stand_in_one_file(tmp_path: Path) -> None:
    name = lines(
        tmp_path / "asked.jsonl",
        {"prompt": "Is it?", "group": "g", "knows": True},
        {"prompt": "Who?", "response": "Me.", "system": "Be brief.", "label": 0},
        {"prompt": "Why?", "response": None},
        {"prompt": "When?", "response": "  "},
    )
    found = read_prompts(name)
    assert [[m.role for m in one.messages] for one in found] == [
        ["user"],
        ["system", "user", "assistant"],
        ["user"],
        ["user"],
    ]
    assert [is_answered(one) for one in found] == [False, True, False, False]
    assert (found[0].group, found[0].meta["knows"], found[0].topic) == ("g", "true", "asked")
    assert [one.label for one in found] == [None, 0, None, None]


def test_tables_and_conversations_are_read_too(tmp_path: Path) -> None:
    table = tmp_path / "asked.csv"
    table.write_text('prompt,response\n"Is it, now?",\nWho?,Me.\n')
    assert [is_answered(one) for one in read_prompts(str(table))] == [False, True]
    turns = [{"role": "user", "content": "Is it?"}]
    name = lines(tmp_path / "talks.jsonl", {"messages": turns})
    assert [one.text for one in read_prompts(name)] == ["Is it?"]
    assert read_prompts("benign") == datasets.load("benign")


@pytest.mark.parametrize("cell", ["", "  ", None, 3, ["a"]])
def test_rows_without_a_prompt_are_named_by_their_line(tmp_path: Path, cell: Any) -> None:
    name = lines(tmp_path / "asked.jsonl", {"prompt": "Is it?"}, "", {"prompt": cell})
    with pytest.raises(InputError, match=r"line 3"):
        read_prompts(name)


def test_a_response_that_is_no_text_is_named_by_its_line(tmp_path: Path) -> None:
    name = lines(tmp_path / "asked.jsonl", {"prompt": "Is it?"}, {"prompt": "Who?", "response": 3})
    with pytest.raises(InputError, match=r"no text \(line 2\)"):
        read_prompts(name)


def test_a_broken_line_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2"):
        read_prompts(lines(tmp_path / "asked.jsonl", {"prompt": "Is it?"}, '{"prompt": '))
    with pytest.raises(InputError, match="no file"):
        read_prompts(str(tmp_path / "none.jsonl"))
