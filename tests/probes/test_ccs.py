"""CCS: what it finds, what it must not pretend to find, and its loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize_scalar
from scipy.special import expit
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.metrics import accuracy_score, roc_auc_score

from probes import CCS
from probes.contrasts import all_pairs, pairs_in_order
from probes.pair_loss import PairTerm, _Losses, agreement, contradiction, contrast
from probes.ridge_coordinates import RidgeCoordinates
from probes.standardisation import Standardisation


def test_planted_direction_is_recovered(plant: Any, cosine: Any) -> None:
    train, test = plant(), plant(seed=1)
    probe = CCS().fit(train.X, train.y, groups=train.groups)
    assert cosine(probe.coef_, train.truth) > 0.9
    assert probe.score(test.X, test.y) > 0.94
    assert probe.pair_agreement_ > 0.97


def test_labels_only_say_which_rows_are_pairs(plant: Any, cosine: Any) -> None:
    """Exchanging the labels within any minority of pairs leaves the score, sign included."""
    data = plant(groups=40).rows(np.tile([True, True, False, False], 40))
    exchanged = np.where(data.groups % 4 == 0, 1 - data.y, data.y)
    one = CCS().fit(data.X, data.y, groups=data.groups)
    other = CCS().fit(data.X, exchanged, groups=data.groups)
    assert cosine(one.coef_, other.coef_) == pytest.approx(1.0, abs=1e-5)
    assert other.pair_agreement_ == pytest.approx(one.pair_agreement_ - 0.25, abs=0.03)


def test_coin_flip_labels_are_not_predicted(plant: Any) -> None:
    """Labels within pairs by coin flip: orientation on training rows must not leak into tests.

    The search still finds the planted contrast, so `max(accuracy, 1 - accuracy)` against the true
    labels would report success for either sign.
    """
    accuracies, signs = [], []
    for seed in range(8):
        train, test = plant(groups=50, seed=seed), plant(groups=250, seed=100 + seed)
        coins = np.random.default_rng(seed).integers(0, 2, size=(2, 250))
        probe = CCS(restarts=2).fit(train.X, train.y ^ coins[0, train.groups], groups=train.groups)
        guesses = probe.predict(test.X)
        accuracies.append(accuracy_score(test.y ^ coins[1, test.groups], guesses))
        signs.append(accuracy_score(test.y, guesses))
        assert 0.5 <= probe.pair_agreement_ < 0.75
    assert np.mean(accuracies) == pytest.approx(0.5, abs=0.03)
    assert min(signs) < 0.05
    assert max(signs) > 0.95


def test_pairs_without_contrast_score_at_chance_on_new_rows(plant: Any) -> None:
    scores = []
    for seed in range(8):
        train, test = plant(general=0.0, seed=seed), plant(general=0.0, seed=50 + seed, groups=200)
        probe = CCS(restarts=2).fit(train.X, train.y, groups=train.groups)
        scores.append(roc_auc_score(test.y, probe.decision_function(test.X)))
    assert np.mean(scores) == pytest.approx(0.5, abs=0.03)


def test_a_loud_role_is_projected_out(plant: Any) -> None:
    """A role ten times louder than truth: found without roles, invisible with them."""
    # A true affirmed row with a false negated one, or a false affirmed row with a true negated one.
    kinds = [[True, False, False, True], [False, True, True, False]]
    data = plant(form=50.0).rows(np.tile(np.ravel(kinds), 30))
    affirmed = data.polarity == 1
    with_roles = CCS().fit(data.X, data.y, groups=data.groups, polarity=data.polarity)
    scores = with_roles.decision_function(data.X)
    assert scores[affirmed].mean() == pytest.approx(scores[~affirmed].mean(), abs=1e-8)
    assert with_roles.score(data.X, data.y) > 0.95
    without = CCS().fit(data.X, data.y, groups=data.groups)
    assert without.score(data.X, data.y) < 0.7
    role = roc_auc_score(affirmed, without.decision_function(data.X))
    assert abs(role - 0.5) > 0.49


def test_scores_are_logits_of_the_minimised_loss(plant: Any) -> None:
    """The loss recomputed from the folded-back scores, at the best offset and sign."""
    data = plant()
    probe = CCS(alpha=0.05).fit(data.X, data.y, groups=data.groups, polarity=data.polarity)
    pairs = all_pairs(data.groups, data.y == 1, data.y == 0)
    scores = probe.decision_function(data.X)

    def loss(offset: float, sign: int) -> float:
        p = expit(sign * scores + offset)
        left, right = p[pairs.left], p[pairs.right]
        return float(pairs.weight @ (np.minimum(left, right) ** 2 + (left + right - 1) ** 2))

    frame = Standardisation.of(data.X, data.polarity)
    penalty = 0.025 * np.sum((probe.coef_[0] * frame.scale) ** 2)
    found: list[Any] = [minimize_scalar(loss, args=(sign,)) for sign in (1, -1)]
    best = min(result.fun for result in found)
    assert probe.loss_ == pytest.approx(best + penalty, rel=1e-6)


def test_score_does_not_depend_on_the_sign_the_search_found(plant: Any, cosine: Any) -> None:
    """The loss is not symmetric: its offset would move the threshold by up to half a logit."""
    data = plant()
    first, *others = (
        CCS(random_state=seed, restarts=2).fit(data.X, data.y, groups=data.groups)
        for seed in range(6)
    )
    for probe in (first, *others):
        assert cosine(probe.coef_, first.coef_) > 0.98
        assert probe.decision_function(data.X).mean() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("d", [10, 300])
def test_loss_is_as_low_as_from_the_supervised_direction(d: int, plant: Any) -> None:
    """Poor local minima: with many features, random starts alone end at twice this loss."""
    data = plant(groups=30, d=d, general=6.0 if d > 100 else 2.0, noise=1.0)
    probe = CCS().fit(data.X, data.y, groups=data.groups)
    frame = Standardisation.of(data.X)
    rows = frame.apply(data.X)
    pairs = all_pairs(data.groups, data.y == 1, data.y == 0)
    best = np.inf
    weights = Reference(C=0.1).fit(rows, data.y).coef_[0]
    for length in np.geomspace(0.1, 10, 30):
        p = expit(rows @ weights * length)
        left, right = p[pairs.left], p[pairs.right]
        loss = pairs.weight @ (np.minimum(left, right) ** 2 + (left + right - 1) ** 2)
        best = min(best, loss + 0.005 * length**2 * weights @ weights)
    assert probe.loss_ <= best


def test_fit_is_deterministic_and_seeded(plant: Any) -> None:
    data = plant(general=0.3)
    one, other = (CCS().fit(data.X, data.y, groups=data.groups) for _ in range(2))
    np.testing.assert_array_equal(one.coef_, other.coef_)
    assert one.restart_losses_.shape == (10,)
    reseeded = CCS(random_state=1).fit(data.X, data.y, groups=data.groups)
    assert not np.array_equal(reseeded.restart_losses_, one.restart_losses_)


@pytest.mark.parametrize("penalty", [contrast, agreement, contradiction])
@pytest.mark.parametrize(("n", "d"), [(24, 5), (8, 20)])
def test_gradient_is_the_derivative_of_the_loss(penalty: Any, n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    codes, honest = np.repeat(np.arange(n // 4), 4), np.tile([True, False, True, False], n // 4)
    space = RidgeCoordinates.of(rng.normal(size=(n, d)), 0.25 / n, 0.3)
    losses = _Losses(space, [PairTerm(penalty, all_pairs(codes, honest, ~honest), 0.7)])

    def value(flat: Any) -> float:
        return float(losses(flat.reshape(-1, 2))[0].sum())

    def slope(flat: Any) -> Any:
        return losses(flat.reshape(-1, 2))[1].ravel()

    point = rng.normal(size=(space.size + 1) * 2)
    assert check_grad(value, slope, point) < 1e-5


def test_penalty_values() -> None:
    """Perfect contrast costs nothing, p = q = 1/2 costs 1/4, agreement of both costs 1 or 2."""
    p, q = np.array([1.0, 0.5, 0.0, 1.0, 0.9]), np.array([0.0, 0.5, 0.0, 1.0, 0.2])
    np.testing.assert_allclose(contrast(p, q).value, [0.0, 0.25, 1.0, 2.0, 0.05])


def test_polar_consistency_and_contradiction_golden() -> None:
    """(A yes, A no, not-A yes, not-A no) -> |PC|, CI, computed by hand from the definitions."""
    table = {
        (1.0, 0.0, 0.0, 1.0): (0.0, 0.0),
        (0.9, 0.1, 0.2, 0.8): (0.01, 0.26),
        (0.9, 0.1, 0.1, 0.9): (0.0, 0.18),
        (0.6, 0.4, 0.3, 0.7): (0.01, 0.46),
        (0.5, 0.5, 0.5, 0.5): (0.0, 0.5),
    }
    for row, (consistency, index) in table.items():
        yes, no, not_yes, not_no = (np.array([value]) for value in row)
        gap = agreement(yes, not_no).value + agreement(no, not_yes).value
        both = contradiction(yes, not_yes).value + contradiction(no, not_no).value
        assert (gap.item(), both.item()) == pytest.approx((consistency, index), abs=1e-12)


def test_all_pairs_of_a_group_share_its_weight() -> None:
    codes = np.array([0, 0, 0, 1, 1])
    honest = np.array([True, False, False, True, False])
    pairs = all_pairs(codes, honest, ~honest)
    found = sorted(zip(pairs.left.tolist(), pairs.right.tolist(), pairs.weight, strict=True))
    assert found == [(0, 1, 0.25), (0, 2, 0.25), (3, 4, 0.5)]


def test_pairs_in_order_go_round_the_shorter_class() -> None:
    pairs = pairs_in_order(np.array([True, False, True, True]))
    assert (pairs.left.tolist(), pairs.right.tolist()) == ([0, 2, 3], [1, 1, 1])
    assert pairs.weight.sum() == pytest.approx(1.0)
