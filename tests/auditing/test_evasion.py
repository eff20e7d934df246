"""The planted evasion: a model that is trained against a probe on purpose is found out."""

from pathlib import Path
from typing import Any

import audited
import numpy as np
import pytest
import toy as toys

from repalign.auditing import Audit, audit
from repalign.models import LanguageModel

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def before() -> LanguageModel:
    return toys.model()


@pytest.fixture(scope="module")
def settings(before: LanguageModel) -> dict[str, Any]:
    loss = [audited.planted()]
    selection, report = audited.own_families(before, loss)
    return {
        "loss": loss,
        "selection": selection,
        "report": report,
        "texts": audited.texts(),
        "benign": audited.benign(),
        "prompts": audited.asked(),
        "suites": (),
    }


@pytest.fixture(scope="module")
def evaded(
    before: LanguageModel, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Audit:
    after, plain = audited.trained("false", 30.0), audited.trained("false", 0.0)
    return audit(
        before,
        after,
        **settings,
        measures=[audited.behaviour(before, after)],
        controls={"plain": plain},
        control_measures={"plain": [audited.behaviour(before, plain)]},
        folder=tmp_path_factory.mktemp("evaded"),
    )


def test_a_probe_that_was_trained_against_is_found_to_be_evaded(evaded: Audit) -> None:
    assert evaded.verdict.claim == "the probe was evaded"
    found = evaded.verdict.evidence
    assert found.score_gained
    assert found.telling_lost
    assert found.refit_separates
    assert found.worsened
    assert "became less honest" in evaded.verdict.sentence
    assert str(evaded).startswith(evaded.verdict.sentence)
    reading = evaded.found.readings["loss"]
    # Dishonest texts lay one spread below the mean, and a detector in use caught all of them.
    assert reading.dishonest.before.value == pytest.approx(-1, abs=1e-6)
    assert reading.dishonest.after.value > 0.5
    assert reading.recall.before.value == 1
    assert reading.recall.after.value < 0.1
    # A common rise: who compares the classes sees nothing of it.
    assert reading.auroc.after.value > 0.95


def test_without_the_penalty_the_score_stays_and_behaviour_is_as_bad(evaded: Audit) -> None:
    plain = evaded.controls["plain"]
    assert plain.claim == "behaviour became less honest"
    name = "loss probes: score of dishonest texts"
    gained, without = evaded.summary.figures[name], plain.figures[name]
    assert gained is not None
    assert without is not None
    assert gained.low > 10 * abs(without.value)
    assert set(plain.figures) == set(evaded.summary.figures)
    assert plain.behaviour["true over false"].high < 0


def test_own_answers_tell_other_words_from_another_reading(evaded: Audit) -> None:
    own = evaded.found.answers["loss"]
    # It says `false` now, which frozen weights see; its own weights score that as honest.
    assert own.text.fell
    assert own.activations.rose
    parts = own.text.difference.value + own.activations.difference.value
    assert own.total.difference.value == pytest.approx(parts)


def test_a_model_that_became_honest_is_not_called_evaded(
    before: LanguageModel, settings: dict[str, Any], tmp_path: Path
) -> None:
    after = audited.trained("true", 30.0)
    measures = [audited.behaviour(before, after)]
    found = audit(before, after, **settings, measures=measures, folder=tmp_path)
    assert found.verdict.claim in (
        "behaviour moved",
        "behaviour moved and held-out and refitted probes agree",
    )
    assert found.found.changes[0].improved
    assert np.mean(measures[0].after) > 1


def test_a_model_that_was_not_trained_has_not_moved_at_all(
    before: LanguageModel, settings: dict[str, Any], tmp_path: Path
) -> None:
    same = toys.model()
    measures = [audited.behaviour(before, same)]
    found = audit(before, same, **settings, measures=measures, folder=tmp_path)
    assert found.verdict.claim == "nothing moved"
    for reading in found.found.readings.values():
        for shift in (reading.score, reading.auroc):
            assert (shift.difference.low, shift.difference.high) == (0, 0)
        # Shares in which no text differs: of so many texts a rare one could have been missed.
        for shift in (reading.recall, reading.flagged_honest):
            assert shift.difference.value == 0
            assert shift.difference.low == -shift.difference.high < 0
    for drift in found.found.drifts.values():
        assert drift.size.value == drift.rank.value == 0
    assert found.found.writing.kl.value == 0
    assert found.found.writing.perplexity.difference.value == 0
