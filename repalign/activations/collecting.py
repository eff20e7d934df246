"""collect(): from examples to activations, each distinct prefix computed once."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from repalign.activations.container import Activations
from repalign.activations.extraction import Extraction
from repalign.activations.manifest import FILE, Manifest
from repalign.activations.store import Store
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel, Team
from repalign.models.hooking import writing
from repalign.sites import Site
from repalign.spans import Span

_WAIT_SECONDS = 0.2
Progress = Callable[[int, int], None]
"""Called with the examples done and their number."""


def collect(
    model: LanguageModel,
    examples: Iterable[Example],
    sites: Sequence[Site],
    where: str | Span = "last",
    *,
    store: str | Path | None = None,
    dtype: str = "float32",
    max_tokens: int | None = None,
    progress: Progress | None = None,
) -> Activations:
    """Read activations of examples at sites.

    Texts with a common beginning share its state, so the cost is the number of distinct prefixes;
    a pass ends after the deepest site and computes no logits; only kept positions leave a hook. A
    model whose state cannot be shared is read text by text, and `origin["prefixes"]` says why. The
    first use of a model runs its self-checks.

    Args:
        model: the model to read.
        examples: texts or conversations.
        sites: where to read.
        where: which tokens to read, such as `last`, `answer` or `regex:...`; see `Span`.
        store: a folder to keep the values in. What is there already is not computed again, so a
            collection that was killed goes on where it was; several processes may fill one store.
        dtype: how a store keeps values: `float32`, or `bfloat16` for half the room.
        max_tokens: token positions in one pass, padding included; None takes what suits the
            device, or what the store was begun with.
        progress: called after each pass.

    Returns:
        One row for each kept position, in the order of the examples; values in float32. With a
        store they stay on disk and are read one site at a time.

    Raises:
        InputError: no examples or sites, an empty span, a text longer than the model's context,
            values that are not finite, or a store of another collection.
        CheckError: the model fails a self-check.
    """
    if store is None:
        if dtype != "float32":
            raise InputError(f"dtype={dtype!r} is for a store; without one values are float32.")
        work = Extraction.of(model, list(examples), sites, where, max_tokens)
        return _in_memory(work, progress)
    folder = Path(store)
    if max_tokens is None:
        # A store is cut into shards by it, so one that was begun keeps its own.
        max_tokens = begun_with(folder)
    work = Extraction.of(model, list(examples), sites, where, max_tokens, shared=True)
    return fill(work, folder, dtype, progress).activations()


def stream(
    model: LanguageModel,
    examples: Iterable[Example],
    sites: Sequence[Site],
    where: str | Span = "last",
    *,
    max_tokens: int | None = None,
) -> Iterator[Activations]:
    """Read activations piece by piece and keep none, for fits that need each row once.

    Arguments and errors are those of `collect`. Rows of one example are always in one piece, but
    examples come in the order of their tokens; `example` says which they are.

    Example:
        >>> def fit(probe, model, examples, site):  # MeanDifference, LDA(covariance="oas"), LEACE
        ...     for part in stream(model, examples, [site]):
        ...         probe.partial_fit(part.at(site), part.labels, classes=[0, 1])
        ...     return probe
    """
    work = Extraction.of(model, list(examples), sites, where, max_tokens)
    origin = work.origin
    for piece in range(len(work.pieces)):
        rows = work.rows(piece)
        values = np.empty((len(rows), len(work.sites), work.width), dtype=np.float32)
        for places, found in work.read(piece):
            for column, site in enumerate(work.sites):
                values[places, column] = found[site].numpy()
        fields = {name: field[rows] for name, field in work.index.fields().items()}
        yield Activations(values=values, sites=work.sites, origin=origin, **fields)


def fill(
    work: Extraction, folder: Path, dtype: str = "float32", progress: Progress | None = None
) -> Store:
    """Compute what a store still lacks, together with whoever else is at it.

    Every process takes pieces that are neither done nor being computed. When none is left, it waits
    for those that others are computing, and takes over what they drop.

    Args:
        work: what to read.
        folder: a new or empty folder, or the store of the same collection.
        dtype: how values are kept.
        progress: called after each pass; what others finish is counted too.
    """
    if writing():
        raise InputError(
            "A store does not record interventions, so what is read under `intervene` could be "
            "taken for the model's own states later. Collect without a store, or outside of it."
        )
    team = Team.of(work.model)
    if not team.leads:
        # Every process holds a part of the model and runs each pass; one of them keeps the values.
        while (shard := team.agree(None)) is not None:
            for _ in work.read(shard):
                pass
        return Store.open(folder)
    shard_rows = [work.rows(piece) for piece in range(len(work.pieces))]
    ingredients = {
        **{name: value for name, value in work.origin.items() if name != "checks"},
        # Without the error found, which differs in its last digits from machine to machine.
        "prefixes": "shared" if work.whole is None else "whole",
        "texts": work.fingerprint(),
    }
    store = Store.create(
        folder,
        ingredients,
        work.sites,
        work.width,
        dtype,
        work.index,
        shard_rows,
        origin=work.origin,
    )
    store.verify(full=True)
    try:
        while missing := store.missing():
            shards = missing if team.together else _from_own_share(missing, len(shard_rows))
            done = _take_part(work, store, shards, team, progress)
            if not done:
                time.sleep(_WAIT_SECONDS)
    finally:
        team.agree(None)
    return store


def begun_with(folder: Path) -> int | None:
    """The positions of a pass that a store was begun with; None where there is no store yet."""
    path = folder / FILE
    # A process that was killed in between, or is just at it, leaves a first line without an end.
    if not path.is_file() or b"\n" not in path.read_bytes():
        return None
    return Manifest.open(folder / FILE).header.ingredients.get("max_tokens")


def _take_part(
    work: Extraction, store: Store, shards: Sequence[int], team: Team, progress: Progress | None
) -> int:
    """Compute those shards that are free; return how many."""
    done = 0
    for shard in shards:
        with store.claim(shard) as mine:
            if not mine:
                continue
            team.agree(shard)
            rows = store.shard_rows[shard]
            values = {site: torch.empty(len(rows), work.width) for site in work.sites}
            counter = _Counter(work, progress, _examples_done(work, store))
            for places, found in work.read(shard):
                for site, tensor in found.items():
                    values[site][torch.from_numpy(places)] = tensor
                counter.add(rows[places])
            store.write(shard, values)
            done += 1
    return done


def _from_own_share(missing: Sequence[int], total: int) -> list[int]:
    """Start where this process's share begins, so that neighbours, which share most, stay together.

    Launchers such as `accelerate launch` and `torchrun` set RANK and WORLD_SIZE.
    """
    rank, world = (int(os.environ.get(name, default)) for name, default in _RANKS)
    start = rank * total // max(world, 1)
    return [s for s in missing if s >= start] + [s for s in missing if s < start]


_RANKS = (("RANK", "0"), ("WORLD_SIZE", "1"))


def _examples_done(work: Extraction, store: Store) -> int:
    missing = set(store.missing())
    return sum(len(piece) for shard, piece in enumerate(work.pieces) if shard not in missing)


class _Counter:
    """Counts the examples of which every row was read."""

    def __init__(self, work: Extraction, progress: Progress | None, done: int = 0) -> None:
        self.left = np.bincount(work.index.example)
        self.example, self.progress = work.index.example, progress
        self.done, self.total = done, len(work.texts)

    def add(self, rows: np.ndarray) -> None:
        """Count rows that were read."""
        example, counts = np.unique(self.example[rows], return_counts=True)
        self.left[example] -= counts
        self.done += int((self.left[example] == 0).sum())
        if self.progress is not None:
            self.progress(self.done, self.total)


def _in_memory(work: Extraction, progress: Progress | None) -> Activations:
    shape = (len(work.index), len(work.sites), work.width)
    values = np.empty(shape, dtype=np.float32)
    counter = _Counter(work, progress)
    for piece in range(len(work.pieces)):
        rows = work.rows(piece)
        for places, found in work.read(piece):
            for column, site in enumerate(work.sites):
                values[rows[places], column] = found[site].numpy()
            counter.add(rows[places])
    fields: dict[str, Any] = work.index.fields()
    return Activations(values=values, sites=work.sites, origin=work.origin, **fields)
