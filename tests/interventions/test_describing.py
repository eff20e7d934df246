"""Descriptions: plain data that stays from run to run and tells two interventions apart."""

import json
from pathlib import Path
from typing import Any

import directed
import numpy as np
import pytest
import torch

from repalign.interventions import (
    Ablate,
    Add,
    Clamp,
    Conditional,
    Contrast,
    Erase,
    KeepNorm,
    Patch,
    Shift,
)
from repalign.interventions.describing import described, parts
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span
from repalign.storage import read_record, write_json


def _all(seed: int) -> dict[str, Any]:
    """One of each, made anew from a seed."""
    draw = np.random.default_rng(seed)
    direction = directed.made(seed, model="toy", probe="LDA()", weights="0" * 16, checks=[1])
    coef = draw.normal(size=(1, 32))
    readout = Readout((Site(0),), coef, 0.5, Span("last"), 0.1, {"dataset": "cities"})
    vector = draw.normal(size=32).astype(np.float32)
    values = torch.from_numpy(draw.normal(size=(2, 3, 32))).to(torch.bfloat16)
    return {
        "Add": Add(direction, -1.5, piecewise=True),
        "Ablate": Ablate.of(direction, directed.made(seed + 50)),
        "Clamp": Clamp(direction, low=-0.5),
        "Erase": Erase(vector, vector[None], 2 * vector[None], "0" * 16),
        "Patch": Patch(values, values[..., 0] > 0),
        "Shift": Shift(vector, 2.0),
        "KeepNorm": KeepNorm(Shift(vector, 3.0)),
        "Contrast": Contrast(0.25 + seed),
        "Conditional": Conditional(Add(direction, 1.0), readout, 0.25, scope="row"),
    }


@pytest.mark.parametrize("name", _all(0))
def test_descriptions_are_plain_repeatable_and_distinct(name: str, tmp_path: Path) -> None:
    found = described(_all(0)[name])
    assert found["intervention"] == name
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    write_json(tmp_path / "record.json", {"format": "x", "written": found})
    assert read_record(tmp_path / "record.json", "x")["written"] == found
    # Made anew from the same numbers it is the same, from others another.
    assert described(_all(0)[name]) == found
    assert described(_all(1)[name]) != found
    assert " at 0x" not in repr(found)


def test_a_description_holds_every_setting() -> None:
    found = described(_all(0)["Conditional"])
    direction = directed.made(0)
    assert found["intervention"] == "Conditional"
    assert (found["threshold"], found["above"], found["scope"], found.get("where")) == (
        0.25,
        False,
        "row",
        None,
    )
    readout = found["readout"]
    assert (readout["sites"], readout["intercept"]) == (["L0.resid_post"], 0.5)
    assert readout["coef"]["shape"] == [1, 32]
    inner = found["inner"]
    assert (inner["intervention"], inner["coefficient"]) == ("Add", 1.0)
    assert inner["direction"]["fingerprint"] == direction.fingerprint
    assert inner["direction"]["origin"] == {
        "model": "toy",
        "weights": "0" * 16,
        "probe": "LDA()",
    }
    assert (readout["span"], readout["origin"]) == ("last", {"dataset": "cities"})
    clamp = described(_all(0)["Clamp"])
    assert (clamp["low"], clamp["high"]) == (-0.5, None)


def test_functions_are_called_by_their_names() -> None:
    def doubled(states: torch.Tensor) -> torch.Tensor:
        return states * 2

    found = described(doubled)
    assert found["intervention"].endswith(
        "test_functions_are_called_by_their_names.<locals>.doubled"
    )
    assert described(KeepNorm(doubled)) == {
        "intervention": "KeepNorm",
        "inner": found["intervention"],
    }


def test_parts_reach_everything_inside() -> None:
    inside = list(parts(_all(0)["Conditional"]))
    kinds = {type(part).__name__ for part in inside}
    assert {"Conditional", "Add", "Direction", "Readout"} <= kinds
    assert [type(part).__name__ for part in parts(Ablate.of(directed.made()))].count(
        "Direction"
    ) == 1
