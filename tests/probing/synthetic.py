"""Activations with a planted structure, made without a model."""

import numpy as np

from repalign.activations import Activations
from repalign.examples import Example
from repalign.probing import Source
from repalign.sites import Site

WIDTH = 12


def activations(
    topic: str = "t",
    *,
    groups: int = 40,
    shifts: tuple[float, ...] = (0.0, 2.0, 0.5),
    direction: np.ndarray | None = None,
    polarity: int = 1,
    offset: float = 0.0,
    seed: int = 0,
    first_example: int = 0,
) -> Activations:
    """One honest and one dishonest row a group; at site L the classes lie `shifts[L]` apart."""
    generator = np.random.default_rng([seed, *topic.encode()])
    unit = np.eye(WIDTH)[0] if direction is None else direction
    labels = np.tile([1, 0], groups)
    signs = np.where(labels == 1, 0.5, -0.5)
    values = generator.normal(size=(2 * groups, len(shifts), WIDTH)).astype(np.float32)
    for site, shift in enumerate(shifts):
        values[:, site] += (signs[:, None] * shift * unit).astype(np.float32) + offset
    return Activations(
        values=values,
        sites=tuple(Site(layer) for layer in range(len(shifts))),
        example=np.arange(first_example, first_example + 2 * groups),
        pos=np.zeros(2 * groups, dtype=np.int64),
        labels=labels,
        groups=np.repeat([f"{topic}:{g}" for g in range(groups)], 2),
        topics=np.full(2 * groups, topic),
        polarity=np.full(2 * groups, polarity),
        origin={"span": "last", "model": "synthetic", "weights": "0"},
    )


def source(held: Activations) -> Source:
    """Activations with texts that say nothing about the label."""
    texts = [
        Example.of_text(f"statement {g}", int(label), str(g), topic=str(held.topics[0]))
        for g, label in zip(held.groups, held.labels, strict=True)
    ]
    return Source(texts, held)
