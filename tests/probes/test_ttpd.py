"""TTPD: truth that negation does not turn round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from probes import TTPD, MeanDifference


def test_truth_survives_polarity_where_the_mean_difference_does_not(plant: Any) -> None:
    train = plant(groups=150, general=4.0, flipping=4.0, form=6.0)
    test = plant(groups=300, general=4.0, flipping=4.0, form=6.0, seed=1)
    probe: Any = TTPD().fit(train.X, train.y, polarity=train.polarity)
    affirmed = train.polarity == 1
    plain = MeanDifference().fit(train.X[affirmed], train.y[affirmed])
    for sign, expected in ((1, 0.95), (-1, 0.5)):
        rows = test.polarity == sign
        assert roc_auc_score(test.y[rows], probe.decision_function(test.X[rows])) > 0.95
        auroc = roc_auc_score(test.y[rows], plain.decision_function(test.X[rows]))
        assert auroc == pytest.approx(expected, abs=0.06)
    assert probe.score(test.X, test.y) > 0.95


def test_directions_are_the_least_squares_of_the_paper(plant: Any) -> None:
    """With the four kinds of rows equally many: X = [t, t p], (X'X)^-1 X' A, A centred once."""
    data = plant(flipping=2.0, form=3.0)
    truth = 2 * data.y - 1
    design = np.column_stack([truth, truth * data.polarity])
    centred = data.X - data.X.mean(axis=0)
    expected = np.linalg.inv(design.T @ design) @ design.T @ centred
    probe: Any = TTPD().fit(data.X, data.y, polarity=data.polarity)
    np.testing.assert_allclose(probe.truth_direction_, expected[0], atol=1e-10)
    np.testing.assert_allclose(probe.flipping_direction_, expected[1], atol=1e-10)


def test_polarity_does_not_leak_into_truth_from_unequal_kinds(plant: Any, cosine: Any) -> None:
    """Affirmed rows mostly true: centring alone would put the loud polarity axis into t_G."""
    data = plant(groups=200, form=20.0)
    few = (data.groups % 8 != 0) & (data.polarity == 1) & (data.y == 0)
    skewed = data.rows(~few)
    probe: Any = TTPD().fit(skewed.X, skewed.y, polarity=skewed.polarity)
    assert cosine(probe.truth_direction_, data.truth) > 0.95


def test_without_both_polarities_only_the_truth_direction_is_fitted(
    plant: Any, cosine: Any
) -> None:
    data = plant()
    plain = TTPD().fit(data.X, data.y)
    expected = MeanDifference().fit(data.X, data.y).coef_
    assert plain.flipping_direction_ is None
    assert plain.polarity_direction_ is None
    assert cosine(plain.truth_direction_, expected) == pytest.approx(1.0)
    assert cosine(plain.coef_, expected) == pytest.approx(1.0)
    for value in (0, 1):
        same = TTPD().fit(data.X, data.y, polarity=np.full(len(data.y), value))
        np.testing.assert_array_equal(same.coef_, plain.coef_)


def test_rows_of_neither_polarity_inform_truth_only(plant: Any) -> None:
    data = plant(flipping=3.0, form=5.0)
    some = np.where(data.groups < 20, 0, data.polarity)
    probe: Any = TTPD().fit(data.X, data.y, polarity=some)
    stated = data.rows(some != 0)
    reference: Any = TTPD().fit(stated.X, stated.y, polarity=stated.polarity)
    np.testing.assert_allclose(probe.polarity_direction_, reference.polarity_direction_)
    assert not np.allclose(probe.truth_direction_, reference.truth_direction_)


def test_score_lies_in_the_plane_of_truth_and_polarity(plant: Any) -> None:
    data = plant(flipping=2.0, form=3.0)
    probe: Any = TTPD().fit(data.X, data.y, polarity=data.polarity)
    plane = np.stack([probe.truth_direction_, probe.polarity_direction_])
    _, residual, *_ = np.linalg.lstsq(plane.T, probe.coef_[0], rcond=None)
    assert residual.item() < 1e-20
    probabilities = probe.predict_proba(data.X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    np.testing.assert_array_equal(probabilities[:, 1] > 0.5, probe.predict(data.X) == 1)


def test_polarity_feature_corrects_a_truth_axis_that_polarity_moves(plant: Any) -> None:
    """Polarity shifts rows along truth and along an axis of its own, which tells how far."""
    data = plant(topic=0.3, noise=0.2)
    X = data.X + 4.0 * np.outer(data.polarity, data.truth + data.flipping)
    probe = TTPD().fit(X, data.y, polarity=data.polarity)
    assert probe.score(X, data.y) > 0.9
    assert TTPD().fit(X, data.y).score(X, data.y) < 0.8
