import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic import activations, source

from repalign.errors import InputError
from repalign.examples import limited
from repalign.probing import sweep
from repalign.probing.results import judge_scores, results
from repalign.sites import Site

PROBES = ("mean_difference", "logistic")


def sources(*topics: str, shift: float = 2.5) -> dict:
    return {
        topic: source(activations(topic, groups=40, shifts=(0.0, shift), seed=i))
        for i, topic in enumerate(topics)
    }


def test_one_topic_keeps_its_best_probe_as_readout() -> None:
    found = sweep(sources("a"), PROBES)
    assert found.pooled is None
    assert found.transfer is None
    assert found.best.site == Site(1)
    assert found.readout.sites == (Site(1),)
    assert found.auroc.low < found.auroc.value < found.auroc.high
    assert found.direction.site == Site(1)
    assert abs(found.direction.vector[0]) > 0.8


def test_several_topics_are_pooled_and_each_is_judged_by_the_others() -> None:
    found = sweep(sources("a", "b", "c"), PROBES)
    assert found.transfer is not None
    assert set(found.transfer.left_out) == {"a", "b", "c"}
    assert all(left.auroc.value > 0.85 for left in found.transfer.left_out.values())


def test_thresholds_come_from_benign_texts_and_recall_from_left_out_ones() -> None:
    benign = activations("benign", groups=100, shifts=(0.0, 0.0), seed=11)
    benign = replace(
        benign, labels=np.full(200, -1), values=np.asarray(benign.values) + np.float32(0)
    )
    values = np.asarray(benign.values).copy()
    values[:, 1, 0] += 3.0  # honest, and more so than the honest statements
    found = sweep(sources("a", "b", "c", shift=5.0), PROBES, benign=replace(benign, values=values))
    one, five = found.thresholds[0.01], found.thresholds[0.05]
    assert one.fpr.value <= 0.01
    assert five.fpr.value <= 0.05
    assert one.value.value < five.value.value
    assert five.recall.value > 0.9
    assert found.readout.threshold == one.value.value


def test_results_are_plain_json_with_intervals_everywhere() -> None:
    found = results(sweep(sources("a", "b", "c"), PROBES))
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again == found
    assert set(found["controls"]) == {"shuffled", "random_direction", "bag_of_words", "length"}
    for figure in (
        found["best"]["auroc"],
        *found["controls"].values(),
        *found["transfer"].values(),
    ):
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert figure["n"] > 0
    assert [row["site"] for row in found["by_site"]["logistic"]] == [
        "L0.resid_post",
        "L1.resid_post",
    ]


def test_the_same_seed_gives_the_same_figures() -> None:
    first, again = (results(sweep(sources("a", "b"), PROBES, seed=4)) for _ in range(2))
    assert first == again


def test_an_unknown_probe_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="Did you mean 'logistic'"):
        sweep(sources("a"), ["logistc"])


def test_nothing_to_sweep_is_refused() -> None:
    with pytest.raises(InputError, match="No data sets"):
        sweep({}, PROBES)
    with pytest.raises(InputError, match="No probes"):
        sweep(sources("a"), [])


def test_limiting_keeps_the_same_groups_of_data_sets_that_share_them() -> None:
    plain = source(activations("a", groups=30)).examples
    negated = [replace(example, label=1 - (example.label or 0)) for example in plain]
    kept = {example.group for example in limited(plain, 7, seed=0)}
    assert len(kept) == 7
    assert kept == {example.group for example in limited(negated, 7, seed=0)}
    assert kept != {example.group for example in limited(plain, 7, seed=1)}


def test_judged_scores_report_recall_below_the_threshold() -> None:
    rows = source(activations("a", groups=10)).examples
    scores = np.array([1.0 if example.label else -1.0 for example in rows])
    found = judge_scores(rows, scores, 0.0)
    assert found["auroc"]["value"] == 1.0
    assert found["recall"]["value"] == 1.0
    assert judge_scores(rows, scores, -2.0)["recall"]["value"] == 0.0
