"""Directions with a known answer: planted features are found, and shuffled ones are not."""

import numpy as np
import pytest

from repalign.errors import InputError
from repalign.metrics import auroc
from repalign.probing.gaps import ENSEMBLE, VARIANTS, Gaps, direction

WIDTH, LAYERS = 24, 3


def planted(
    count: int, seed: int, *, shuffled: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wrong answers lack the second axis at layer 1; the prompts differ along it, by how far."""
    generator = np.random.default_rng(seed)
    wrong = generator.random(count) < 0.5
    states = generator.standard_normal((count, LAYERS, WIDTH))
    lack = generator.permutation(wrong) if shuffled else wrong
    states[:, 1, 1] -= 4.0 * lack
    differences = 0.3 * generator.standard_normal((count, LAYERS, WIDTH))
    differences[:, 1, 1] += 2.0 + generator.standard_normal(count)
    return differences, states, wrong


def test_directions_by_hand() -> None:
    """The mean points along x, what varies is y."""
    rows = np.array([[3.0, 1.0], [3.0, -1.0], [3.0, 2.0], [3.0, -2.0]])
    assert np.abs(direction(rows, "paper")) == pytest.approx([0, 1])
    assert direction(rows, "mean-difference") == pytest.approx([1, 0])
    turned = direction(np.repeat(rows, 50, axis=0), "sign-randomised")
    assert abs(turned[0]) > 0.95, "turned round by chance, where they point is what varies"
    drawn = direction(rows, "random", seed=3)
    assert np.linalg.norm(drawn) == pytest.approx(1)
    np.testing.assert_array_equal(drawn, direction(5 * rows, "random", seed=3))


@pytest.mark.parametrize("variant", ["paper", "sign-randomised", "mean-difference"])
def test_a_planted_feature_is_found_at_its_layer_and_with_its_sign(variant: str) -> None:
    differences, _, _ = planted(60, 1)
    _, chooses, wrong = planted(80, 2)
    gaps = Gaps.fit({"honesty": differences}, chooses, wrong, variant)
    assert gaps.layers == [1]
    assert gaps.features["honesty"].vector[1] < -0.9, "a state that has more of it is surer"
    _, states, truth = planted(200, 3)
    found = gaps.scores(states)
    assert auroc(truth.astype(int), found["honesty"]).value > 0.95
    assert auroc(truth.astype(int), found[ENSEMBLE]).value > 0.95


def test_a_random_direction_and_shuffled_answers_find_nothing() -> None:
    values = []
    for seed in range(8):
        differences, _, _ = planted(60, 10 + seed)
        _, chooses, wrong = planted(80, 30 + seed, shuffled=True)
        gaps = Gaps.fit({"honesty": differences}, chooses, wrong, "paper")
        _, states, truth = planted(200, 50 + seed, shuffled=True)
        values.append(auroc(truth.astype(int), gaps.scores(states)["honesty"]).value)
    assert abs(np.mean(values) - 0.5) < 0.05, "chosen on some, reported on others"


def test_the_ensemble_weighs_the_feature_that_says_something() -> None:
    differences, _, _ = planted(60, 1)
    noise = np.random.default_rng(9).standard_normal(differences.shape)
    noise[:, :, 1] = 0
    _, chooses, wrong = planted(120, 2)
    gaps = Gaps.fit({"honesty": differences, "noise": noise}, chooses, wrong, "mean-difference")
    assert gaps.weights[0] > 3 * abs(gaps.weights[1])
    scores = gaps.scores(chooses)
    expected = sum(
        weight * (scores[name] - middle) / spread
        for name, weight, middle, spread in zip(
            ("honesty", "noise"), gaps.weights, gaps.middle, gaps.spread, strict=True
        )
    )
    np.testing.assert_allclose(scores[ENSEMBLE], expected)


@pytest.mark.parametrize("variant", VARIANTS[:3])
def test_states_that_do_not_differ_are_refused(variant: str) -> None:
    with pytest.raises(InputError, match="do not differ"):
        direction(np.zeros((4, 3)), variant)


def test_one_class_no_features_and_unknown_variants_are_refused() -> None:
    differences, states, _ = planted(20, 1)
    with pytest.raises(InputError, match="right"):
        Gaps.fit({"honesty": differences}, states, np.zeros(20, dtype=bool))
    with pytest.raises(InputError, match="features"):
        Gaps.fit({}, states, np.arange(20) % 2 == 0)
    with pytest.raises(InputError, match="paper"):
        direction(states[:, 0], "papers")
