"""Folds that keep groups whole."""

from typing import NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from repalign.errors import InputError


class Fold(NamedTuple):
    """Row indices to fit on and to score."""

    train: np.ndarray
    test: np.ndarray


def grouped_folds(labels: np.ndarray, groups: np.ndarray, n_folds: int, seed: int) -> list[Fold]:
    """Split rows into folds; no group is on both sides of a split, classes stay balanced.

    Args:
        labels: 0 or 1, one a row.
        groups: the group of each row.
        n_folds: how many; fewer where a class has fewer groups.
        seed: of the shuffle.

    Returns:
        One fold a part, each row scored once.

    Raises:
        InputError: a class found in a single group.
    """
    smallest = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    if smallest < 2:
        raise InputError(
            "One class occurs in a single group, so no split can have both classes on both sides. "
            "Add groups of that class."
        )
    splitter = StratifiedGroupKFold(min(n_folds, smallest), shuffle=True, random_state=seed)
    return [Fold(train, test) for train, test in splitter.split(labels, labels, groups)]
