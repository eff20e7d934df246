"""Lines: many may add to a file, and what was added is there whole, whatever happened since."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from repalign.errors import InputError
from repalign.storage import Lines, differences, digest, locks, plain

HEADER = {"format": "numbers-1", "of": "Zoë"}


def number(held: Any) -> int:
    if not isinstance(held, dict):
        raise TypeError
    return int(held["n"])


def test_records_come_once_each_in_order_also_those_of_others(tmp_path: Path) -> None:
    one, other = (Lines(tmp_path / "f", HEADER) for _ in range(2))
    one.append({"n": 1})
    other.append({"n": 2})
    assert other.new(number) == [1, 2]
    one.append({"n": 3})
    assert one.new(number) == [1, 2, 3]
    assert (one.new(number), other.new(number)) == ([], [3])
    lines = (tmp_path / "f").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [HEADER, {"n": 1}, {"n": 2}, {"n": 3}]
    assert "Zoë" in lines[0]


def test_processes_add_to_one_file_and_no_line_is_lost_or_torn(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from repalign.storage import Lines\n"
        f"file = Lines(Path(sys.argv[1]), {HEADER!r})\n"
        "for n in range(100): file.append({'n': n, 'who': sys.argv[2], 'long': 'x' * 5000})\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "f")]
    running = [subprocess.Popen([*command, who]) for who in "abc"]
    assert [one.wait(60) for one in running] == [0, 0, 0]
    found = Lines(tmp_path / "f", HEADER).new(lambda held: (held["who"], held["n"]))
    assert sorted(found) == [(who, n) for who in "abc" for n in range(100)]
    assert [n for who, n in found if who == "b"] == list(range(100))


def test_of_many_that_begin_a_file_one_writes_the_header(tmp_path: Path) -> None:
    calls: list[int] = []
    together = threading.Barrier(8)

    def begin() -> None:
        together.wait()
        Lines(tmp_path / "f", HEADER, lambda: calls.append(1)).append({"n": 0})

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1]
    assert Lines(tmp_path / "f", HEADER, lambda: calls.append(1)).new(number) == [0] * 8
    assert calls == [1]


def test_what_was_torn_is_passed_over_and_cut_by_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "f"
    Lines(path, HEADER).append({"n": 1})
    whole = path.read_bytes()
    for torn in (b'{"n": 2', b'{"n": 2}', b"\0" * 5000):
        path.write_bytes(whole + torn)
        file = Lines(path, HEADER)
        assert file.new(number) == [1]
        assert path.read_bytes() == whole + torn
        file.append({"n": 3})
        assert path.read_bytes() == whole + b'{"n": 3}\n'
        assert file.new(number) == [3]


@pytest.mark.parametrize("harm", [b"\0\0\0", b'{"n": ', b"7", b'{"m": 1}', b'{"n": "x"}', b""])
def test_a_damaged_line_costs_itself_alone(
    tmp_path: Path, harm: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "f"
    file = Lines(path, HEADER)
    for n in range(3):
        file.append({"n": n})
    parts = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*parts[:2], harm, *parts[3:]]) + b"\n")
    assert Lines(path, HEADER).new(number) == [0, 2]
    assert "holds a damaged line, which is passed over" in caplog.text


def test_a_header_that_was_torn_is_written_anew_and_a_foreign_file_is_left_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "f"
    Lines(path, HEADER)
    whole = path.read_bytes()
    for size in (0, 3, 20, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert Lines.open(path, "numbers-1") is None
        assert path.read_bytes() == whole[:size]
        Lines(path, HEADER)
        assert path.read_bytes() == whole
    for content in (b"mine", b"mine\n", b'{"format": "numbers-2"}\n', b"[1]\n", b"\xff\xfe\n"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"begins with format .* reads 'numbers-1' there"):
            Lines(path, HEADER)
        assert path.read_bytes() == content
    with pytest.raises(InputError, match="begins with format None"):
        Lines.open(path, "numbers-1")
    assert Lines.open(tmp_path / "none", "numbers-1") is None
    assert not (tmp_path / "none").exists()


def test_the_header_that_is_there_stays_and_is_given(tmp_path: Path) -> None:
    Lines(tmp_path / "f", HEADER)
    assert Lines(tmp_path / "f", {**HEADER, "of": "another"}).header == HEADER
    opened = Lines.open(tmp_path / "f", "numbers-1")
    assert opened is not None
    assert opened.header == HEADER


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_what_cannot_be_written_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    file = Lines(tmp_path / "f", HEADER)
    file.append({"n": 1})
    before = (tmp_path / "f").read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        with pytest.raises(OSError, match="No space left"):
            file.append({"n": 2})
    assert (tmp_path / "f").read_bytes() == before
    with pytest.raises(ValueError, match="not JSON compliant"):
        file.append({"n": float("nan")})
    file.append({"n": 3})
    assert file.new(number) == [1, 3]


def test_a_file_that_was_removed_or_cut_is_not_filled_with_holes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    file = Lines(path, HEADER)
    file.append({"n": 1})
    assert file.new(number) == [1]
    path.unlink()
    with pytest.raises(InputError, match="was removed or cut"):
        file.new(number)
    with pytest.raises(InputError, match="was removed or cut"):
        file.append({"n": 2})
    assert path.read_bytes() == b""


def test_a_file_system_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def none(_handle: int, what: int) -> None:
        if what & fcntl.LOCK_EX:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(InputError, match=r"has no file locks .* could not share f there"):
        Lines(tmp_path / "f", HEADER)
    monkeypatch.setattr(locks.sys, "platform", "win32")
    with pytest.raises(InputError, match="On Windows use WSL, or keep nothing on disk"):
        Lines(tmp_path / "f", HEADER)


def test_differences_name_what_differs_and_both_values() -> None:
    here = {"a": 1, "b": "x", "c": [1, 2]}
    assert differences(here, plain({**here, "c": (1, 2)})) == []
    assert differences({"a": 1, "b": "y", "d": 0}, here) == [
        "b: y there, x here",
        "c: nothing there, [1, 2] here",
        "d: 0 there, nothing here",
    ]
    (found,) = differences({"a": "x" * 500}, {"a": 1})
    assert "(500 characters) there, 1 here" in found
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 1})
