import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import activations, source

from probes import MeanDifference
from repalign.probing import controls, grouped_folds
from repalign.sites import Site


def test_shuffled_labels_find_nothing_where_there_is_much() -> None:
    held = activations(groups=60, shifts=(4.0,))
    folds = grouped_folds(held.labels, held.groups, 5, seed=0)
    found = controls.shuffled(held, MeanDifference(), Site(0), folds, seed=0)
    assert abs(found.value - 0.5) < 0.06
    assert found.low < 0.5 < found.high
    assert found.n == controls.REPEATS


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_shuffling_keeps_pairs_and_balance(seed: int) -> None:
    held = activations(groups=25, shifts=(0.0,))
    labels = controls.shuffle_labels(held, np.random.default_rng(seed))
    assert (labels[::2] + labels[1::2] == 1).all()


def test_shuffling_permutes_the_labels_of_single_groups() -> None:
    held = activations(groups=25, shifts=(0.0,))
    alone = np.array([f"g{i}" for i in range(50)])
    from dataclasses import replace

    labels = controls.shuffle_labels(replace(held, groups=alone), np.random.default_rng(3))
    assert labels.sum() == 25
    assert (labels != held.labels).any()


def test_about_half_the_labels_change() -> None:
    held = activations(groups=400, shifts=(0.0,))
    labels = controls.shuffle_labels(held, np.random.default_rng(0))
    assert 0.4 < (labels != held.labels).mean() < 0.6


def test_random_directions_score_a_half_on_average() -> None:
    found = controls.random_direction(activations(groups=100, shifts=(1.0,)), Site(0), seed=0)
    assert 0.35 < found.value < 0.65
    assert found.low < 0.5 < found.high


def test_baselines_find_a_giveaway_word_and_nothing_without_one() -> None:
    held = activations(groups=40, shifts=(0.0,))
    folds = grouped_folds(held.labels, held.groups, 5, seed=0)
    plain = controls.text_baselines(source(held).examples, held, folds)
    assert plain["length"].value == 0.5
    from repalign.examples import Example

    marked = [
        Example.of_text("indeed so" if label else "hardly so", int(label), str(group))
        for label, group in zip(held.labels, held.groups, strict=True)
    ]
    assert controls.text_baselines(marked, held, folds)["bag_of_words"].value == 1.0
