"""Sources: data sets with the activations that were read from them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from repalign import datasets
from repalign.activations import Activations, Progress, collect
from repalign.examples import Example, labelled, limited
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.spans import Span

MAX_GROUPS = 200


class Source(NamedTuple):
    """The examples of one data set and their activations."""

    examples: list[Example]
    activations: Activations


def gather(
    model: LanguageModel,
    data: Iterable[str] | Mapping[str, Sequence[Example]],
    sites: Sequence[Site],
    where: str | Span = "last",
    *,
    max_groups: int = MAX_GROUPS,
    seed: int = 0,
    store: str | Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Source]:
    """Load data sets and read all of them in one go.

    Args:
        model: the model to read.
        data: names or paths of data sets, or examples by name.
        sites: where to read.
        where: which tokens.
        max_groups: at most this many groups of a data set are read; the same ones of data sets
            that share groups, so that a statement keeps its negation.
        seed: of the choice of groups.
        store: a folder to keep all of it in, for more activations than memory holds; what is there
            already is not computed again.
        progress: called with the examples done and their number.

    Returns:
        A source for each data set, in the order given.

    Raises:
        InputError: a data set that cannot be read, or without both labels; a store of other data.
    """
    sets = data if isinstance(data, Mapping) else {name: datasets.load(name) for name in data}
    chosen = {name: limited(labelled(rows), max_groups, seed) for name, rows in sets.items()}
    everything = [example for rows in chosen.values() for example in rows]
    activations = collect(model, everything, sites, where, store=store, progress=progress)
    sources, start = {}, 0
    for name, rows in chosen.items():
        inside = (activations.example >= start) & (activations.example < start + len(rows))
        sources[name] = Source(rows, activations.rows(np.flatnonzero(inside)))
        start += len(rows)
    return sources
