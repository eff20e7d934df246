import numpy as np
import pytest

from repalign.errors import InputError
from repalign.probing import grouped_folds


def test_groups_stay_whole_and_every_row_is_scored_once() -> None:
    groups = np.repeat(np.arange(30), 3)
    labels = np.tile([0, 1, 1], 30)
    folds = grouped_folds(labels, groups, 5, seed=0)
    assert len(folds) == 5
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(90))
    for fold in folds:
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert len(fold.train) + len(fold.test) == 90


def test_classes_are_balanced_when_groups_have_one_label() -> None:
    groups = np.arange(100)
    labels = (np.arange(100) < 20).astype(int)
    for fold in grouped_folds(labels, groups, 5, seed=1):
        assert labels[fold.test].sum() == 4


def test_seed_decides_the_folds() -> None:
    groups, labels = np.arange(40), np.tile([0, 1], 20)
    first = grouped_folds(labels, groups, 4, seed=0)
    again = grouped_folds(labels, groups, 4, seed=0)
    other = grouped_folds(labels, groups, 4, seed=1)
    assert all((a.test == b.test).all() for a, b in zip(first, again, strict=True))
    assert any(a.test.tolist() != b.test.tolist() for a, b in zip(first, other, strict=True))


def test_a_class_in_one_group_is_refused() -> None:
    groups = np.arange(20)
    labels = (groups == 0).astype(int)
    with pytest.raises(InputError, match="single group"):
        grouped_folds(labels, groups, 5, seed=0)
