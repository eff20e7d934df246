"""A user's own data: what is read, and what each mistake is answered with."""

import csv
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repalign.datasets import card_of, fingerprint, load, names
from repalign.errors import InputError, MissingExtraError
from repalign.examples import Example, Message

Row = dict[str, Any]
STATEMENTS: list[Row] = [
    {"statement": "Two is smaller than nine.", "label": 1, "group": "2<9", "topic": "numbers"},
    {"statement": 'Nine is "smaller" than two.', "label": 0, "group": "2<9", "topic": "numbers"},
    {"statement": "Lead, the metal, floats.", "label": 0, "group": "lead", "topic": "metals"},
    {"statement": "Cork floats.\nIt is light.", "label": 1, "group": "cork", "topic": "things"},
]
CHATS: list[Row] = [
    {"system": "Be brief.", "prompt": "Is 2 < 9?", "response": "Yes.", "label": 1, "source": "a"},
    {"system": "", "prompt": "Is 9 < 2?", "response": "Yes.", "label": 0, "source": "b"},
    {"system": "", "prompt": "Is 3 < 4?", "response": "No.", "label": 0, "source": "c"},
    {"system": "", "prompt": "Is 5 < 4?", "response": "No.", "label": 1, "source": "d"},
]


def save(path: Path, rows: Sequence[Row]) -> Path:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if path.suffix in (".csv", ".tsv"):
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, delimiter="," if path.suffix == ".csv" else "\t")
            writer.writeheader()
            for row in rows:
                nested = {k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()}
                writer.writerow(nested)
    elif path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(list(rows)), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def text_file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def message_of(path: Path | str, **options: Any) -> str:
    with pytest.raises(InputError) as raised:
        load(path, **options)
    return str(raised.value)


FORMATS = ("csv", "tsv", "jsonl", "json", "parquet")


@pytest.mark.parametrize("suffix", FORMATS)
def test_statements_read_alike_from_every_format(tmp_path: Path, suffix: str) -> None:
    examples = load(save(tmp_path / f"facts.{suffix}", STATEMENTS))
    assert examples == [
        Example.of_text("Two is smaller than nine.", 1, "2<9", topic="numbers"),
        Example.of_text('Nine is "smaller" than two.', 0, "2<9", topic="numbers"),
        Example.of_text("Lead, the metal, floats.", 0, "lead", topic="metals"),
        Example.of_text("Cork floats.\nIt is light.", 1, "cork", topic="things"),
    ]


@pytest.mark.parametrize("suffix", FORMATS)
def test_chats_read_alike_from_every_format(tmp_path: Path, suffix: str) -> None:
    examples = load(save(tmp_path / f"asked.{suffix}", CHATS))
    assert examples[0].messages == (
        Message("system", "Be brief."),
        Message("user", "Is 2 < 9?"),
        Message("assistant", "Yes."),
    )
    assert [message.role for message in examples[1].messages] == ["user", "assistant"]
    assert [example.label for example in examples] == [1, 0, 0, 1]
    assert dict(examples[2].meta) == {"topic": "asked", "source": "c"}
    assert fingerprint(examples) == fingerprint(load(save(tmp_path / "asked.jsonl", CHATS)))


@pytest.mark.parametrize("suffix", FORMATS)
def test_messages_read_alike_from_every_format(tmp_path: Path, suffix: str) -> None:
    turns = [{"role": "user", "content": "Is 2 < 9?"}, {"role": "assistant", "content": "Yes."}]
    rows: list[Row] = [{"messages": turns, "label": label} for label in (1, 0, 1, 0)]
    examples = load(save(tmp_path / f"talk.{suffix}", rows))
    assert examples[1].messages == (Message("user", "Is 2 < 9?"), Message("assistant", "Yes."))
    assert [example.label for example in examples] == [1, 0, 1, 0]


def test_rows_without_group_stand_alone_except_identical_texts(tmp_path: Path) -> None:
    table = "statement,label,group\nA a.,1,\nB b.,0,  \nA a.,1,\nC c.,0,named\n"
    groups = [example.group for example in load(text_file(tmp_path, "a.csv", table))]
    assert groups[0] == groups[2]
    assert len(set(groups)) == 3
    assert groups[3] == "named"
    elsewhere = load(text_file(tmp_path, "b.csv", "statement\nB b.\n"), require_labels=False)
    assert elsewhere[0].group == groups[1], "the same text in another file must not be split off"


