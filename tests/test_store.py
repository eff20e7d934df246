"""The store: what was collected is on disk as it was, whatever happened to the processes."""

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from stores import INGREDIENTS, SITES, WIDTH, fill, held, make, values_of

from repalign.activations import Store, StoredValues
from repalign.errors import InputError
from repalign.sites import Site
from repalign.storage import claimed


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


def test_a_store_gives_back_what_was_written_in_the_order_of_the_examples(tmp_path: Path) -> None:
    given = held()
    store = make(tmp_path / "s", given)
    assert store.missing() == [0, 1, 2, 3]
    assert fill(store, given) == [0, 1, 2, 3]
    assert store.complete
    for opened in (store, Store.open(tmp_path / "s")):
        found = opened.activations()
        assert isinstance(found.values, StoredValues)
        assert found.values.shape == given.values.shape
        assert np.array_equal(np.asarray(found.values), given.values)
        for site in SITES:
            assert np.array_equal(found.at(site), given.at(site))
            assert found.at(site).dtype == np.float32
        for name in ("example", "pos", "labels", "groups", "topics", "polarity"):
            assert np.array_equal(getattr(found, name), getattr(given, name)), name
        assert dict(found.origin) == INGREDIENTS


def test_bfloat16_keeps_eight_bits_in_half_the_room(tmp_path: Path) -> None:
    given = held(200)
    made = {name: make(tmp_path / name, given, dtype=name) for name in ("float32", "bfloat16")}
    for store in made.values():
        fill(store, given)
    found = np.asarray(made["bfloat16"].activations().values)
    assert (np.abs(found - given.values) <= 2**-8 * np.abs(given.values)).all()
    assert np.array_equal(found, torch.from_numpy(given.values).bfloat16().float().numpy())
    sizes = {name: store.status().bytes for name, store in made.items()}
    assert 1.6 < sizes["float32"] / sizes["bfloat16"] < 2.0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_shards_are_safetensors_that_say_what_they_are(tmp_path: Path, dtype: str) -> None:
    given = held()
    store = make(tmp_path / "s", given, dtype=dtype)
    fill(store, given)
    with safe_open(tmp_path / "s" / "00002.safetensors", framework="pt") as file:
        assert file.metadata() == {
            "format": "repalign-activations-1",
            "key": store.header.key,
            "shard": "2",
        }
        assert sorted(file.keys()) == sorted(["rows", *map(str, SITES)])
        assert file.get_tensor("rows").tolist() == store.shard_rows[2].tolist()
        for site in SITES:
            wanted = values_of(store, given, 2)[site].to(getattr(torch, dtype))
            assert torch.equal(file.get_tensor(str(site)), wanted)


def test_the_same_content_gives_the_same_bytes_whoever_wrote_it(tmp_path: Path) -> None:
    given = held()
    fill(make(tmp_path / "a", given), given)
    half = make(tmp_path / "b", given)
    for shard in (3, 1):
        with half.claim(shard) as mine:
            assert mine
            half.write(shard, values_of(half, given, shard))
    again = make(tmp_path / "b", given)
    assert again.missing() == [0, 2]
    assert fill(again, given) == [0, 2]
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def behead(path: Path) -> None:
    os.truncate(path, 11)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def flip_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[12] ^= 0xFF
    path.write_bytes(content)


def other_shard(path: Path) -> None:
    path.write_bytes((path.parent / "00000.safetensors").read_bytes())


