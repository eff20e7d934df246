"""Inference-time intervention: push at the attention heads whose states tell the labels apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from probes import LogisticRegression, MeanDifference
from repalign.activations import Activations
from repalign.errors import InputError
from repalign.interventions import Shift
from repalign.models import LanguageModel
from repalign.probing.folds import Fold, grouped_folds
from repalign.sites import Site


@dataclass(frozen=True, eq=False)
class Head:
    """A head, how well its states tell the labels apart, and the push along its direction."""

    site: Site
    """Of the stream `heads`."""
    number: int
    accuracy: float
    """Of a linear probe on folds that it did not see."""
    direction: Float[np.ndarray, " d_head"]
    """Unit vector towards label 1."""
    spread: float
    """Standard deviation of the projections on it."""


def select_heads(
    model: LanguageModel,
    activations: Activations,
    count: int = 48,
    kind: Literal["probe", "mean_difference"] = "mean_difference",
    folds: int = 2,
    seed: int = 0,
) -> list[Head]:
    """Rank heads by the accuracy of a linear probe on their states and keep the best.

    Inference-time intervention (arXiv 2306.03341), which keeps 48 heads of a 7B model. Differs from
    the authors' code: folds keep groups together, and accuracies are means over folds.

    Args:
        model: the model that was read.
        activations: labelled rows at `heads` sites, one position a text.
        count: how many heads.
        kind: the direction of a head: weights of its probe, or difference of the class means.
        folds: of the cross-validation.
        seed: of the folds.

    Returns:
        Heads, the best first.

    Raises:
        InputError: other streams, labels of one class, or more heads than there are.
    """
    if any(site.stream != "heads" for site in activations.sites):
        raise InputError(
            "Heads are selected on activations at `heads` sites: model.sites('heads')."
        )
    if set(activations.labels.tolist()) != {0, 1}:
        raise InputError("Heads are selected on rows of both labels, 1 and 0.")
    n_heads = int(model.network.config.get_text_config(decoder=True).num_attention_heads)
    total = n_heads * len(activations.sites)
    if not 1 <= count <= total:
        raise InputError(f"{count} heads were asked for; there are {total}.")
    labels = activations.labels
    parts = grouped_folds(labels, activations.groups, folds, seed)
    found = []
    for site in activations.sites:
        values = activations.at(site).astype(np.float64).reshape(len(labels), n_heads, -1)
        for number in range(n_heads):
            found.append(_head(site, number, values[:, number], labels, parts, kind))
    return sorted(found, key=lambda head: -head.accuracy)[:count]


def heads_push(
    heads: list[Head], model: LanguageModel, coefficient: float = 15.0
) -> Mapping[Site, Shift]:
    """What to write to push all heads: `coefficient · spread · direction` at each.

    The authors' default coefficient is 15 for 48 heads of a 7B model; neither carries over. They
    write at each position from which a token is generated: `intervene(model, …, where="last")`.
    """
    pushes: dict[Site, np.ndarray] = {}
    for head in heads:
        size = len(head.direction)
        width = model.architecture.width(head.site)
        vector = pushes.setdefault(head.site, np.zeros(width, dtype=np.float32))
        vector[head.number * size : (head.number + 1) * size] = head.spread * head.direction
    return {site: Shift(vector, coefficient) for site, vector in pushes.items()}


def _head(
    site: Site,
    number: int,
    values: np.ndarray,
    labels: np.ndarray,
    parts: list[Fold],
    kind: str,
) -> Head:
    right = []
    for train, test in parts:
        fitted = LogisticRegression().fit(values[train], labels[train])
        right.append((fitted.predict(values[test]) == labels[test]).mean())
    estimator = LogisticRegression() if kind == "probe" else MeanDifference()
    weights = estimator.fit(values, labels).coef_[0]
    unit = (weights / np.linalg.norm(weights)).astype(np.float32)
    return Head(site, number, float(np.mean(right)), unit, float((values @ unit).std()))
