"""Texts: how often they repeat themselves, and how much of them is not the same again."""

from collections import Counter
from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repalign.errors import InputError
from repalign.metrics.estimate import Estimate, cluster_codes

Text = str | Sequence[Hashable]
"""Words, divided by white space and otherwise as they stand, or a sequence such as token ids."""


def repetition(text: Text, n: int = 4) -> float:
    """The share of a text's n-grams that occurred before in it.

    0 where nothing comes back, near 1 where a text goes round in a loop; 0 for a text of fewer
    than n parts. It is 1 − distinct-n of this text alone.

    Args:
        text: a text, divided into words, or its tokens.
        n: length of what may come back.

    Raises:
        InputError: n is below 1.

    Example:
        >>> repetition("on and on and on", 2)
        0.5
    """
    found = _ngrams(text, n)
    return 1 - len(set(found)) / len(found) if found else 0.0


def distinct(
    texts: Sequence[Text],
    n: int = 2,
    groups: Sequence[str] | NDArray[Any] | None = None,
    *,
    level: float = 0.95,
) -> Estimate:
    """Distinct-n (arXiv 1510.03055): different n-grams of all texts over all their n-grams.

    It falls as more text is looked at, so only sets of equal size compare. For that reason the
    interval is no bootstrap, which would find everything drawn twice repeated: it is the normal one
    from leaving out one group at a time (jackknife), cut at 0 and 1.

    Args:
        texts: texts, divided into words, or their tokens.
        n: length of an n-gram.
        groups: which texts belong together; each is its own without them.
        level: coverage of the interval.

    Raises:
        InputError: n is below 1, or no text has n parts.

    Example:
        >>> distinct(["the cat sat", "the cat ran"], 2).value
        0.75
    """
    codes = cluster_codes(groups, len(texts))
    found = [_ngrams(text, n) for text in texts]
    n_groups = int(codes.max()) + 1 if len(codes) else 0
    total = np.zeros(n_groups)
    homes: dict[tuple[Hashable, ...], set[int]] = {}
    for code, grams in zip(codes.tolist(), found, strict=True):
        total[code] += len(grams)
        for gram in grams:
            homes.setdefault(gram, set()).add(code)
    if not homes:
        raise InputError(f"None of {len(texts)} texts has {n} parts, so distinct-{n} says nothing.")
    alone = Counter(next(iter(where)) for where in homes.values() if len(where) == 1)
    own = np.array([alone[code] for code in range(n_groups)])
    value = float(len(homes) / total.sum())
    rest = total.sum() - total
    if n_groups < 2 or not rest.all():
        return Estimate(value, value, value, n_groups, level)
    without = (len(homes) - own) / rest
    spread = np.sqrt((n_groups - 1) / n_groups * ((without - without.mean()) ** 2).sum())
    half = NormalDist().inv_cdf((1 + level) / 2) * spread
    low, high = max(0.0, value - half), min(1.0, value + half)
    return Estimate(value, float(low), float(high), n_groups, level)


def _ngrams(text: Text, n: int) -> list[tuple[Hashable, ...]]:
    if n < 1:
        raise InputError(f"An n-gram has at least one part; n={n} was given.")
    parts = text.split() if isinstance(text, str) else list(text)
    return [tuple(parts[start : start + n]) for start in range(len(parts) - n + 1)]