@pytest.mark.parametrize(
    ("true", "false"),
    [(1, 0), ("1", "0"), (1.0, 0.0), (True, False), ("true", "FALSE"), (" 1.0 ", "0.0")],
)
def test_ways_to_write_a_label(tmp_path: Path, true: Any, false: Any) -> None:
    rows = [{"statement": f"S {i}.", "label": true if i % 2 else false} for i in range(4)]
    for suffix in FORMATS:
        examples = load(save(tmp_path / f"ways.{suffix}", rows))
        assert [example.label for example in examples] == [0, 1, 0, 1]
        assert all(type(example.label) is int for example in examples)


def test_byte_order_mark_blank_lines_and_index_column(tmp_path: Path) -> None:
    content = "\ufeff,statement, label\n0,A.,1\n\n1,B.,0\n2,C.,1\n3,D.,0\n\n\n"
    examples = load(text_file(tmp_path, "index.csv", content))
    assert [(example.text, example.label) for example in examples] == [
        ("A.", 1),
        ("B.", 0),
        ("C.", 1),
        ("D.", 0),
    ]
    assert all(dict(example.meta) == {"topic": "index"} for example in examples)


def test_other_columns_go_to_meta_as_text(tmp_path: Path) -> None:
    extra: Row = {"polarity": "negated", "n": 3, "empty": None, "list": [1, "ü"], "half": 0.5}
    rows = [{**row, **extra} for row in STATEMENTS]
    meta = load(save(tmp_path / "m.jsonl", rows))[0].meta
    assert dict(meta) == {
        "topic": "numbers",
        "polarity": "negated",
        "n": "3",
        "list": '[1, "ü"]',
        "half": "0.5",
    }


def test_numeric_polarity_is_translated(tmp_path: Path) -> None:
    table = "statement,label,polarity\nA.,1,1\nB.,0,-1\nC.,1,\nD.,0,affirmed\n"
    examples = load(text_file(tmp_path, "p.csv", table))
    assert [example.polarity for example in examples] == [1, -1, 0, 1]
    wrong = message_of(text_file(tmp_path, "q.csv", table.replace("-1", "positive")))
    assert "'positive' (line 3)" in wrong
    assert "affirmed or negated" in wrong


def test_long_cells_are_read(tmp_path: Path) -> None:
    long = "word " * 40_000
    table = f"statement,label\n{long},1\nB.,0\nC.,1\nD.,0\n"
    limit = csv.field_size_limit()
    assert load(text_file(tmp_path, "long.csv", table))[0].text == long
    assert csv.field_size_limit() == limit


def test_texts_to_be_scored_need_no_label(tmp_path: Path) -> None:
    path = text_file(tmp_path, "new.csv", "statement\n2\nB.\n")
    assert [(e.text, e.label) for e in load(path, require_labels=False)] == [
        ("2", None),
        ("B.", None),
    ]
    part = text_file(tmp_path, "part.csv", "statement,label\nA.,1\nB.,\n")
    assert [e.label for e in load(part, require_labels=False)] == [1, None]
    assert "no label (line 3)" in message_of(part)
    wrong = text_file(tmp_path, "wrong.csv", "statement,label\nA.,5\n")
    assert "'5' (line 2)" in message_of(wrong, require_labels=False)


