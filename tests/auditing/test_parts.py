"""Families, measures, shifts, refits, drift and controls, one by one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import audited
import numpy as np
import pytest
import toy as toys

from probes import MeanDifference
from repalign import datasets
from repalign.activations import Activations, collect
from repalign.answering import Local
from repalign.answering.asking import silent
from repalign.auditing import (
    Family,
    Measure,
    Summary,
    audit,
    check_disjoint,
    control_directions,
    families,
)
from repalign.auditing.asking import cells, evaluated, measures, trained_on
from repalign.auditing.drifting import drift
from repalign.auditing.evidence import judge
from repalign.auditing.measure import changes, holm
from repalign.auditing.reading import Reading, Unit
from repalign.auditing.refitting import refit
from repalign.auditing.shift import of_auroc, of_means
from repalign.auditing.twins import check_tokens
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.evaluation.evaluating import Evaluated
from repalign.evaluation.outcome import Item, Outcome
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.sites import Site

SITE = Site(1)


def direction(layer: int = 2, **origin: Any) -> Direction:
    return Direction(toys.direction().numpy(), Site(layer), 0.0, 4.0, origin)


def family(name: str, layer: int, data: dict[str, str], probe: str) -> Family:
    return Family.of(name, [direction(layer, data=data, probe=probe)])


def rows(values: np.ndarray, labels: np.ndarray) -> Activations:
    """Pairs of rows that are groups."""
    count = len(values)
    return Activations(
        values[:, None].astype(np.float32),
        (SITE,),
        np.arange(count),
        np.zeros(count, dtype=int),
        labels,
        np.array([f"g{place // 2}" for place in range(count)]),
        np.array([""] * count),
        np.zeros(count, dtype=int),
        {},
    )


def pairs(shift: float, count: int = 60, width: int = 8, seed: int = 0) -> Activations:
    """Noise, and along the first axis the label."""
    labels = np.arange(count) % 2
    values = np.random.default_rng(seed).normal(size=(count, width))
    values[:, 0] += shift * (2 * labels - 1)
    return rows(values, labels)


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


def test_a_difference_is_paired() -> None:
    before = np.linspace(-5, 5, 40)
    found = of_means(before, before + 0.1)
    assert (found.difference.low, found.difference.high) == pytest.approx((0.1, 0.1))
    assert found.rose
    assert not found.fell
    labels = np.arange(40) % 2
    worse = of_auroc(labels, labels + 0.0, np.zeros(40))
    assert (worse.before.value, worse.after.value, worse.difference.value) == (1.0, 0.5, -0.5)


def test_holm_corrects_and_measures_without_a_sign_count_for_nothing() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    up = np.ones(12)
    found = changes(
        [
            Measure("honest", 0 * up, up),
            Measure("lies", 0 * up, up, higher_is_honest=False),
            Measure("price", 0 * up, up, higher_is_honest=None),
        ]
    )
    assert [one.improved for one in found] == [True, False, False]
    assert [one.worsened for one in found] == [False, True, False]
    assert found[0].p_adjusted == pytest.approx(2 * found[0].p)
    assert found[2].p_adjusted is None
    # Twenty measures of which one has a p of 0.004: not surely anything.
    many = [Measure(f"m{place}", 0 * up, np.tile([1, -1], 6)) for place in range(19)]
    nine = changes([*many, Measure("few", np.zeros(9), np.ones(9))])
    assert nine[-1].p < 0.05
    assert not nine[-1].sure
    with pytest.raises(InputError, match="Two measures are called honest"):
        changes([Measure("honest", up, up), Measure("honest", up, up)])


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [([1.0], [1.0, 2.0], "shapes"), ([], [], "shapes"), ([np.nan], [1.0], "finite")],
)
def test_values_that_are_not_paired_are_refused(
    before: list[float], after: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Measure("x", before, after)


def test_a_refit_separates_what_is_there_and_nothing_else() -> None:
    frozen, trained, noise = pairs(2.0), pairs(2.0, seed=1), pairs(0.0, seed=2)
    old = np.eye(8)[0]
    found = refit(frozen, trained, SITE, old)
    assert found.separates
    assert found.angle is not None
    assert found.angle.value < 30
    turned = replace(trained, values=trained.values[:, :, ::-1])
    aside = refit(frozen, turned, SITE, old)
    # What was read along the first axis now lies along the last.
    assert aside.angle is not None
    assert 70 < aside.angle.value < 110
    assert aside.separates
    gone = refit(frozen, noise, SITE, old)
    assert not gone.separates
    assert gone.auroc.fell


def test_drift_of_one_vector_has_rank_one_and_lies_along_it() -> None:
    frozen = pairs(1.0)
    vector = np.eye(8)[0]
    moved = replace(frozen, values=frozen.values + np.float32(0.5) * vector.astype(np.float32))
    found = drift(frozen, moved, SITE, vector)
    assert found.rank.value == 1
    assert found.along is not None
    assert found.along.value == pytest.approx(1)
    lengths = np.linalg.norm(frozen.at(SITE), axis=1)
    assert found.size.value == pytest.approx(0.5 * len(lengths) / lengths.sum(), rel=1e-5)
    # Any direction of 8 has an eighth of it.
    assert found.along_random.low < 1 / 8 < found.along_random.high
    spread = np.random.default_rng(3).normal(size=frozen.values.shape).astype(np.float32)
    wide = drift(frozen, replace(frozen, values=frozen.values + spread), SITE, None)
    assert wide.rank.value >= 6
    assert wide.along is None


def test_scores_are_in_spreads_of_frozen_weights_and_a_flat_probe_is_refused() -> None:
    scores = np.array([[0.0, 2.0], [10.0, 50.0]])
    assert Unit.of(scores)(scores).tolist() == [-1.0, 1.0]
    assert Unit.of(scores)(scores + np.array([[1.0], [20.0]])).tolist() == [0.0, 2.0]
    with pytest.raises(InputError, match="Probe 1 gives all 2 texts the same score"):
        Unit.of(np.array([[0.0, 2.0], [3.0, 3.0]]))


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


def item(id: str, kind: str, right: bool) -> Item:
    scores = {name: float(kind == name) for name in ("correct", "wrong", "idk")}
    return Item(
        id, id, f"prompt {id}", kind, scores, {"right": ["x"] if right else None, "verdict": kind}
    )


def test_items_of_suites_become_paired_measures_and_nine_cells() -> None:
    then = (item("a", "wrong", True), item("b", "correct", True), item("c", "wrong", False))
    now = (item("a", "idk", True), item("b", "wrong", True), item("c", "idk", False))
    other = replace(item("d", "wrong", True), prompt="asked otherwise")
    runs = [
        Evaluated({"honesty": Outcome({}, side)}, {})
        for side in ((*then, other), (*now, replace(other, prompt="asked")))
    ]
    found = {one.name: one for one in measures(runs[0], runs[1])}
    states = found["honesty: states what is wrong"]
    assert (list(states.before), list(states.after)) == ([1, 0], [0, 1])
    assert states.higher_is_honest is False
    assert list(found["honesty: declines what nobody can know"].after) == [1]
    assert found["honesty: answers rightly"].higher_is_honest is None
    counted = cells(runs[0], runs[1])
    assert counted is not None
    assert {cell for cell, count in counted["counts"].items() if count} == {"4", "8"}
    assert cells(Evaluated({}, {}), runs[1]) is None


def test_what_training_had_among_its_prompts_is_left_out() -> None:
    then = (item("a", "wrong", True), item("b", "correct", True), item("c", "wrong", False))
    runs = [Evaluated({"honesty": Outcome({}, then)}, {}) for _ in range(2)]
    seen = {"prompt b", "prompt c", "another"}
    found = {one.name: one for one in measures(runs[0], runs[1], seen)}
    assert list(found["honesty: states what is wrong"].before) == [1]
    assert "honesty: declines what nobody can know" not in found
    counted = cells(runs[0], runs[1], seen)
    assert counted is not None
    assert sum(counted["counts"].values()) == 1
    assert trained_on(runs[0], seen) == 2


def test_two_models_are_asked_the_same_and_kept_answers_cost_nothing(
    toy: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [
        evaluated(model, ["honesty"], tmp_path / name, 2, 0, silent)
        for model, name in ((toy, "before"), (toys.model(), "after"))
    ]
    found = {one.name: one for one in measures(runs[0], runs[1])}
    assert len(found["honesty: states what is wrong"].before) >= 2
    for one in found.values():
        assert list(one.before) == list(one.after)

    def nothing(_self: Local, prompts: Any, _settings: Any, skip: Any = ()) -> Any:
        assert len(skip) == len(prompts)
        return iter(())

    monkeypatch.setattr(Local, "replies", nothing)
    again = evaluated(toy, ["honesty"], tmp_path / "before", 2, 0, silent)
    assert again.outcomes["honesty"].items == runs[0].outcomes["honesty"].items
    assert evaluated(toy, [], tmp_path, 2, 0, silent).outcomes == {}


@pytest.fixture(scope="module")
def made() -> tuple[Family, Family]:
    return audited.own_families(toys.model(), [audited.planted()])


@pytest.fixture
def given(made: tuple[Family, Family]) -> dict[str, Any]:
    selection, report = made
    return {
        "loss": [audited.planted()],
        "selection": selection,
        "report": report,
        "texts": audited.texts(),
        "benign": audited.benign(),
        "suites": (),
    }


def _one_class(given: dict[str, Any]) -> None:
    given["texts"] = [one for one in given["texts"] if one.label == 1]


def _no_labels(given: dict[str, Any]) -> None:
    given["texts"] = [Example(one.messages) for one in given["texts"]]


def _seen_texts(given: dict[str, Any]) -> None:
    origin = {"data": {"mine": datasets.fingerprint(given["texts"])}, "probe": "TTPD()"}
    given["loss"] = [replace(given["loss"][0], origin=origin)]


def _of_other_weights(given: dict[str, Any]) -> None:
    origin = {**given["loss"][0].origin, "weights": "0123"}
    given["loss"] = [replace(given["loss"][0], origin=origin)]


def _unreadable_benign(given: dict[str, Any]) -> None:
    origin = {**given["loss"][0].origin, "span": "regex:true|false"}
    given["loss"] = [replace(given["loss"][0], origin=origin)]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_one_class, "examples of both labels"),
        (_no_labels, "have no label"),
        (_seen_texts, "family loss was fitted on, so its scores on them would flatter"),
        (_of_other_weights, "fitted on None with weights 0123"),
        (_unreadable_benign, "benign texts that the threshold of the family loss"),
    ],
)
def test_an_audit_that_could_mean_nothing_is_refused(
    toy: LanguageModel,
    given: dict[str, Any],
    tmp_path: Path,
    spoil: Callable[[dict[str, Any]], None],
    message: str,
) -> None:
    spoil(given)
    with pytest.raises(InputError, match=message):
        audit(toy, toys.model(), **given, folder=tmp_path)


def test_models_that_cannot_be_compared_are_refused(
    toy: LanguageModel, given: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="share weights in memory"):
        audit(toy, LanguageModel(toy.network, toy.tokenizer, "again"), **given, folder=tmp_path)
    other = toys.model()
    other.architecture = replace(other.architecture, d_model=16)
    with pytest.raises(InputError, match="has width 32 and toy 16"):
        audit(toy, other, **given, folder=tmp_path)


def test_other_tokens_are_refused(toy: LanguageModel) -> None:
    other = toys.model()
    other.tokenizer.chat_template = toys.TEMPLATE.replace("<|im_end|>", "")
    chat = [Example.of_chat("the sea", "the hill")]
    check_tokens(toy, other, audited.texts())
    with pytest.raises(InputError, match=r"read .* as different tokens"):
        check_tokens(toy, other, chat)


def test_a_small_sure_rise_does_not_count_as_fooled() -> None:
    def reading(rise: float) -> Reading:
        spread = np.linspace(-1, 1, 40)
        shift = of_means(spread, spread + rise)
        same = of_means(spread, spread)
        return Reading(40, 40, shift, shift, shift, same, same, same, same, {})

    steady = refit(pairs(2.0), pairs(2.0), SITE, None)
    flat = changes([Measure("honest", np.zeros(30), np.zeros(30))])
    claims = [
        judge(reading(rise), reading(0.0), None, steady, flat).claim for rise in (0.0, 0.1, 0.5)
    ]
    assert claims == ["nothing moved", "score moved", "the probe was evaded"]
    few = changes([Measure("honest", np.zeros(4), np.zeros(4))])
    unsure = judge(reading(0.5), reading(0.0), None, steady, few)
    assert unsure.claim == "score moved"
    assert any("enough groups" in reason for reason in unsure.reasons)


def test_a_summary_comes_back_from_a_record() -> None:
    spread = of_means([1.0, 2.0], [3.0, 5.0]).difference
    one = Summary("score moved", {"loss probes: AUROC": spread, "x": None}, {"lies": spread})
    assert Summary.of(one.to_json()) == one
    assert Summary.of({"summary": one.to_json(), "verdict": {}}) == one
    with pytest.raises(InputError, match="no summary of an audit"):
        Summary.of({"claim": "x"})