def other_key(path: Path) -> None:
    given = held(seed=1)
    fill(make(path.parent.parent / "other", given, revision="abc"), given)
    path.write_bytes((path.parent.parent / "other" / path.name).read_bytes())


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (truncate, r"00002\.safetensors is truncated: \d+ bytes of \d+"),
        (behead, r"00002\.safetensors is truncated: 11 bytes of \d+"),
        (lengthen, r"00002\.safetensors has \d+ bytes; \d+ were written"),
        (flip_header, r"00002\.safetensors has a damaged header"),
        (other_shard, r"00002\.safetensors is shard 0, not 2"),
        (other_key, r"00002\.safetensors belongs to another collection \(key \w+, here \w+\)"),
        (Path.unlink, r"missing file 00002\.safetensors"),
    ],
)
def test_a_damaged_shard_is_named_and_computed_again_and_the_rest_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Any, reason: str
) -> None:
    given, folder = held(), tmp_path / "s"
    used = make(folder, given)
    fill(used, given)
    assert used.complete
    whole = contents(folder)
    harm(folder / "00002.safetensors")
    for store in (make(folder, given), Store.open(folder)):
        assert store.missing() == [2]
        assert store.verify().keys() == {2}
        assert store.status().damaged.keys() == {2}
        with pytest.raises(InputError, match=r"1 of 4 shards of .* missing \(2\)"):
            store.activations()
    # A process that saw the shard whole sees the damage before it hands anything out.
    with pytest.raises(InputError, match="1 of 4 shards"):
        used.activations()
    assert f"Shard 2 of {folder} is damaged" in caplog.text
    found = store.verify()
    assert re.match(reason, found[2]), found
    assert fill(store, given) == [2]
    assert store.verify(full=True) == {}
    assert contents(folder) == whole
    assert np.array_equal(np.asarray(used.activations().values), given.values)


def test_a_flipped_bit_is_found_by_the_hash(tmp_path: Path) -> None:
    given, folder = held(), tmp_path / "s"
    store = make(folder, given)
    fill(store, given)
    content = bytearray((folder / "00001.safetensors").read_bytes())
    content[-5] ^= 1
    (folder / "00001.safetensors").write_bytes(content)
    other = Store.open(folder)
    for looked in (store, other):
        found = looked.verify(full=True)
        assert found == {1: "the content of 00001.safetensors differs from its recorded SHA-256"}
        assert looked.missing() == [1]
    assert fill(store, given) == [1]
    # The line that the repair added is equal to the first one, and still counts as news.
    assert other.missing() == []
    assert store.verify(full=True) == other.verify(full=True) == {}


def test_a_torn_line_is_passed_over_and_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    given, folder = held(), tmp_path / "s"
    fill(make(folder, given), given)
    manifest = folder / "manifest.jsonl"
    whole = manifest.read_bytes()
    os.truncate(manifest, len(whole) - 9)
    store = make(folder, given)
    assert store.missing() == [3]
    assert manifest.stat().st_size == len(whole) - 9
    fill(store, given)
    assert manifest.read_bytes() == whole
    assert Store.open(folder).complete
    # Also where it is longer than the line that is written next.
    end = whole[:-1].rfind(b"\n") + 1
    manifest.write_bytes(whole[:end] + b"{" * 1000)
    fill(store := make(folder, given), given)
    assert manifest.read_bytes() == whole
    assert store.complete