PADDING = "P.,1\nQ.,0\nR.,1\nS.,0\n"
BAD_CSV = {
    "empty": ("", ["0 bytes"]),
    "header alone": ("statement,label\n", ["no rows"]),
    "no columns": ("claim,truth\nA.,1\n", ["'statement'", "claim, truth", "statement,label"]),
    "no label": ("statement,truth\nA.,1\n", ["no column 'label'", "statement, truth"]),
    "capitals": ("Statement,label\nA.,1\n", ["Rename 'Statement' to 'statement'"]),
    "semicolons": ("statement;label\nA.;1\n", ["separated by ';'", "save the file with commas"]),
    "two layouts": ("statement,prompt,response,label\nA,B,C,1\n", ["more than one way", "rename"]),
    "system": ("statement,system,label\nA.,B.,1\n", ["'system'", "prompt,response"]),
    "twice": ("statement,label,label\nA.,1,0\n", ["more than one column 'label'", "Rename"]),
    "one class": ("statement,label\nA.,1\nB.,1\nC.,1\nD.,1\n", ["all 4 rows have label 1", "add"]),
    "two rows": ("statement,label\nA.,1\nB.,0\n", ["2 rows", "at least 4"]),
    "empty text": (f"statement,label\n,1\n{PADDING}  ,0\n", ["empty (lines 2 and 7)", "delete"]),
    "labels": (
        f"statement,label\nA.,2\n{PADDING}B.,yes\nC.,2\n",
        ["'2' (lines 2 and 8)", "'yes' (line 7)", "1 (honest, true) or 0", "Change"],
    ),
    "ragged": (
        "statement,label\nA, B.,1\nC.,0\n",
        ["2 columns", "but line 2 has 3.", "double quotes"],
    ),
    "short rows": (
        f"statement,label\n{PADDING}A.\nB.\n",
        ["line 6 has 1 (2 rows differ)", "fill in"],
    ),
    "open quote": (
        f'statement,label\n{PADDING}"A.,1\nB.,0\n',
        ["begins on line 6", "double quotes"],
    ),
    "quote inside": (f'statement,label\n"A" a.,1\n{PADDING}', ["begins on line 2", "doubled"]),
    "no reply": ("prompt,response,label\nA?,,1\nB?,C.,0\n", ["'response' is empty (line 2)"]),
    "messages": ("messages,label\nhello,1\n", ["'messages' is not JSON", "line 2"]),
}


@pytest.mark.parametrize("name", BAD_CSV)
def test_bad_csv_is_named_with_rows_and_remedy(tmp_path: Path, name: str) -> None:
    content, expected = BAD_CSV[name]
    path = text_file(tmp_path, "bad.csv", content)
    said = message_of(path)
    assert said.startswith(str(path))
    for words in expected:
        assert words in said


def test_line_numbers_count_lines_inside_quoted_cells(tmp_path: Path) -> None:
    table = f'statement,label\n"A\nb\nc.",1\n{PADDING}B.,maybe\n'
    assert "'maybe' (line 9)" in message_of(text_file(tmp_path, "q.csv", table))


def test_many_rows_are_counted_not_listed(tmp_path: Path) -> None:
    table = "statement,label\n" + "A.,x\n" * 30
    assert "lines 2, 3, 4, 5, 6 and 25 more" in message_of(text_file(tmp_path, "x.csv", table))


def test_encodings_are_named_by_offset(tmp_path: Path) -> None:
    content = "statement,label\nCafé.,1\n".encode("latin-1")
    said = message_of(text_file(tmp_path, "latin.csv", content))
    assert "byte 0xe9 at offset 19 (line 2)" in said
    assert "iconv" in said
    assert "UTF-16" in message_of(text_file(tmp_path, "wide.csv", "statement".encode("utf-16")))
    marked = b"\xef\xbb\xbfstatement,label\nCaf\xe9.,1\n"
    assert "offset 22" in message_of(text_file(tmp_path, "marked.csv", marked))


