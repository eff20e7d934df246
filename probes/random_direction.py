"""A direction drawn without looking at the data: the control with nothing to find."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Tags, check_random_state

from .linear_probe import LinearProbe, LinearScore


class RandomDirection(LinearProbe):
    """Score along a unit vector drawn uniformly from the sphere.

    The labels are read only to name `classes_`; direction and threshold do not depend on them.
    In particular the sign is *not* turned towards the honest class: choosing the better of two
    signs would find something in noise (its training AUROC would never fall under 0.5), and a
    control must have nothing to find. One draw still scores above or below 0.5 by luck, widely so
    where a few features carry most of the variance: report several seeds.

    Args:
        random_state: Seed of the draw. The default gives the same direction every time, and
            therefore the same one for any two data sets of the same `d`.

    Example:
        >>> import numpy as np
        >>> from probes import RandomDirection
        >>> X = np.eye(4)
        >>> one = RandomDirection(random_state=3).fit(X, [0, 0, 1, 1])
        >>> other = RandomDirection(random_state=3).fit(X, [1, 1, 0, 0])
        >>> bool((one.coef_ == other.coef_).all()), round(float(np.linalg.norm(one.coef_)), 6)
        (True, 1.0)
    """

    def __init__(self, random_state: int | np.random.RandomState | None = 0) -> None:
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Draw the direction for rows `X` of shape `(n, d)`; the score is zero at their mean.

        Raises:
            ValueError: unless `y` holds exactly two classes and `X` is finite.
        """
        rows, _ = self._training_data(X, y)
        drawn = check_random_state(self.random_state).standard_normal(rows.shape[1])
        direction = drawn / np.linalg.norm(drawn)
        self._set_score(LinearScore.through(direction, rows.mean(axis=0)))
        return self

    def __sklearn_tags__(self) -> Tags:
        """Declare to scikit-learn that no accuracy is to be expected."""
        tags = super().__sklearn_tags__()
        if tags.classifier_tags is not None:
            tags.classifier_tags.poor_score = True
        return tags
