"""Families of probes that share nothing, and directions that mean nothing."""

from dataclasses import replace
from typing import Any

import audited
import numpy as np
import pytest
import toy as toys

from probes import MeanDifference
from repalign.activations import collect
from repalign.auditing import (
    Family,
    check_disjoint,
    control_directions,
    families,
)
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.models import LanguageModel
from repalign.sites import Site


def direction(layer: int = 2, **origin: Any) -> Direction:
    return Direction(toys.direction().numpy(), Site(layer), 0.0, 4.0, origin)


def family(name: str, layer: int, data: dict[str, str], probe: str) -> Family:
    return Family.of(name, [direction(layer, data=data, probe=probe)])


def test_a_direction_scores_as_it_projects(toy: LanguageModel) -> None:
    one = audited.planted()
    read = collect(toy, toys.statements(), [one.site])
    found = Family.of("loss", [one]).probes[0].score(read)
    assert found == pytest.approx(one.project(read.at(one.site)), abs=1e-6)


def test_families_of_a_model_share_nothing_with_the_loss(toy: LanguageModel) -> None:
    loss = [audited.planted()]
    selection, report = audited.own_families(toy, loss)
    sites = [*selection.sites, *report.sites, Site(2)]
    assert len(set(sites)) == len(sites)
    kinds = [one.probes[0].origin["probe"] for one in (selection, report)]
    assert kinds == ["MeanDifference()", "LDA()"]
    # Read on other groups than they were fitted on, and better than by chance.
    assert len({one.group for one in report.texts}) == 12
    assert check_disjoint([Family.of("loss", loss), selection, report]) == []


def test_the_loss_decides_what_is_left_for_the_others(toy: LanguageModel) -> None:
    loss = [direction(1, probe="LDA(shrinkage=0.1)", data={"cities": "a"})]
    data = {"selection": audited.statements("", "and"), "report": audited.statements("user ", "is")}
    selection, report = families(toy, loss, data=data)
    assert report.probes[0].origin["probe"].startswith("LogisticRegression")
    assert Site(1) not in (*selection.sites, *report.sites)
    with pytest.raises(InputError, match=r"no texts for the family report.*it has selection"):
        families(toy, loss, data={"selection": data["selection"]})


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (family("report", 3, {"cities": "z"}, "LDA()"), "share data: cities"),
        (family("report", 3, {"towns": "a"}, "LDA()"), "share data: cities"),
        (family("report", 2, {"towns": "z"}, "LDA()"), "share sites: L2.resid_post"),
        (family("report", 3, {"towns": "z"}, "TTPD(x=2)"), "share an estimator: TTPD"),
    ],
)
def test_families_that_overlap_are_refused_with_what_they_share(
    other: Family, message: str
) -> None:
    loss = family("loss", 2, {"cities": "a"}, "TTPD(x=1)")
    with pytest.raises(InputError, match=rf"families loss and report {message}"):
        check_disjoint([loss, other])


def test_the_state_before_a_block_is_that_after_the_one_below() -> None:
    one = Family.of("loss", [direction(2)])
    below = replace(direction(2), site=Site(3, "resid_pre"))
    with pytest.raises(InputError, match="share sites"):
        check_disjoint([one, Family.of("report", [below])])


def test_what_origins_do_not_record_is_said() -> None:
    notes = check_disjoint([Family.of("loss", [direction(2)])])
    assert len(notes) == 1
    assert "family loss do not record data and probe" in notes[0]


def test_controls_keep_site_and_scale_and_lose_the_meaning(toy: LanguageModel) -> None:
    texts = toys.statements()
    read = collect(toy, texts, [Site(2)])
    one = Direction.of(MeanDifference(), read, Site(2))
    other = np.random.default_rng(0).normal(size=toys.WIDTH).astype(np.float32)
    refusal = {Site(2): replace(one, vector=other / np.linalg.norm(other))}
    found = control_directions(toy, [one], texts, refusal=refusal)
    assert list(found) == ["random", "refusal", "shuffled"]
    for name, (made,) in found.items():
        assert made.site == one.site
        assert made.scale == one.scale
        cosine = abs(float(made.vector @ one.vector))
        assert cosine > 0.8 if name == "refusal" else cosine < 0.3, name
        assert made.project(read.at(made.site)).mean() == pytest.approx(0, abs=1e-5)
        assert "control" in made.origin
    assert found["refusal"][0].vector @ refusal[Site(2)].vector == pytest.approx(0, abs=1e-6)
    assert list(control_directions(toy, [one], refusal=refusal)) == ["random", "refusal"]
    with pytest.raises(InputError, match="one direction a site"):
        control_directions(toy, [one, one])