BAD_JSONL = {
    "broken": ('{"statement": "A.", "label": 1}\n\n{"statement": "B."', ["line 3", "JSON object"]),
    "not object": ('{"statement": "A.", "label": 1}\n["B.", 0]\n', ["line 2", "not an object"]),
    "key twice": (
        '{"statement": "A.", "label": 1, "label": 0}\n',
        ["line 1", "'label' occurs twice"],
    ),
    "number": ('{"statement": 7, "label": 1}\n', ["'statement' is a number, not text (line 1)"]),
    "null": ('{"statement": null, "label": 1}\n', ["'statement' is empty (line 1)"]),
    "nan": ('{"statement": NaN, "label": 1}\n', ["'statement' is empty (line 1)"]),
    "absent": (
        '{"statement": "A.", "label": 1}\n{"label": 1}\n',
        ["'statement' is empty (line 2)"],
    ),
    "list": ('{"statement": ["A."], "label": 1}\n', ["a list, not text (line 1)"]),
    "surrogate": ('{"statement": "A \\ud800", "label": 1}\n', ["surrogate", "line 1"]),
    "role": (
        '{"messages": [{"role": "human", "content": "A?"}], "label": 1}\n',
        ["'human'", "user", "line 1"],
    ),
    "tool call": (
        '{"messages": [{"role": "user", "content": "A?", "tool_calls": [1]}], "label": 1}\n',
        ["tool_calls", "only role and content", "line 1"],
    ),
    "content": (
        '{"messages": [{"role": "user", "content": [{"text": "A?"}]}], "label": 1}\n',
        ["a list as content", "line 1"],
    ),
    "label list": ('{"statement": "A.", "label": [1]}\n', ["[1] (line 1)"]),
}


@pytest.mark.parametrize("name", BAD_JSONL)
def test_bad_jsonl_is_named_with_line(tmp_path: Path, name: str) -> None:
    content, expected = BAD_JSONL[name]
    path = text_file(tmp_path, "bad.jsonl", content)
    said = message_of(path)
    assert said.startswith(str(path))
    for words in expected:
        assert words in said


def test_json_must_be_a_list(tmp_path: Path) -> None:
    lines = '{"statement": "A.", "label": 1}\n{"statement": "B.", "label": 0}\n'
    assert ".jsonl" in message_of(text_file(tmp_path, "lines.json", lines))
    assert "not a list" in message_of(text_file(tmp_path, "one.json", '{"statement": "A."}'))
    assert "row 2 is 3" in message_of(text_file(tmp_path, "mix.json", '[{"statement": "A."}, 3]'))


def test_bad_parquet_is_named_with_row(tmp_path: Path) -> None:
    rows: list[Row] = [{"statement": text, "label": 1} for text in ("A.", None, "C.", None)]
    assert "'statement' is empty (rows 2 and 4)" in message_of(save(tmp_path / "n.parquet", rows))
    numbers: list[Row] = [{"statement": float(i), "label": i % 2} for i in range(4)]
    said = message_of(save(tmp_path / "f.parquet", numbers))
    assert "a number, not text (rows 1, 2, 3 and 4)" in said
    assert "as Parquet" in message_of(text_file(tmp_path, "t.parquet", "statement,label\n"))