@pytest.mark.parametrize("harm", [b"\0" * 30, b'{"shard": 99, "file": ""}', b"7", b"[]"])
def test_a_damaged_line_costs_its_shard_and_no_other(
    tmp_path: Path, harm: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    given, folder = held(), tmp_path / "s"
    fill(make(folder, given), given)
    manifest = folder / "manifest.jsonl"
    parts = manifest.read_bytes().splitlines()
    manifest.write_bytes(b"\n".join([*parts[:2], harm, *parts[3:]]) + b"\n")
    store = make(folder, given)
    assert "holds a damaged line" in caplog.text
    assert fill(store, given) == [1]
    assert Store.open(folder).complete


def test_a_damaged_first_line_is_refused(tmp_path: Path) -> None:
    given, folder = held(), tmp_path / "s"
    make(folder, given)
    manifest = folder / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"weights": "1234"', '"weights": "5678"'))
    for again in (lambda: make(folder, given, weights="5678"), lambda: Store.open(folder)):
        with pytest.raises(InputError, match=r"first line of .* is damaged"):
            again()


def test_a_first_line_that_was_torn_is_written_anew(tmp_path: Path) -> None:
    given, folder = held(), tmp_path / "s"
    make(folder, given)
    manifest = folder / "manifest.jsonl"
    whole = manifest.read_bytes()
    for size in (0, 5, 40, len(whole) - 1):
        os.truncate(manifest, 0)
        manifest.write_bytes(whole[:size])
        with pytest.raises(InputError, match="holds no store"):
            Store.open(folder)
        make(folder, given)
        assert manifest.read_bytes() == whole


def test_another_collection_is_refused_with_what_differs(tmp_path: Path) -> None:
    given, folder = held(), tmp_path / "s"
    make(folder, given)
    with pytest.raises(InputError, match=r"weights: 1234 there, 5678 here") as caught:
        make(folder, given, weights="5678")
    assert "model" not in str(caught.value)
    assert "remove this one" in str(caught.value)
    with pytest.raises(InputError, match=r"max_tokens: nothing there, 64 here"):
        make(folder, given, max_tokens=64)
    with pytest.raises(InputError, match=r"stored_dtype: float32 there, bfloat16 here"):
        make(folder, given, dtype="bfloat16")
    with pytest.raises(InputError, match="shards: "):
        make(folder, given, shards=3)
    with pytest.raises(InputError, match="index: "):
        make(folder, replace(given, labels=-given.labels))
    assert make(folder, given).missing() == [0, 1, 2, 3]


def test_a_folder_of_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="holds other files"):
        make(tmp_path, held())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    for content in ("not ours", "not ours\n", '{"format": "repalign-activations-9"}\n'):
        (tmp_path / "f").mkdir(exist_ok=True)
        (tmp_path / "f" / "manifest.jsonl").write_text(content)
        with pytest.raises(InputError, match="another folder"):
            make(tmp_path / "f", held())
        assert [path.name for path in (tmp_path / "f").iterdir()] == ["manifest.jsonl"]
        assert (tmp_path / "f" / "manifest.jsonl").read_text() == content
    with pytest.raises(InputError, match="is a file"):
        make(tmp_path / "thesis.tex", held())
    with pytest.raises(InputError, match="holds no store"):
        Store.open(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["index.safetensors", "index.json"])
def test_a_damaged_index_is_named_and_mended(tmp_path: Path, name: str) -> None:
    given, folder = held(), tmp_path / "s"
    fill(make(folder, given), given)
    content = bytearray((folder / name).read_bytes())
    content[-6] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=r"index of the store .* is damaged"):
        Store.open(folder)
    make(folder, given)
    assert np.array_equal(Store.open(folder).activations().groups, given.groups)


