"""Stored values: what is asked for, read from disk, and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stores import ROWS, SHARDS, SITES, fill, held, make

from repalign.activations import Activations, StoredValues
from repalign.errors import InputError
from repalign.sites import Site


@pytest.fixture
def both(tmp_path: Path) -> tuple[StoredValues, np.ndarray]:
    given = held()
    store = make(tmp_path / "s", given)
    fill(store, given)
    values = store.activations().values
    assert isinstance(values, StoredValues)
    assert isinstance(given.values, np.ndarray)
    return values, given.values


def test_stored_values_index_as_an_array_does(both: tuple[StoredValues, np.ndarray]) -> None:
    stored, array = both
    mask = np.arange(ROWS) % 3 == 0
    picked = np.array([7, 7, 0, 22, -1])
    for keep in (mask, picked, slice(3, 9), slice(None, None, -2), np.array([], dtype=int)):
        assert np.array_equal(np.asarray(stored[keep]), array[keep])
        assert np.array_equal(stored[keep, 1], array[keep, 1])
        assert np.array_equal(stored[keep][:, -1], array[keep][:, -1])
    for columns in ([2, 0], [1], slice(1, None)):
        lazy = stored[:, columns]
        assert isinstance(lazy, StoredValues)
        assert np.array_equal(np.asarray(lazy[picked]), array[:, columns][picked])
    assert np.array_equal(np.asarray(stored[:, [2, 0]][:, [1]]), array[:, [0]])
    assert len(stored) == ROWS
    for wrong in (3, (0, 0, 0), (mask, [0, 1])):
        with pytest.raises(TypeError):
            stored[wrong]
    with pytest.raises(IndexError):
        stored[:, 3]
    with pytest.raises(IndexError):
        stored[np.array([ROWS])]


def test_parts_are_joined_without_being_read(tmp_path: Path) -> None:
    first, second = held(), replace(held(seed=5), example=np.arange(ROWS) + 1000)
    stores = [make(tmp_path / name, part) for name, part in (("a", first), ("b", second))]
    for store, part in zip(stores, (first, second), strict=True):
        fill(store, part)
    a, b = (store.activations() for store in stores)
    even, odd = a.rows(a.example % 2 == 0), a.rows(a.example % 2 == 1)
    whole = Activations.join(
        [first.rows(odd_rows := first.example % 2 == 1), second, first.rows(~odd_rows)]
    )
    for middle in (b, second):
        joined = Activations.join([odd, middle, even])
        assert isinstance(joined.values, StoredValues)
        some = [Site(11), Site(0)]
        for site in SITES:
            assert np.array_equal(joined.at(site), whole.at(site))
        assert np.array_equal(np.asarray(joined.only(some).values), whole.only(some).values)
        assert np.array_equal(joined.only(some).only(some[1:]).at(Site(0)), whole.at(Site(0)))
        assert np.array_equal(joined.example, whole.example)
    # Sites that were picked before are at other places in each part.
    mixed = Activations.join([a.only([Site(11)]), b.only([Site(0), Site(11)]).only([Site(11)])])
    assert np.array_equal(
        mixed.at(Site(11)), np.concatenate([first.at(Site(11)), second.at(Site(11))])
    )


def test_a_file_that_vanishes_while_it_is_read_is_named(tmp_path: Path) -> None:
    given = held()
    store = make(tmp_path / "s", given)
    fill(store, given)
    found = store.activations()
    (tmp_path / "s" / "00001.safetensors").unlink()
    with pytest.raises(InputError, match="was changed or removed"):
        found.at(Site(0))


def test_nothing_is_read_when_rows_and_sites_are_picked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = held()
    store = make(tmp_path / "s", given)
    fill(store, given)
    found = store.activations()
    opened: list[Path] = []
    real = np.memmap
    monkeypatch.setattr(np, "memmap", lambda *args: opened.append(args[0]) or real(*args))
    found = found.rows(found.labels == 1).only([Site(11), Site(0)])
    Activations.join([found.rows(found.example < 4), found.rows(found.example >= 4)])
    assert opened == []
    found.at(Site(0))
    assert len(opened) == SHARDS