def test_parquet_without_pyarrow_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = text_file(tmp_path, "a.parquet", "PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="pip install pyarrow"):
        load(path)


def test_missing_files_name_their_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "cities.csv", STATEMENTS)
    monkeypatch.chdir(tmp_path)
    assert "Did you mean cities.csv?" in message_of("citties.csv")
    assert "cities.csv" in message_of("./other.jsonl")
    assert "There is no file cities.xlsx. Did you mean cities.csv?" in message_of("cities.xlsx")
    assert "does not exist either" in message_of("no/such/folder.csv")
    assert "is a folder" in message_of(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    said = message_of("notes.txt")
    assert "'.txt'" in said
    assert ".parquet" in said


def test_unknown_names_are_answered_with_the_nearest() -> None:
    first = names()[0]
    said = message_of(first + "x")
    assert f"Did you mean {first!r}" in said
    assert "owner/name" in said
    with pytest.raises(InputError, match="Did you mean"):
        card_of(first + "x")
    with pytest.raises(InputError, match="hub_split"):
        load(first, hub_split="train")


def test_builtin_names_load_with_their_card() -> None:
    assert "cities" in names()
    examples = load("cities")
    assert {example.label for example in examples} == {0, 1}
    assert card_of("cities").licence
    assert fingerprint(examples) == fingerprint(load("cities"))


class FakeSplit(list[Row]):
    column_names = ("statement", "label")
    features: dict[str, Any] = {}  # noqa: RUF012


def hub(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[tuple[str, Any, Any]]:
    """Stand in for the package `datasets`; returns the calls it gets."""
    calls: list[tuple[str, Any, Any]] = []

    def load_dataset(path: str, name: Any = None, split: Any = None) -> Any:
        calls.append((path, name, split))
        if isinstance(answer, Exception):
            raise answer
        return answer[split] if split else answer

    exceptions = SimpleNamespace(DatasetsError=type("DatasetsError", (Exception,), {}))
    module = SimpleNamespace(load_dataset=load_dataset, exceptions=exceptions)
    monkeypatch.setitem(sys.modules, "datasets", module)
    return calls


def test_hub_names_state_config_and_split(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = FakeSplit({"statement": f"S {i}.", "label": i % 2} for i in range(4))
    calls = hub(monkeypatch, {"train": rows, "test": rows})
    assert [example.label for example in load("owner/facts:train")] == [0, 1, 0, 1]
    assert load("owner/facts:en:test")[0].topic == "facts"
    load("owner/facts", hub_config="en", hub_split="train")
    assert calls == [
        ("owner/facts", None, "train"),
        ("owner/facts", "en", "test"),
        ("owner/facts", "en", "train"),
    ]
    assert "splits train, test" in message_of("owner/facts")
    hub(monkeypatch, {"train": rows})
    assert len(load("owner/facts")) == 4


def test_class_names_of_the_hub_decide_what_a_label_means(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = FakeSplit({"statement": f"S {i}.", "label": i % 2} for i in range(4))
    rows.features = {"label": SimpleNamespace(names=["True", "False"])}
    hub(monkeypatch, {"train": rows})
    assert [example.label for example in load("owner/reversed")] == [1, 0, 1, 0]
    rows.features = {"label": SimpleNamespace(names=["lie", "truth"])}
    examples = load("owner/named")
    assert [example.label for example in examples] == [0, 1, 0, 1]
    assert [example.meta["label_name"] for example in examples] == ["lie", "truth"] * 2


def test_hub_failures_say_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, ConnectionError("no route"))
    said = message_of("owner/facts:train")
    for words in ("load_dataset('owner/facts'", "split='train'", "no route", "network"):
        assert words in said
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match="pip install datasets"):
        load("owner/facts")


def rest_of(row: Row) -> dict[str, str]:
    return {key: row[key] for key in ("topic", "note", "polarity") if key in row}


CONTENT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
ROWS = st.fixed_dictionaries(
    {"statement": CONTENT, "label": st.sampled_from([0, 1]), "group": CONTENT, "topic": CONTENT},
    optional={"note": CONTENT, "polarity": st.sampled_from(["affirmed", "negated"])},
)
REUSED_FOLDER = [HealthCheck.function_scoped_fixture]  # each example overwrites the file


@settings(max_examples=60, deadline=None, suppress_health_check=REUSED_FOLDER)
@given(st.lists(ROWS, min_size=1, max_size=6))
def test_any_texts_written_as_jsonl_load_back_equal(tmp_path: Path, rows: list[Row]) -> None:
    # The examples are made here, not in the strategy: beartype draws random numbers in the call.
    examples = [
        Example((Message("text", row["statement"]),), row["label"], row["group"], rest_of(row))
        for row in rows
    ]
    for raw in (True, False):
        lines = [json.dumps(row, ensure_ascii=raw) for row in rows]
        path = text_file(tmp_path, "any.jsonl", "\n".join(lines))
        loaded = load(path, require_labels=False)
        assert loaded == examples
        assert fingerprint(loaded) == fingerprint(examples)


def test_fingerprint_is_the_stated_hash_and_sees_order_label_and_group() -> None:
    one = Example.of_text("Zwölf.", 1, "g")
    two = Example.of_chat("Is it?", "Yes.", 0, "h")
    canonical = (
        '[[["text","Zw\\u00f6lf."]],1,"g"]\n[[["user","Is it?"],["assistant","Yes."]],0,"h"]\n'
    )
    assert fingerprint([one, two]) == hashlib.sha256(canonical.encode()).hexdigest()
    assert fingerprint([one]) == fingerprint([Example.of_text("Zwölf.", 1, "g", topic="t")])
    others = [
        [two, one],
        [one],
        [one, Example(two.messages, 1, "h")],
        [one, Example(two.messages, 0, "i", MappingProxyType({}))],
    ]
    assert fingerprint([one, two]) not in {fingerprint(other) for other in others}
