"""Directions: the planted one is found, and what is saved is what was found."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy as toys

from probes import LogisticRegression, MeanDifference
from repalign.activations import Activations, collect
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.models import LanguageModel
from repalign.sites import Site


@pytest.fixture
def read(toy: LanguageModel) -> Activations:
    return collect(toy, toys.statements(), toy.sites())


def _swapped(read: Activations) -> Activations:
    from dataclasses import replace

    return replace(read, labels=1 - read.labels)


@pytest.mark.parametrize(
    ("probe", "least"), [(MeanDifference(), 0.9999), (LogisticRegression(), 0.8)]
)
@pytest.mark.parametrize("layer", [0, 3])
def test_the_planted_direction_is_found(
    read: Activations, probe: Any, least: float, layer: int
) -> None:
    found = Direction.of(probe, read, Site(layer))
    # Logistic regression scales each coordinate first, and so turns the vector a little.
    assert found.vector @ toys.direction().numpy() > least
    assert found.site == Site(layer)
    assert found.origin["probe"] == repr(probe)
    assert found.origin["model"] == "toy"


def test_midpoint_and_scale_are_those_of_the_class_means(read: Activations) -> None:
    planted = toys.direction().numpy()
    found = Direction.along(3 * planted, read, Site(1), {})
    assert found.vector == pytest.approx(planted, abs=1e-6)
    assert found.scale == pytest.approx(2 * toys.STRENGTH, abs=1e-4)
    assert found.midpoint == pytest.approx(0.0, abs=1e-4)
    # One class mean lies half a unit above the midpoint, the other half a unit below.
    projected = found.project(read.at(Site(1)))
    assert projected == pytest.approx(read.labels - 0.5, abs=1e-4)


def test_a_midpoint_that_is_not_zero_is_subtracted(read: Activations) -> None:
    planted = toys.direction().numpy()
    from dataclasses import replace

    moved = replace(read, values=read.values + 5 * planted)
    found = Direction.along(planted, moved, Site(1), {})
    assert found.midpoint == pytest.approx(5.0, abs=1e-4)
    assert found.project(moved.at(Site(1))) == pytest.approx(read.labels - 0.5, abs=1e-4)


def test_the_site_must_be_said_where_there_are_several(read: Activations) -> None:
    with pytest.raises(InputError, match="4 sites were given; say which one"):
        Direction.of(MeanDifference(), read)
    assert Direction.of(MeanDifference(), read.only([Site(2)])).site == Site(2)
    with pytest.raises(InputError, match=r"L1\.mlp_out was not collected"):
        Direction.of(MeanDifference(), read, Site(1, "mlp_out"))


def test_a_direction_comes_back_bit_for_bit(read: Activations, tmp_path: Path) -> None:
    found = Direction.of(MeanDifference(), read, Site(1))
    assert found.save(tmp_path / "d") == tmp_path / "d"
    again = Direction.load(tmp_path / "d")
    assert again.vector.tobytes() == found.vector.tobytes()
    assert (again.site, again.midpoint, again.scale) == (found.site, found.midpoint, found.scale)
    assert json.dumps(dict(again.origin)) == json.dumps(dict(found.origin))


def test_a_vector_that_points_the_other_way_is_refused(read: Activations) -> None:
    with pytest.raises(InputError, match="points from dishonest to honest"):
        Direction.along(-toys.direction().numpy(), read, Site(1), {})


@pytest.mark.parametrize("vector", [np.zeros(32), np.full(32, np.nan), np.full(32, np.inf)])
def test_a_vector_without_direction_is_refused(read: Activations, vector: np.ndarray) -> None:
    with pytest.raises(InputError, match="has no direction"):
        Direction.along(vector, read, Site(1), {})


def test_rows_of_one_class_measure_no_direction(read: Activations) -> None:
    with pytest.raises(InputError, match=r"both labels, 1 and 0; these have \[1\]"):
        Direction.along(toys.direction().numpy(), read.rows(read.labels == 1), Site(1), {})


@pytest.mark.parametrize(
    ("length", "scale", "message"),
    [
        (2.0, 1.0, "length 1; this vector has length 2"),
        (1.0, 0.0, "lie 0 apart"),
        (1.0, -1.0, "lie -1 apart"),
        (1.0, float("nan"), "lie nan apart"),
    ],
)
def test_what_is_no_direction_is_refused(length: float, scale: float, message: str) -> None:
    vector = np.zeros(4, dtype=np.float32)
    vector[0] = length
    with pytest.raises(InputError, match=message):
        Direction(vector, Site(0), 0.0, scale)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"direction\.json does not exist"):
        Direction.load(tmp_path)
    (tmp_path / "direction.json").write_text('{"format": "repalign.direction/2"}')
    with pytest.raises(InputError, match=r"format 'repalign.direction/2'; this version reads"):
        Direction.load(tmp_path)
    (tmp_path / "direction.json").write_text("[]")
    with pytest.raises(InputError, match="format None"):
        Direction.load(tmp_path)
    stranger = tmp_path / "direction.pkl"
    stranger.write_bytes(pickle.dumps({"vector": [1.0]}))
    with pytest.raises(InputError, match="looks like a pickle"):
        Direction.load(stranger)


def test_a_pickle_in_place_of_the_tensors_is_refused(read: Activations, tmp_path: Path) -> None:
    Direction.of(MeanDifference(), read, Site(1)).save(tmp_path)
    (tmp_path / "direction.safetensors").write_bytes(pickle.dumps([1.0]))
    with pytest.raises(InputError, match="looks like a pickle"):
        Direction.load(tmp_path)


def test_directions_can_be_compared_and_be_keys(read: Activations) -> None:
    found = Direction.of(MeanDifference(), read, Site(1))
    assert found == found
    assert found != Direction.of(MeanDifference(), _double(read), Site(1))
    assert len({found, found}) == 1


def _double(read: Activations) -> Activations:
    from dataclasses import replace

    return replace(read, values=np.asarray(read.values) * 2)
