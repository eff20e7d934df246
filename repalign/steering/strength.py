"""Strength: how long a push is beside the states that it is added to."""

from collections.abc import Sequence

import numpy as np

from repalign.activations import collect
from repalign.directions import Direction
from repalign.examples import Example
from repalign.metrics import Estimate, mean
from repalign.models import LanguageModel


def norm_ratio(model: LanguageModel, direction: Direction, texts: Sequence[Example]) -> Estimate:
    """Length of a push with coefficient 1, as a share of the length of the states at its site.

    Args:
        model: the model that the direction was read from.
        direction: its scale is the length of the push.
        texts: ordinary ones; all their tokens are read but the first of each, which in many models
            is hundreds of times as long as the others.

    Returns:
        The mean over tokens of `scale / |h|`; texts are resampled.
    """
    read = collect(model, texts, [direction.site], "all")
    later = read.pos > 0
    lengths = np.linalg.norm(read.at(direction.site).astype(np.float64), axis=1)[later]
    return mean(direction.scale / lengths, read.example[later].astype(str))
