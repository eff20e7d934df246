from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy as toys

from repalign.errors import InputError
from repalign.examples import Example
from repalign.metrics import threshold_at
from repalign.models import LanguageModel
from repalign.monitoring import Calibration, Monitor, TokenScore, Watched
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span

Make = Callable[..., Readout]
ANSWERS = ["the sea is true", "true", "the sea is false", "rain and wrong and wrong", "right moon"]


def chats(answers: list[str] = ANSWERS) -> list[Example]:
    return [Example.of_chat("the moon", answer) for answer in answers]


def test_given_answers_are_scored_token_by_token(planted: Monitor) -> None:
    watched = planted.score(chats())
    assert [one.text for one in watched] == ANSWERS
    for one, answer in zip(watched, ANSWERS, strict=True):
        wanted = [2.0 * ((w in toys.TRUE) - (w in toys.FALSE)) for w in answer.split()]
        got = [token.score for token in one.tokens]
        np.testing.assert_allclose(got, wanted, atol=1e-5)
        assert one.score == pytest.approx(np.mean(wanted), abs=1e-5)
        assert all(token.counted and token.probability is None for token in one.tokens)
    # The mean of the fourth is -4/5, of the third only -2/4.
    assert [one.flagged for one in watched] == [False, False, False, True, False]


def test_the_aggregate_decides(planted: Monitor) -> None:
    worst = replace(planted, threshold=-1.0, aggregate="max")
    assert [one.flagged for one in worst.score(chats())] == [False, False, True, True, False]
    assert [one.score for one in worst.score(chats())] == pytest.approx([0, 2, -2, -2, 0], abs=1e-5)


def test_order_and_number_of_texts_are_kept(monitor: Monitor) -> None:
    rows = chats([" and ".join(["moon"] * (1 + 7 * k % 5)) for k in range(9)])
    together = monitor.score(rows)
    for row, watched in zip(rows, together, strict=True):
        (alone,) = monitor.score([row])
        assert watched.score == pytest.approx(alone.score, abs=1e-4)
        assert watched.text == row.messages[-1].content


def test_a_whole_text_is_scored_over_its_span(planted: Monitor) -> None:
    every = replace(planted, threshold=None, span="all")
    (watched,) = every.score([Example.of_text("the sea is false")])
    assert [t.score for t in watched.tokens] == pytest.approx([0, 0, 0, -2], abs=1e-5)
    assert watched.flagged is None
    with pytest.raises(InputError, match="covers no token"):
        planted.score([Example.of_text("the sea is false")])


def test_a_threshold_of_another_span_or_aggregate_is_refused(planted: Monitor) -> None:
    readout = replace(planted.readout, threshold=-0.25, span=Span("last"))
    with pytest.raises(InputError, match=r"span 'last', not for the mean over span 'answer'.*cali"):
        Monitor(planted.model, readout, readout.threshold)
    mine = replace(planted.readout, threshold=-0.25)
    assert Monitor(planted.model, mine, mine.threshold).threshold == -0.25
    with pytest.raises(InputError, match="not for the max over"):
        Monitor(planted.model, mine, mine.threshold, "max")
    calibrated = Monitor(planted.model, mine).calibrate(chats(), fpr=0.2)
    for change in ({"aggregate": "top-2"}, {"span": "all"}, {"threshold": 0.5}):
        with pytest.raises(InputError, match="Call calibrate"):
            replace(calibrated, **change)
    with pytest.raises(InputError, match="finite"):
        Monitor(planted.model, mine, float("nan"))


def test_a_saved_probes_threshold_is_taken_where_it_fits(planted: Monitor, tmp_path: Path) -> None:
    planted.readout.save(tmp_path)
    assert Monitor.load(planted.model, tmp_path).threshold == -0.6
    assert Monitor.load(planted.model, tmp_path, aggregate="max").threshold is None
    assert Monitor.load(planted.model, tmp_path, span="assistant").threshold is None


def test_another_models_probe_is_refused(planted: Monitor, tmp_path: Path) -> None:
    replace(planted.readout, origin={"model": "other", "weights": "0" * 16}).save(tmp_path)
    with pytest.raises(InputError, match="fitted on other"):
        Monitor.load(planted.model, tmp_path)
    with pytest.raises(InputError, match="no probe"):
        Monitor.load(planted.model, tmp_path / "none")


