"""collect() within intervene(): what was written is read, recorded, and the same in batches."""

from pathlib import Path
from typing import Any

import directed
import families
import numpy as np
import pytest
import torch

from probes import MeanDifference
from repalign.activations import Activations, collect, stream
from repalign.directions import Direction
from repalign.errors import CheckError, InputError
from repalign.examples import Example
from repalign.interventions import (
    Ablate,
    Add,
    Conditional,
    Contrast,
    KeepNorm,
    Patch,
    Shift,
    intervene,
)
from repalign.models import LanguageModel
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span, read
from repalign.storage import write_json
from repalign.tokens import Tokens

TEXTS = [
    "the sea is true",
    "the sea is",
    "the sea",
    "the lamp and the door and the bird is false",
    "the lamp and the door is right",
    "moon",
]
ROWS = [Example.of_text(text, index % 2, f"g{index}") for index, text in enumerate(TEXTS)]
PUSH = Add(directed.made(4), 2.0)
SITES = [Site(0), Site(1), Site(2, "heads"), Site(3)]


def _one_by_one(model: LanguageModel, positions: str = "last") -> np.ndarray:
    """Read each text alone, by `capture`, within whatever context is open."""
    rows = []
    for row in ROWS:
        reading = read(model.tokenizer, row, Span.parse(positions))
        seen = model.capture(Tokens.pad([list(reading.ids)], 5), SITES)
        rows += [
            np.stack([seen[site][0, place].numpy() for site in SITES])
            for place in reading.positions
        ]
    return np.stack(rows)


def _readout() -> Readout:
    coef = np.random.default_rng(1).normal(size=(1, 32))
    return Readout((Site(0),), coef, 0.1, Span("last"))


@pytest.mark.parametrize("positions", ["last", "all"])
@pytest.mark.parametrize(
    ("written", "where", "whole"),
    [
        ({Site(1): PUSH}, "all", False),
        ({Site(1): PUSH, Site(2, "heads"): KeepNorm(Add(directed.made(5), 1.0))}, "all", False),
        ({Site(1): PUSH}, "last", True),
        ({Site(1): PUSH}, "prompt", True),
        ({Site(1): PUSH}, lambda p: p.attended & (p.ids % 2 == 0), True),
        ({Site(1): Conditional(PUSH, _readout(), 0.0)}, "all", True),
        ({Site(1): Conditional(PUSH, _readout(), 0.0, scope="row")}, "all", True),
    ],
)
def test_what_was_written_is_read_as_one_by_one(
    model: LanguageModel, written: Any, where: Any, whole: bool, positions: str
) -> None:
    with intervene(model, written, where):
        found = collect(model, ROWS, SITES, positions, max_tokens=24)
        wanted = _one_by_one(model, positions)
    assert found.values == pytest.approx(wanted, abs=1e-5)
    plain = collect(model, ROWS, SITES, positions)
    assert np.abs(np.subtract(found.values, plain.values)).max() > 0.1
    assert found.at(Site(0)) == pytest.approx(plain.at(Site(0)), abs=1e-5)
    reason = "whole texts: what intervene() writes depends on positions"
    assert found.origin["prefixes"] == (reason if whole else "shared")
    assert plain.origin["prefixes"] == "shared"


def test_the_origin_says_what_was_written(model: LanguageModel, tmp_path: Path) -> None:
    second = Ablate.of(directed.made(1), directed.made(2))
    with intervene(model, {Site(1): PUSH}), intervene(model, {Site(2): second}, "last"):
        found = collect(model, ROWS, [Site(3)]).origin["interventions"]
    one, other = found
    assert one == {
        "site": "L1.resid_post",
        "intervention": "Add",
        "coefficient": 2.0,
        "piecewise": False,
        "direction": {
            "site": "L1.resid_post",
            "scale": 3.0,
            "fingerprint": PUSH.direction.fingerprint,
            "origin": {},
        },
    }
    assert (other["site"], other["intervention"], other["where"]) == (
        "L2.resid_post",
        "Ablate",
        "last",
    )
    prints = [direction["fingerprint"] for direction in other["directions"]]
    assert prints == [directed.made(1).fingerprint, directed.made(2).fingerprint]
    write_json(tmp_path / "origin.json", {"interventions": found})
    assert "interventions" not in collect(model, ROWS, [Site(3)]).origin


