"""Controls: directions for penalties that should not make a model honest."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from probes import MeanDifference
from repalign import datasets
from repalign.activations import Activations, collect
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.examples import Example, labelled
from repalign.fitting import fit_probe
from repalign.metrics import cluster_codes
from repalign.models import LanguageModel
from repalign.probing.controls import shuffle_labels
from repalign.sites import Site
from repalign.steering.controls import random_like, without
from repalign.steering.reading import read_directions

NAMES = ("random", "refusal", "shuffled")


def control_directions(
    model: LanguageModel,
    directions: Sequence[Direction],
    examples: Sequence[Example] | None = None,
    *,
    probe: Any = None,
    refusal: Mapping[Site, Direction] | None = None,
    names: Collection[str] = NAMES,
    seed: int = 0,
) -> dict[str, tuple[Direction, ...]]:
    """The directions of a loss, each with what should matter taken out of it.

    Train once with each of these in the place of the loss's directions, all else equal: what such a
    training gains too is not owed to honesty. All keep the site and the scale, so that margins and
    weights mean the same.

    Args:
        model: the model before training.
        directions: those of the loss, one a site.
        examples: labelled texts that they were fitted on. Without them there is no `shuffled`, and
            random directions keep the midpoint of the original, which matters to a `Projection`.
        probe: the estimator that they were fitted with; the mean difference without one.
        refusal: the direction of refusal at each site; read from the data set `requests` without.
        names: which of them; reading those of refusal, or shuffled ones, costs passes.
        seed: of the draw and of the shuffle.

    Returns:
        `random`, `refusal` (less what a direction shares with refusal) and `shuffled`.

    Raises:
        InputError: no directions, or two at one site.
    """
    sites = [direction.site for direction in directions]
    if not sites or len(set(sites)) < len(sites):
        raise InputError(
            f"Controls are made of one direction a site; these lie at "
            f"{', '.join(map(str, sites)) or 'no site, for none were given'}."
        )
    found: dict[str, tuple[Direction, ...]] = {}
    if "random" in names:
        found["random"] = tuple(random_like(one, seed + at) for at, one in enumerate(directions))
    if "refusal" in names:
        if refusal is None:
            refusal = read_directions(model, datasets.load("requests"), sites, "last_prompt")
        found["refusal"] = tuple(without(one, refusal[one.site]) for one in directions)
    if examples is None:
        return found
    span = str(directions[0].origin.get("span", "last"))
    read = collect(model, labelled(examples), sites, span)
    found = {name: tuple(_centred(one, read) for one in some) for name, some in found.items()}
    if "shuffled" in names:
        estimator = MeanDifference() if probe is None else probe
        found["shuffled"] = tuple(_shuffled(one, read, estimator, seed) for one in directions)
    return found


def _shuffled(direction: Direction, read: Activations, probe: Any, seed: int) -> Direction:
    labels = _shuffled_labels(read, np.random.default_rng(seed))
    weights = fit_probe(probe, replace(read, labels=labels), direction.site).coef_[0]
    unit = (weights / np.linalg.norm(weights)).astype(np.float32)
    origin = MappingProxyType({**direction.origin, "control": f"shuffled labels, seed {seed}"})
    return _centred(replace(direction, vector=unit, origin=origin), read)


def _shuffled_labels(read: Activations, generator: np.random.Generator) -> np.ndarray:
    """Labels that mean nothing.

    Swapped within contrast pairs, they would leave the pairs' common difference in the fit, with
    either sign. So there all rows of a group get one label, and that difference cancels.
    """
    codes = cluster_codes(read.groups, len(read))
    count = int(codes.max()) + 1
    honest = np.bincount(codes, weights=read.labels)
    if not ((honest > 0) & (honest < np.bincount(codes))).all():
        return shuffle_labels(read, generator)
    return generator.permutation(np.arange(count) % 2)[codes]


def _centred(direction: Direction, read: Activations) -> Direction:
    """The same with its zero in the middle of the texts."""
    middle = float((read.at(direction.site) @ direction.vector).mean())
    return replace(direction, midpoint=middle)
