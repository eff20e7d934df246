"""Storage: files are whole or not there, and nothing that can run code is opened."""

import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from repalign import storage
from repalign.errors import InputError


class Crash(BaseException):
    """Stands for a power cut or Ctrl-C: no `except Exception` sees it."""


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_crash_while_writing_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def crash(*_: object) -> None:
        raise Crash

    path = tmp_path / "record.json"
    storage.write_json(path, {"state": "old"})
    monkeypatch.setattr(os, step, crash)
    with pytest.raises(Crash):
        storage.write_json(path, {"state": "new"})
    assert storage.read_json(path) == {"state": "old"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


def test_json_comes_back_and_is_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "made" / "on" / "the way.json"
    value = {"b": [1, 2.5, None], "a": {"text": "Ünïcode ≤"}}
    storage.write_json(path, value)
    assert storage.read_json(path) == value
    assert list(json.loads(path.read_text("utf-8"))) == ["b", "a"]
    assert "Ünïcode ≤" in path.read_text("utf-8")
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_lacks_are_refused_and_the_old_file_stays(
    tmp_path: Path, value: float
) -> None:
    path = tmp_path / "record.json"
    storage.write_json(path, [1])
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(path, [value])
    assert storage.read_json(path) == [1]


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b""])
def test_a_broken_json_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"record\.json is not a JSON file"):
        storage.read_json(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "gone.json", tmp_path / "file" / "gone.json"):
        with pytest.raises(InputError, match=r"gone\.json does not exist"):
            storage.read_json(path)
    with pytest.raises(InputError, match="does not exist"):
        storage.read_tensors(tmp_path / "gone.safetensors")


def test_tensors_come_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    wanted = {
        "small": np.array([1e-45, -0.0, np.pi], dtype=np.float32),
        "turned": np.arange(6.0).reshape(2, 3).T,
    }
    storage.write_tensors(path, wanted, {"format": "test"})
    found = storage.read_tensors(path)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        assert found[name].tobytes() == np.ascontiguousarray(array).tobytes()
        assert found[name].flags.writeable


def test_tensors_that_are_asked_for_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    storage.write_tensors(path, {"other": np.zeros(1)}, {})
    with pytest.raises(InputError, match="holds no vector"):
        storage.read_tensors(path, ["vector"])


class Payload:
    """What a pickle from a stranger could do."""

    ran = False

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("import test_storage; test_storage.Payload.ran = True",))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_are_refused_unread_by_their_first_bytes(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "probe.safetensors"
    path.write_bytes(pickle.dumps(Payload(), protocol=protocol))
    with pytest.raises(InputError, match="looks like a pickle"):
        storage.read_tensors(path)
    assert not Payload.ran


@pytest.mark.parametrize("name", ["x.pkl", "x.PT", "x.bin", "x.joblib", "x.npy", "x.pth"])
def test_pickles_are_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"harmless")
    with pytest.raises(InputError, match="looks like a pickle"):
        storage.refuse_pickle(path)


def test_torch_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "probe.safetensors"
    path.write_bytes(b"PK\x03\x04" + bytes(20))
    with pytest.raises(InputError, match="looks like a pickle"):
        storage.read_tensors(path)


def test_a_pickle_of_the_first_protocols_is_damaged_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "probe.safetensors"
    path.write_bytes(pickle.dumps(Payload(), protocol=0))
    with pytest.raises(InputError, match="damaged or no safetensors"):
        storage.read_tensors(path)
    assert not Payload.ran


@pytest.mark.parametrize("header", [128, 640, 896, 1152])
def test_no_length_of_header_is_taken_for_a_pickle(tmp_path: Path, header: int) -> None:
    # safetensors begins with the length of its header: 640 is 0x80 0x02, as pickles begin.
    path = tmp_path / "x.safetensors"
    values = np.arange(4.0)
    for padding in range(header):
        content = save({"x": values}, {"note": "n" * padding})
        if struct.unpack("<Q", content[:8])[0] == header:
            break
    else:
        pytest.fail(f"no header of {header} bytes was made")
    path.write_bytes(content)
    assert storage.read_tensors(path)["x"].tolist() == values.tolist()


def test_a_folder_appears_only_when_it_is_full(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "m"

    def fill(target: Path) -> None:
        assert not folder.exists()
        (target / "weights").write_text("w")

    storage.make_folder(folder, fill)
    assert (folder / "weights").read_text() == "w"
    assert [entry.name for entry in folder.parent.iterdir()] == ["m"]


def test_a_crash_while_filling_leaves_no_folder(tmp_path: Path) -> None:
    def fill(target: Path) -> None:
        (target / "weights").write_text("half")
        raise Crash

    with pytest.raises(Crash):
        storage.make_folder(tmp_path / "models" / "m", fill)
    assert list((tmp_path / "models").iterdir()) == []


def test_of_two_processes_the_first_folder_stays(tmp_path: Path) -> None:
    folder = tmp_path / "m"

    def fill(target: Path) -> None:
        (target / "weights").write_text("ours")
        folder.mkdir()
        (folder / "weights").write_text("theirs")

    storage.make_folder(folder, fill)
    assert (folder / "weights").read_text() == "theirs"


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPALIGN_CACHE", "~/mine")
    assert storage.cache_dir() == Path.home() / "mine"
    monkeypatch.delenv("REPALIGN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert storage.cache_dir() == Path("/x/repalign")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert storage.cache_dir() == Path.home() / ".cache" / "repalign"


def test_sha256_is_the_standard_one(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert storage.sha256(path).startswith("ba7816bf8f01cfea414140de5dae2223")