def test_only_what_was_planned_is_written(tmp_path: Path) -> None:
    given = held()
    store = make(tmp_path / "s", given)
    right = values_of(store, given, 1)
    with pytest.raises(InputError, match="not claimed"):
        store.write(1, right)
    with store.claim(1) as mine:
        assert mine
        with pytest.raises(InputError, match=r"L11\.resid_post was given .*\(6, 3\).*\(6, 12\)"):
            store.write(1, {**right, Site(11): right[Site(11)][:, :3]})
        with pytest.raises(InputError, match=r"was given L0\.resid_post; the store holds"):
            store.write(1, {Site(0): right[Site(0)]})
        for value in (float("nan"), float("-inf")):
            bad = right[Site(11)].clone()
            bad[4, 7] = value
            row = store.shard_rows[1][4]
            message = rf"1 of 6 activations at L11\.resid_post .* first in row {row} \(example "
            with pytest.raises(InputError, match=message + str(row // 2)):
                store.write(1, {**right, Site(11): bad})
    assert store.missing() == [0, 1, 2, 3]
    assert not list((tmp_path / "s").glob("*0001*"))
    for rows in ([np.arange(22)], [np.arange(23), np.array([4])], [np.arange(23), np.arange(0)]):
        with pytest.raises(InputError, match="exactly one shard"):
            Store.create(tmp_path / "t", {}, SITES, WIDTH, "float32", given, rows)
    with pytest.raises(InputError, match="no dtype of a store 'float16'"):
        make(tmp_path / "t", given, dtype="float16")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_large_values_are_not_taken_for_infinite_ones(tmp_path: Path, dtype: str) -> None:
    given = held()
    given = replace(given, values=np.full_like(given.values, 2.0**127))
    store = make(tmp_path / "s", given, dtype=dtype)
    assert fill(store, given) == [0, 1, 2, 3]
    assert np.array_equal(np.asarray(store.activations().values), given.values)


def test_a_value_that_bfloat16_cannot_hold_is_refused(tmp_path: Path) -> None:
    given = held()
    store = make(tmp_path / "s", given, dtype="bfloat16")
    values = values_of(store, given, 0)
    values[Site(0)][2, 2] = 3.4e38
    with store.claim(0), pytest.raises(InputError, match="NaN or infinite"):
        store.write(0, values)


def test_a_finished_shard_is_not_claimed_again(tmp_path: Path) -> None:
    given = held()
    slow = make(tmp_path / "s", given)
    assert slow.missing() == [0, 1, 2, 3]
    fill(make(tmp_path / "s", given), given)
    with slow.claim(1) as mine:
        assert not mine
    assert len(lines(tmp_path / "s")) == 5


def test_the_status_says_how_far_a_store_is(tmp_path: Path) -> None:
    given, folder = held(), tmp_path / "s"
    store = make(folder, given)
    with store.claim(0) as mine:
        assert mine
        store.write(0, values_of(store, given, 0))
        with claimed(folder / "locks" / "00003.lock"):
            found = Store.open(folder).status()
    assert (found.shards_done, found.shards, found.rows_done, found.rows) == (1, 4, 6, 23)
    assert found.claimed == (3,)
    assert found.damaged == {}
    assert found.bytes == (folder / "00000.safetensors").stat().st_size
    assert found.bytes * 2 < found.bytes_expected < found.bytes * 6
    assert (found.sites, found.dtype) == (SITES, "float32")
    assert found.ingredients["weights"] == "1234"


@contextmanager
def failing(name: str, after: int) -> Iterator[None]:
    """Let a call of `os` raise as it does on a full disk, after some that work."""
    real, calls = getattr(os, name), iter(range(10**9))

    def call(*given: Any, **options: Any) -> Any:
        if next(calls) >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*given, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, name, call)
        yield


@pytest.mark.parametrize(
    ("name", "after"),
    [("write", 0), ("write", 3), ("fsync", 0), ("write", 5), ("fsync", 2)],
    ids=["header", "values", "shard's sync", "manifest's line", "manifest's sync"],
)
def test_a_full_disk_keeps_finished_shards_and_nothing_half_written(
    tmp_path: Path, name: str, after: int
) -> None:
    given, folder = held(), tmp_path / "s"
    store = make(folder, given)
    with store.claim(0):
        store.write(0, values_of(store, given, 0))
    before = (folder / "manifest.jsonl").read_bytes()
    message = r"could not take \d.* more \(No space left.*are free\. 1 of 4 shards are finished and"
    with store.claim(1), failing(name, after), pytest.raises(InputError, match=message):
        store.write(1, values_of(store, given, 1))
    assert (folder / "manifest.jsonl").read_bytes() == before
    assert not list(folder.glob(".*"))
    again = make(folder, given)
    assert again.missing() == [1, 2, 3]
    assert again.verify(full=True) == {}
    fill(again, given)
    assert np.array_equal(np.asarray(again.activations().values), given.values)


def test_a_disk_without_room_is_refused_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = held()
    free = SimpleNamespace(total=10**6, used=10**6 - 4000, free=4000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: free)
    with pytest.raises(InputError, match=r"need \d\.\d kB in .* and 4\.0 kB are free"):
        make(tmp_path / "s", given)
    assert not (tmp_path / "s").exists()
