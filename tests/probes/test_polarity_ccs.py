"""Polarity-aware CCS: the contrast that survives negation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from probes import CCS, PolarityCCS


def test_finds_the_truth_that_does_not_flip(plant: Any, cosine: Any) -> None:
    """A louder contrast that flips with polarity satisfies plain CCS within each polarity."""
    train, test = plant(flipping=8.0, form=4.0), plant(seed=1)
    held = {"groups": train.groups, "polarity": train.polarity}
    probe = PolarityCCS().fit(train.X, train.y, **held)
    assert cosine(probe.coef_, train.truth) > 0.8
    assert probe.score(train.X, train.y) > 0.95
    assert probe.score(test.X, test.y) > 0.9
    plain = PolarityCCS(strength=0.0).fit(train.X, train.y, **held)
    assert abs(cosine(plain.coef_, train.flipping)) > 0.8
    assert plain.score(train.X, train.y) < 0.7


def test_polarity_itself_gets_no_weight(plant: Any) -> None:
    data = plant(form=30.0)
    probe = PolarityCCS().fit(data.X, data.y, groups=data.groups, polarity=data.polarity)
    scores = probe.decision_function(data.X)
    means = [scores[data.polarity == sign].mean() for sign in (1, -1)]
    assert means[0] == pytest.approx(means[1], abs=1e-8)
    assert probe.score(data.X, data.y) > 0.97


def test_labels_only_relate_the_rows_of_a_group(plant: Any, cosine: Any) -> None:
    data = plant(flipping=2.0)
    exchanged = np.where(data.groups % 4 == 0, 1 - data.y, data.y)
    one, other = (
        PolarityCCS().fit(data.X, y, groups=data.groups, polarity=data.polarity)
        for y in (data.y, exchanged)
    )
    assert cosine(one.coef_, other.coef_) == pytest.approx(1.0, abs=1e-4)


def test_without_polarity_it_is_ccs(plant: Any) -> None:
    data = plant(general=1.0)
    ours = PolarityCCS().fit(data.X, data.y, groups=data.groups)
    plain = CCS().fit(data.X, data.y, groups=data.groups)
    np.testing.assert_array_equal(ours.coef_, plain.coef_)


def test_incomplete_designs_are_refused(plant: Any) -> None:
    data = plant()
    with pytest.raises(ValueError, match="polarity was given without groups"):
        PolarityCCS().fit(data.X, data.y, polarity=data.polarity)
    lacking = data.rows(np.arange(len(data.y)) != 2)
    with pytest.raises(ValueError, match="1 of 60 groups lack one of the four kinds"):
        PolarityCCS().fit(lacking.X, lacking.y, groups=lacking.groups, polarity=lacking.polarity)
    neither = np.where(data.groups == 0, 0, data.polarity)
    with pytest.raises(ValueError, match="4 rows have polarity 0"):
        PolarityCCS().fit(data.X, data.y, groups=data.groups, polarity=neither)
