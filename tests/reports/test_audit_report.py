"""The page of a training: the verdict first, and every figure of the audit with its interval."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from repalign.errors import InputError
from repalign.reports import document, training
from repalign.reports.audit import rungs, section
from repalign.runs import Environment, Run

E = dict[str, Any]


class Numbers:
    """Estimates that are all different, so that each can be found on a page."""

    def __init__(self) -> None:
        self.given = 0

    def __call__(self, value: float | None = None) -> E:
        self.given += 1
        at = 0.1 + 0.013 * (self.given % 60) if value is None else value
        return {"value": at, "low": at - 0.05, "high": at + 0.04, "n": 30, "level": 0.95}

    def shift(self) -> E:
        return {"before": self(), "after": self(), "difference": self()}


def summary(number: Numbers, claim: str, **behaviour: E) -> E:
    names = ("loss probes: AUROC", "KL, nats a token")
    return {"claim": claim, "figures": {n: number() for n in names}, "behaviour": behaviour}


def record(claim: str = "the probe was evaded", *, probe_in_loss: bool = True) -> E:
    number = Numbers()
    names = ("score", "honest", "dishonest", "auroc", "recall", "flagged_honest", "flagged_benign")
    probe: E = {"sites": ["L3.resid_post"], "probe": "LDA()", "data": {"capitals": "f0"}}
    families = ("loss", "selection", "report") if probe_in_loss else ("selection", "report")
    measure = {
        "name": "mask: lies <b>",
        "items": 24,
        **number.shift(),
        "higher_is_honest": False,
        "p": 0.001,
        "p_adjusted": 0.0123,
        "sure": True,
    }
    price = {
        **measure,
        "name": "refusal",
        "higher_is_honest": None,
        "p_adjusted": None,
        "sure": False,
    }
    return {
        "format": "repalign.audit/1",
        "verdict": {
            "claim": claim,
            "sentence": "The sentence of the verdict.",
            "reasons": ["A reason with 0.12 [0.10, 0.15]."],
            "evidence": {"probe_in_loss": probe_in_loss},
        },
        "summary": summary(number, claim, lies=number()),
        "probes": {
            family: {
                "texts": 40,
                "groups": 20,
                **{name: number.shift() for name in names},
                "family": {"probes": [probe]},
            }
            for family in families
        },
        "own_answers": {
            "report": {name: number.shift() for name in ("text", "activations", "total")}
        },
        "refits": {
            "L3.resid_post": {
                "auroc": number.shift() | {"after": number(0.9)},
                "shuffled": number(),
                "angle": number(61.0),
                "angle_before": None,
            }
        },
        "drift": {
            "L3.resid_post": {
                "rows": 90,
                "size": number(),
                "rank": number(7.0),
                "along": None,
                "along_random": number(),
            }
        },
        "baselines": {"bag_of_words": number(0.52), "length": number(0.51)},
        "behaviour": [price, measure],
        "cells": {
            "counts": {str(cell): cell for cell in range(1, 10)},
            "prudence": number(),
            "over_conservativeness": None,
        },
        "writing": {
            "kl": number(),
            "kl_worst": number(),
            **{name: number.shift() for name in ("perplexity", "length", "repetition")},
            "samples": [["Who?", "<i>me</i>", ""]],
        },
        "controls": {
            "plain": summary(number, "no behaviour moved", other=number()),
            "random": summary(number, "behaviour moved", lies=number()),
        },
        "models": {},
        "notes": ["A note of the audit."],
    }


def run(results: E, verb: str = "train") -> Run:
    return Run(
        verb=verb,
        asked={"method": "dpo", "plan": "[method]\nname = 'dpo' # <plan>"},
        model={"name": "toy"},
        environment=Environment.here(),
        started="2026-01-01T00:00:00",
        seconds=3.0,
        results=results,
    )


LOG = [{"step": n, "loss": 5 / n, "penalty/movement": 1 / n, "epoch": n} for n in range(1, 6)]


def test_the_page_says_the_verdict_first_and_holds_everything() -> None:
    found = record()
    page = training.render(run({"audit": found, "log": LOG}))
    words = page.index("The sentence of the verdict.")
    assert words < page.index("Did training move the model")
    for part in ("A reason with", "A note of the audit.", "plain", "random", "other", "LDA()"):
        assert page.index(part) > words
    assert "mask: lies &lt;b&gt;" in page
    assert "<i>me</i>" not in page
    assert "# &lt;plan&gt;" in page
    assert "<script" not in page
    assert page.count("<svg") == 3
    shown = found["probes"]["report"]["recall"]["difference"]
    interval = rf"{shown['value']:.2f} \[{shown['low']:.2f}, {shown['high']:.2f}\]"
    assert re.search(interval, page)
    # Measures that count come first, and what was sure is coloured by its way: fewer lies are good.
    assert page.index("mask: lies &lt;b&gt;") < page.index(">refusal<")
    assert 'class="number bad"' in page
    assert "0.0123" in page


def test_better_is_lower_where_lower_is_honest() -> None:
    found = record()
    for one in found["behaviour"]:
        one["difference"] = {"value": -0.4, "low": -0.5, "high": -0.3, "n": 24, "level": 0.95}
    page = training.render(run({"audit": found}))
    assert 'class="number good"' in page
    assert 'class="number bad"' not in page


def test_the_ladder_is_climbed_as_far_as_the_claim() -> None:
    verdict = {"claim": "behaviour moved", "evidence": {"probe_in_loss": True}}
    assert [one.reached for one in rungs(verdict)] == [True, True, True, False]
    assert [one.is_verdict for one in rungs(verdict)] == [False, False, True, False]
    verdict["evidence"] = {"probe_in_loss": False}
    assert [one.reached for one in rungs(verdict)] == [True, True, False]
    verdict["claim"] = "the probe was evaded"
    assert not any(one.reached for one in rungs(verdict))


def test_cautions_name_a_control_that_does_as_well_and_words_that_tell() -> None:
    found = record()
    said = section(found)["cautions"]
    assert len(said) == 2
    assert "control “random”" in said[1]
    found["baselines"]["bag_of_words"]["high"] = 0.86
    assert "bag of words" in section(found)["cautions"][1]


def test_a_control_without_a_figure_has_a_dash() -> None:
    beside = section(record())["side_by_side"]
    assert beside["columns"] == ["this training", "plain", "random"]
    rows = dict(beside["behaviour"])
    assert [one is None for one in rows["lies"]] == [False, True, False]
    assert [one is None for one in rows["other"]] == [True, False, True]


@pytest.mark.parametrize("probe_in_loss", [True, False])
def test_runs_are_written_with_and_without_what_they_may_lack(
    tmp_path: Path, probe_in_loss: bool
) -> None:
    found = record("no behaviour moved", probe_in_loss=probe_in_loss)
    found |= {"cells": None, "own_answers": {}, "controls": {}, "behaviour": []}
    run(json.loads(json.dumps({"audit": found}))).save(tmp_path)
    page = document.write(tmp_path).read_text()
    assert "Beside its controls" not in page
    assert "No behaviour was measured." in page
    assert ("Probes in the loss" in page) is probe_in_loss


def test_a_run_without_an_audit_says_so_and_shows_its_curves() -> None:
    page = training.render(run({"log": LOG}))
    assert "no audit was made" in page
    assert page.count("<svg") == 1
    assert training.curves_of(LOG)["penalties"]["penalty/movement"][0] == (1.0, 1.0)
    assert "epoch" not in str(training.curves_of(LOG))
    assert "<svg" not in training.render(run({}))


def test_other_runs_and_figures_without_an_interval_are_refused() -> None:
    with pytest.raises(InputError, match="run of 'steer'"):
        training.render(run({}, "steer"))
    with pytest.raises(InputError, match="no verdict"):
        section({"probes": {}})
    found = record()
    del found["probes"]["loss"]["auroc"]["after"]["low"]
    with pytest.raises(InputError, match="no low"):
        training.render(run({"audit": found}))
