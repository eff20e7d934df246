"""Blocks: groups of examples that are left out together, and intervals from doing so.

Resampling with replacement would bias what is measured here: a resample repeats examples, so its
mean gradient is noisier than the one at hand, which lowers every cosine and overlap. Leaving out
one block of groups at a time does not (the jackknife).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import t

from repalign.errors import InputError
from repalign.metrics import Estimate


def in_blocks(
    groups: Sequence[Sequence[str]], names: Sequence[str], blocks: int, seed: int
) -> list[Int[np.ndarray, " example"]]:
    """Assign the groups of several sets to blocks, as evenly as can be.

    A group that several sets have is in one block, so that it is left out of all of them at once.

    Args:
        groups: the group of each example, for each set.
        names: what messages call the sets.
        blocks: how many; even, for the first half of them is compared with the second.
        seed: of the assignment.

    Returns:
        For each set the block of each example.

    Raises:
        InputError: an odd number of blocks or fewer than 4, or a set with fewer groups than blocks.
    """
    if blocks < 4 or blocks % 2:
        raise InputError(f"The number of blocks is even and at least 4; {blocks} was given.")
    block_of: dict[str, int] = {}
    generator = np.random.default_rng(seed)
    found = []
    for name, given in zip(names, groups, strict=True):
        distinct = sorted(set(given))
        if len(distinct) < blocks:
            raise InputError(
                f"The set {name!r} has {len(distinct)} groups; {blocks} blocks need as many at "
                "least. Give more examples, or fewer blocks."
            )
        load = np.zeros(blocks, dtype=int)
        for group in distinct:
            if group in block_of:
                load[block_of[group]] += 1
        for group in generator.permutation([one for one in distinct if one not in block_of]):
            block = int(load.argmin())
            block_of[str(group)] = block
            load[block] += 1
        if not load.all():
            raise InputError(
                f"The groups of the set {name!r} fill {int((load > 0).sum())} of {blocks} blocks; "
                "give more examples, or fewer blocks."
            )
        found.append(np.array([block_of[group] for group in given]))
    return found


def from_left_out(
    values: Float[np.ndarray, " setting"], n: int, bounds: tuple[float, float], level: float = 0.95
) -> Estimate | None:
    """A value with the interval that leaving out each block gives.

    Args:
        values: on everything, then with each block left out.
        n: independent groups.
        bounds: between which the statistic lies; the interval is cut there.
        level: coverage.

    Returns:
        The estimate, or None where the statistic is not defined on some of them.
    """
    if not np.isfinite(values).all():
        return None
    whole, left = float(values[0]), values[1:]
    blocks = len(left)
    error = float(np.sqrt((blocks - 1) / blocks * ((left - left.mean()) ** 2).sum()))
    half = float(t.ppf((1 + level) / 2, blocks - 1)) * error
    low, high = (float(np.clip(end, *bounds)) for end in (whole - half, whole + half))
    return Estimate(whole, min(low, whole), max(high, whole), n, level)
