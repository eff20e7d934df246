"""collect(): from examples to activations, computing no more than is asked."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repalign import checks
from repalign.activations.container import Activations
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.models.identity import tokenizer_fingerprint
from repalign.models.modes import evaluating
from repalign.sites import Site
from repalign.spans import Reading, Span, read
from repalign.tokens import Tokens

MAX_TOKENS = 1024
"""Token positions in one pass, padding included; more are no faster on a CPU."""

Progress = Callable[[int, int], None]
"""Called with the examples done and their number."""


def collect(
    model: LanguageModel,
    examples: Iterable[Example],
    sites: Sequence[Site],
    where: str | Span = "last",
    *,
    max_tokens: int = MAX_TOKENS,
    progress: Progress | None = None,
) -> Activations:
    """Read activations of examples at sites.

    Texts are sorted by length and right-padded, so padding costs little; the pass ends after the
    deepest site and computes no logits; only kept positions leave a hook. The first use of a model
    runs its self-checks.

    Args:
        model: the model to read.
        examples: texts or conversations.
        sites: where to read.
        where: which tokens to read, such as `last`, `answer` or `regex:...`; see `Span`.
        max_tokens: token positions in one pass, padding included.
        progress: called after each pass.

    Returns:
        One row for each kept position, in the order of the examples; values in float32.

    Raises:
        InputError: no examples or sites, an empty span, a text longer than the model's context, or
            values that are not finite.
        CheckError: the model fails a self-check.
    """
    rows = list(examples)
    wanted = tuple(dict.fromkeys(sites))
    if not rows:
        raise InputError("No examples were given to collect activations from.")
    if not wanted:
        raise InputError("No sites were given to read; model.sites() lists them.")
    for site in wanted:
        model.architecture.check(site)
    report = checks.ensure(model, wanted)
    span = Span.parse(where) if isinstance(where, str) else where
    readings = readable(model, rows, span)
    with evaluating(model.network):
        values, example_index, pos = _run(model, readings, wanted, max_tokens, progress)
    _check_finite(values, wanted, example_index, rows, model)
    labels = np.array([-1 if row.label is None else row.label for row in rows])
    return Activations(
        values=values,
        sites=wanted,
        example=example_index,
        pos=pos,
        labels=labels[example_index],
        groups=_groups(rows)[example_index],
        topics=np.array([row.topic for row in rows], dtype=np.str_)[example_index],
        polarity=np.array([row.polarity for row in rows])[example_index],
        origin={**origin(model, span), "checks": report.to_json()},
    )


def readable(model: LanguageModel, examples: Sequence[Example], span: Span) -> list[Reading]:
    """Render, encode and find the span of every example, without running the model.

    Raises:
        InputError: an empty span, a chat without a template, or a text longer than the context.
    """
    readings = [read(model.tokenizer, example, span) for example in examples]
    _check_context(model, examples, readings)
    return readings


def origin(model: LanguageModel, span: Span) -> dict[str, Any]:
    """What determines activations besides the texts: model, tokenizer, span and libraries."""
    return {
        "model": model.name,
        "revision": model.revision,
        "weights": model.fingerprint,
        "tokenizer": tokenizer_fingerprint(model.tokenizer),
        "d_model": model.d_model,
        "layers": model.n_layers,
        "dtype": str(model.dtype).removeprefix("torch."),
        "span": str(span),
        "transformers": metadata.version("transformers"),
    }


def _groups(rows: Sequence[Example]) -> np.ndarray:
    return np.array(
        [row.group or f"example {index}" for index, row in enumerate(rows)], dtype=np.str_
    )


def _run(
    model: LanguageModel,
    readings: Sequence[Reading],
    sites: tuple[Site, ...],
    max_tokens: int,
    progress: Progress | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counts = np.array([len(reading.positions) for reading in readings])
    starts = np.cumsum(counts) - counts
    values = np.empty((int(counts.sum()), len(sites), model.d_model), dtype=np.float32)
    done = 0
    for batch in batches([len(reading.ids) for reading in readings], max_tokens):
        tokens = Tokens.pad([readings[i].ids for i in batch], model.pad_id)
        row = torch.tensor([k for k, i in enumerate(batch) for _ in readings[i].positions])
        pos = torch.tensor([p for i in batch for p in readings[i].positions])
        target = np.concatenate([np.arange(starts[i], starts[i] + counts[i]) for i in batch])

        def keep(tensor: Tensor, row: Tensor = row, pos: Tensor = pos) -> Tensor:
            picked = tensor[row.to(tensor.device), pos.to(tensor.device)]
            return picked.to(dtype=torch.float32).cpu()

        kept = model.capture(tokens, sites, keep)
        for index, site in enumerate(sites):
            values[target, index] = kept[site].numpy()
        done += len(batch)
        if progress is not None:
            progress(done, len(readings))
    example = np.repeat(np.arange(len(readings)), counts)
    position = np.array([p for reading in readings for p in reading.positions])
    return values, example, position


def batches(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Split texts into batches of similar length that hold at most `max_tokens` positions.

    Args:
        lengths: tokens of each text.
        max_tokens: positions in a batch, padding included; a longer text gets a batch of its own.

    Yields:
        Indices into `lengths`; the longest texts come first, so that memory that does not suffice
        shows at once.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > max_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _check_context(
    model: LanguageModel, rows: Sequence[Example], readings: Sequence[Reading]
) -> None:
    context = model.architecture.context
    if context is None:
        return
    for index, (row, reading) in enumerate(zip(rows, readings, strict=True)):
        if len(reading.ids) > context:
            raise InputError(
                f"Example {index} has {len(reading.ids)} tokens, more than the {context} that "
                f"{model.name} can read; repalign never truncates. Shorten or drop it. It begins: "
                f"{row.text[:60]!r}"
            )


def _check_finite(
    values: np.ndarray,
    sites: tuple[Site, ...],
    example: np.ndarray,
    rows: Sequence[Example],
    model: LanguageModel,
) -> None:
    bad: NDArray[np.bool_] = np.asarray(~np.isfinite(values).all(axis=2))
    if not bad.any():
        return
    row, site = (int(index) for index in np.argwhere(bad)[0])
    raise InputError(
        f"{int(bad.any(axis=1).sum())} of {len(values)} activations of {model.name} are NaN or "
        f"infinite, first at {sites[site]} in example {example[row]} "
        f"({rows[example[row]].text[:60]!r}). Load the model with dtype='float32' or 'bfloat16'; "
        "float16 overflows in many models."
    )
