from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from synthetic import activations

from probes import CCS, LogisticRegression, MeanDifference
from repalign.activations import Activations
from repalign.errors import InputError
from repalign.metrics import auroc
from repalign.probing import Choice, nested
from repalign.probing.cross_validation import in_threads, score_fold, standardised
from repalign.probing.folds import Fold
from repalign.sites import Site

MEAN = {"mean_difference": MeanDifference()}


def test_the_site_with_the_signal_is_chosen_in_every_fold() -> None:
    found = nested(activations(groups=60, shifts=(0.0, 3.0, 0.3)), MEAN)
    assert set(found.chosen) == {Choice("mean_difference", Site(1))}
    assert found.best == Choice("mean_difference", Site(1))
    assert auroc(found.labels, found.selected).value > 0.95


def test_the_auroc_of_the_chosen_site_is_the_one_of_the_normal_model() -> None:
    # Two normal classes that lie 2 standard deviations apart: AUROC = Phi(2 / sqrt(2)) = 0.921.
    found = nested(activations(groups=400, shifts=(2.0,)), MEAN)
    assert auroc(found.labels, found.selected).value == pytest.approx(0.921, abs=0.025)


def test_noise_scores_a_half_although_the_best_of_many_choices_does_not() -> None:
    bests, selected = [], []
    for seed in range(4):
        found = nested(activations(groups=30, shifts=(0.0,) * 20, seed=seed), MEAN)
        values = [auroc(found.labels, s, resamples=0).value for s in found.by_choice.values()]
        bests.append(max(values))
        selected.append(auroc(found.labels, found.selected, resamples=0).value)
    assert np.mean(bests) > 0.6  # what reporting the best of 20 sites would claim
    assert abs(np.mean(selected) - 0.5) < 0.07


def test_a_group_never_scores_itself() -> None:
    # Every group has a feature of its own that gives its label away: a probe that saw the group
    # while fitting would know it.
    groups = 24
    labels = np.tile([1, 0], groups)
    values = np.zeros((2 * groups, 1, groups), dtype=np.float32)
    for row in range(2 * groups):
        values[row, 0, row // 2] = 1.0 if labels[row] else -1.0
    held = replace(activations(groups=groups, shifts=(0.0,)), values=values, labels=labels)
    found = nested(held, {"logistic": LogisticRegression(C=100.0)})
    scores = found.by_choice[Choice("logistic", Site(0))]
    # Unseen features carry no weight, so the two rows of a group tie.
    assert np.allclose(scores[::2], scores[1::2])


def test_rows_of_one_example_are_averaged() -> None:
    held = activations(groups=30, shifts=(2.0,))
    twice = replace(
        held,
        values=np.repeat(held.values, 2, axis=0),
        example=np.repeat(held.example, 2),
        pos=np.tile([0, 1], len(held)),
        labels=np.repeat(held.labels, 2),
        groups=np.repeat(held.groups, 2),
        topics=np.repeat(held.topics, 2),
        polarity=np.repeat(held.polarity, 2),
    )
    once, double = nested(held, MEAN), nested(twice, MEAN)
    assert len(double.labels) == len(once.labels) == 60
    choice = Choice("mean_difference", Site(0))
    assert np.allclose(double.by_choice[choice], once.by_choice[choice], atol=1e-6)


def test_fold_scores_do_not_depend_on_the_scale_of_the_probe() -> None:
    class Louder(MeanDifference):
        def decision_function(self, X: ArrayLike) -> np.ndarray:
            return 100 * super().decision_function(X) + 7

    held = activations(groups=30, shifts=(1.0,))
    fold = Fold(np.arange(0, 40), np.arange(40, 60))
    plain = score_fold(MeanDifference(), held, Site(0), fold, held.labels)
    loud = score_fold(Louder(), held, Site(0), fold, held.labels)
    assert np.allclose(plain, loud)


def test_each_site_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Activations may lie on disk, where every reading counts."""
    read: list[Site] = []
    at = Activations.at
    monkeypatch.setattr(Activations, "at", lambda self, site: read.append(site) or at(self, site))
    nested(activations(groups=20, shifts=(1.0, 0.0)), {**MEAN, "logistic": LogisticRegression()})
    assert sorted(read) == [Site(0), Site(1)]


def test_folds_fitted_together_score_as_each_alone() -> None:
    """Any estimator with a decision function goes along, one that scales its input too."""
    held = activations(groups=40, shifts=(1.0,))
    found = nested(
        held,
        {
            "ours": LogisticRegression(C=0.1),
            "theirs": make_pipeline(StandardScaler(), Reference(C=0.1, tol=1e-8)),
        },
    )
    ours, theirs = (found.by_choice[Choice(name, Site(0))] for name in ("ours", "theirs"))
    assert np.allclose(ours, theirs, atol=1e-3)
    for fold in found.folds:
        alone = score_fold(LogisticRegression(C=0.1), held, Site(0), fold, held.labels)
        assert np.allclose(ours[fold.test], alone, atol=1e-4)


def test_a_probe_that_cannot_be_fitted_is_named() -> None:
    held = activations(groups=20)
    alone = replace(held, groups=np.array([f"g{i}" for i in range(len(held))]))
    with pytest.raises(InputError, match=r"The probe ccs needs groups"):
        nested(alone, {**MEAN, "ccs": CCS()})
    with pytest.raises(InputError, match=r"The probe logistic cannot be fitted .* C=-1"):
        nested(held, {**MEAN, "logistic": LogisticRegression(C=-1.0)})


def test_standardised_uses_only_the_reference() -> None:
    scores = standardised(np.array([3.0, 5.0]), np.array([1.0, 3.0]))
    assert scores.tolist() == pytest.approx([1.0, 3.0])


def test_too_few_groups_are_refused_with_both_numbers() -> None:
    with pytest.raises(InputError, match=r"19 groups .* at least 20"):
        nested(activations(groups=19), MEAN)


def test_progress_counts_every_fit() -> None:
    seen: list[tuple[int, int]] = []
    nested(
        activations(groups=20, shifts=(1.0, 0.0)), MEAN, progress=lambda a, b: seen.append((a, b))
    )
    total = 2 * 5 * (1 + 3)
    assert {b for _, b in seen} == {total}
    assert sorted(a for a, _ in seen) == list(range(1, total + 1))


def test_threads_keep_the_order_and_raise_what_went_wrong() -> None:
    assert list(in_threads(lambda x: x * x, [3, 1, 2])) == [(3, 9), (1, 1), (2, 4)]
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda x: 1 / x, [1, 0]))