@pytest.mark.parametrize("fpr", [0.0, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_ties_never_push_the_rate_above_what_was_asked_for(
    toy: LanguageModel, planted: Monitor, aggregate: str, fpr: float
) -> None:
    benign = chats(ANSWERS * 4)
    monitor = Monitor(toy, planted.readout, aggregate=aggregate).calibrate(benign, fpr)
    watched = monitor.score(benign)
    share = np.mean([bool(one.flagged) for one in watched])
    assert share <= fpr
    found = monitor.calibration
    assert found is not None
    assert (found.flagged, found.n, found.generated, found.fpr) == (share, 20, 0, fpr)
    assert (found.span, found.aggregate) == ("answer", aggregate)
    assert monitor.threshold == threshold_at([one.score or 0.0 for one in watched], fpr)
    tokens = [token.score for one in watched for token in one.tokens]
    assert np.mean(np.array(tokens) < monitor.token_threshold) <= fpr
    assert found.tokens == len(tokens)


def test_what_a_threshold_will_flag_of_others_is_known_without_their_distribution() -> None:
    """Simulated: calibrate on 40 draws at 5%, count the share of the whole distribution below."""
    random = np.random.default_rng(0)

    def calibrated() -> Calibration:
        draws = [Watched((token(score),), score, None) for score in random.exponential(size=40)]
        return Calibration.of(draws, 0.05, "answer", "mean")

    found = calibrated()
    rates = [1 - np.exp(-calibrated().threshold) for _ in range(300)]
    assert found.expected.value == pytest.approx(3 / 41)
    assert np.mean(rates) == pytest.approx(3 / 41, abs=0.004)
    inside = np.mean([found.expected.low <= rate <= found.expected.high for rate in rates])
    assert inside == pytest.approx(0.95, abs=0.03)


def token(score: float, counted: bool = True) -> TokenScore:
    return TokenScore(5, "x", score, None, counted)


def test_tokens_that_do_not_count_have_no_part_in_a_threshold() -> None:
    watched = [
        Watched((token(value), token(-100.0, False)), value, None) for value in (1.0, 2.0, 3.0)
    ]
    empty = Watched((token(-50.0, False),), None, None)
    found = Calibration.of([*watched, empty], 0.0, "answer", "mean")
    assert (found.threshold, found.token_threshold, found.n, found.tokens) == (1.0, 1.0, 3, 3)
    assert (found.token_median, found.token_spread) == (2.0, 1.0)
    with pytest.raises(InputError, match="none has any"):
        Calibration.of([empty], 0.0, "answer", "mean")


def test_benign_prompts_without_an_answer_are_answered(monitor: Monitor) -> None:
    prompts = ["the sea", "the moon", *chats(["rain is true"])]
    found = monitor.calibrate(prompts, 0.5, max_new_tokens=4)
    assert found.calibration is not None
    assert (found.calibration.n, found.calibration.generated) == (3, 2)
    scores = [w.score for w in monitor.generate(prompts[:2], max_new_tokens=4)]
    scores += [w.score for w in monitor.score(prompts[2:])]  # pyright: ignore[reportArgumentType]
    assert found.threshold == pytest.approx(threshold_at([s or 0.0 for s in scores], 0.5))


def test_single_tokens_have_a_threshold_only_after_calibration(planted: Monitor) -> None:
    with pytest.raises(InputError, match="calibrate"):
        _ = planted.token_threshold
    found = replace(planted, threshold=None).calibrate(chats(), 0.3)
    # 3 of the 14 tokens score -2, which is fewer than 30%; the next higher score is 0.
    assert found.token_threshold == pytest.approx(0.0, abs=1e-5)


def test_a_watched_answer_is_plain_data(planted: Monitor) -> None:
    (watched,) = planted.generate(["the moon"], max_new_tokens=3)
    record = watched.record()
    assert record["tokens"] == [t.text for t in watched.tokens]
    assert record["scores"] == [t.score for t in watched.tokens]
    assert record["text"] == watched.text
    assert record["score"] == watched.score
    assert planted.record() == {
        "sites": ["L2.resid_post"],
        "span": "answer",
        "aggregate": "mean",
        "threshold": -0.6,
        "calibration": None,
    }


def test_an_answer_without_words_has_no_score(planted: Monitor) -> None:
    nothing = planted.judge([token(-9.0, counted=False)])
    assert (nothing.score, nothing.flagged) == (None, None)


def test_probes_of_a_site_the_model_lacks_are_refused(toy: LanguageModel, readout: Make) -> None:
    with pytest.raises(InputError, match="no site L9"):
        Monitor(toy, readout(Site(9)))