@pytest.mark.parametrize(
    "rows", [Patch(torch.zeros(1, 4, 32)), Contrast(), KeepNorm(Patch(torch.zeros(1, 4, 32)))]
)
def test_what_depends_on_the_rows_of_a_batch_is_refused(model: LanguageModel, rows: Any) -> None:
    def read_within() -> None:
        with intervene(model, {Site(1): rows}):
            collect(model, ROWS, [Site(2)])

    with pytest.raises(InputError, match=r"\(Patch, Contrast\).*model\.capture\(\)"):
        read_within()


def test_generated_tokens_are_not_there_to_be_read(model: LanguageModel) -> None:
    with (
        pytest.raises(CheckError, match="chose no position"),
        intervene(model, {Site(1): PUSH}, "generated"),
    ):
        collect(model, ROWS, [Site(2)])


def test_no_store_is_filled_with_what_was_written(model: LanguageModel, tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="does not record interventions"),
        intervene(model, {Site(1): PUSH}),
    ):
        collect(model, ROWS, [Site(2)], store=tmp_path / "store")


def test_a_reading_that_outlasts_its_context_is_refused(model: LanguageModel) -> None:
    with intervene(model, {Site(1): PUSH}):
        within = stream(model, ROWS, [Site(2)], max_tokens=8)
        assert len(next(within)) > 0
    # Small texts make one piece; the work is kept and read again.
    from repalign.activations import Extraction

    with intervene(model, {Site(1): PUSH}):
        work = Extraction.of(model, ROWS, [Site(2)])
        assert len(list(work.read(0))) > 0
    with pytest.raises(InputError, match="has changed since this reading began"):
        list(work.read(0))
    outside = Extraction.of(model, ROWS, [Site(2)])
    with intervene(model, {Site(1): PUSH}):
        with pytest.raises(InputError, match="has changed since this reading began"):
            list(outside.read(0))
        assert len(list(Extraction.of(model, ROWS, [Site(2)]).read(0))) > 0


@pytest.fixture
def wide() -> LanguageModel:
    """A Llama of width 32 whose heads are 48 wide together."""
    shared = families.model("llama, wide heads")
    return LanguageModel(shared.network, shared.tokenizer, "wide")


def _separated(model: LanguageModel, found: Activations, site: Site) -> float:
    direction = Direction.of(MeanDifference(), found, site)
    with intervene(model, {site: Add(direction, 1.0)}):
        moved = collect(model, ROWS, [site])
    gained = direction.project(moved.at(site)) - direction.project(found.at(site))
    assert gained == pytest.approx(np.ones(len(ROWS)), abs=1e-4)
    return float(np.abs(moved.at(site) - found.at(site)).max())


def test_heads_of_another_width_are_read_kept_and_written(
    wide: LanguageModel, tmp_path: Path
) -> None:
    heads = wide.sites("heads")
    found = collect(wide, ROWS, heads, max_tokens=16)
    assert found.values.shape == (len(ROWS), 3, 48)
    for index, row in enumerate(ROWS):
        ids = list(read(wide.tokenizer, row, Span("all")).ids)
        seen = wide.capture(Tokens.pad([ids], 5), heads)
        for site in heads:
            assert found.at(site)[index] == pytest.approx(seen[site][0, -1].numpy(), abs=1e-5)
    stored = collect(wide, ROWS, heads, store=tmp_path / "store")
    again = collect(wide, ROWS, heads, store=tmp_path / "store")
    for site in heads:
        assert stored.at(site) == pytest.approx(found.at(site), abs=1e-6)
        assert np.array_equal(stored.at(site), again.at(site))
    assert _separated(wide, found, heads[1]) > 1e-4
    for narrow in (Add(directed.made(), 1.0), Shift(PUSH.push)):
        with (
            pytest.raises(InputError, match="width 32; wide has 48 there"),
            intervene(wide, {heads[0]: narrow}),
        ):
            pass


def test_sites_of_different_width_are_not_read_together(wide: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"L0\.heads has 48, L1\.resid_post has 32"):
        collect(wide, ROWS, [Site(0, "heads"), Site(1)])
