"""The sweep: where, and how surely, a model represents what a data set labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from repalign import datasets, fitting
from repalign.activations import Activations, mean_by_example
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.metrics import Estimate, HeldOut, Threshold, auroc, held_out_recall
from repalign.probing import controls
from repalign.probing.cross_validation import Choice, Nested, Progress, first_rows, nested
from repalign.probing.folds import Fold
from repalign.probing.pooling import Pooled, fit_pooled
from repalign.probing.sources import Source
from repalign.probing.transfer import Transfer, judge
from repalign.readouts import Readout, ensemble
from repalign.spans import Span

DEFAULT_PROBES = ("mean_difference", "lda", "logistic", "contrast_pca")
FALSE_POSITIVE_RATES = (0.01, 0.05)


@dataclass(frozen=True)
class Sweep:
    """What a sweep found."""

    data: str
    """The data set that sites and probes were compared on: the first one."""
    nested: Nested
    best: Choice
    auroc: Estimate
    """Nested cross-validation on `data`: the choice of site and probe is inside the folds."""
    by_choice: Mapping[Choice, Estimate]
    """Plain cross-validation of every site × probe on `data`; the best of them is too high."""
    controls: Mapping[str, Estimate]
    direction: Direction
    """The direction of the best probe at the best site, fitted on all of `data`."""
    readout: Readout
    """What is kept for scoring: pooled over topics where there are several, else `best`."""
    pooled: Pooled | None
    transfer: Transfer | None
    thresholds: Mapping[float, Threshold]
    benign_scores: np.ndarray | None
    held_out: tuple["Judged", ...]
    """Each topic (or fold) with the scores of the readout that was fitted without it."""


@dataclass(frozen=True)
class Judged:
    """Scores of labelled examples by a readout that was not fitted on them."""

    scores: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    benign: np.ndarray | None
    """Scores of the benign texts by the same readout."""


def sweep(
    sources: Mapping[str, Source],
    probes: Sequence[str] | Mapping[str, Any] = DEFAULT_PROBES,
    *,
    benign: Activations | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Sweep:
    """Compare every site × probe on the first data set, and pool over topics for use elsewhere.

    Args:
        sources: data sets by name, as `gather` returns them. Data sets of one topic (a statement
            and its negation) count as one topic: they are left out together.
        probes: names of probes, or estimators by name.
        benign: activations of benign texts, the control for false positives.
        seed: of folds, shuffles and random directions.
        progress: called with fits done and their number.

    Returns:
        Cross-validated figures, controls, transfer, and a readout to score other texts with.

    Raises:
        InputError: no data, no probes, or too few groups to cross-validate.
    """
    if not sources:
        raise InputError("No data sets were given to sweep over.")
    if not probes:
        raise InputError("No probes were given to sweep over.")
    named = probes if isinstance(probes, Mapping) else {n: fitting.by_name(n) for n in probes}
    data, source = next(iter(sources.items()))
    activations = source.activations
    scores = nested(activations, named, seed=seed, progress=progress)
    best = scores.best
    fitted = fitting.fit_probe(named[best.probe], activations, best.site)
    span = Span.parse(activations.origin["span"])
    keys = {name: datasets.fingerprint(source.examples) for name, source in sources.items()}
    own = {data: keys[data]}
    origin = {**activations.origin, "data": own, "probe": repr(named[best.probe]), "seed": seed}
    alone = ensemble([(best.site, fitted.coef_[0], float(fitted.intercept_[0]))], span, origin)
    topics = by_topic(sources)
    pooled = fit_pooled(topics, span, {**origin, "data": keys}) if len(topics) > 1 else None
    readout = alone if pooled is None else pooled.readout
    refit = partial(_refit, named[best.probe], activations, best, span, origin)
    held_out = _held_out(pooled, topics, scores.folds, activations, refit, benign)
    thresholds, benign_scores = {}, None
    if benign is not None:
        benign_scores = mean_by_example(readout.score(benign), benign.example)
        thresholds = _thresholds(benign_scores, held_out, seed)
        readout = readout.with_threshold(thresholds[FALSE_POSITIVE_RATES[0]].value.value)
    return Sweep(
        data=data,
        nested=scores,
        best=best,
        auroc=auroc(scores.labels, scores.selected, scores.groups, seed=seed),
        by_choice={
            choice: auroc(scores.labels, values, scores.groups, seed=seed)
            for choice, values in scores.by_choice.items()
        },
        controls={
            "shuffled": controls.shuffled(
                activations, named[best.probe], best.site, scores.folds, seed
            ),
            "random_direction": controls.random_direction(activations, best.site, seed),
            **controls.text_baselines(source.examples, activations, scores.folds),
        },
        direction=Direction.along(fitted.coef_[0], activations, best.site, origin),
        readout=readout,
        pooled=pooled,
        transfer=judge(pooled, topics, seed) if pooled is not None else None,
        thresholds=thresholds,
        benign_scores=benign_scores,
        held_out=tuple(held_out),
    )


def _thresholds(
    benign_scores: np.ndarray, held_out: Sequence[Judged], seed: int
) -> dict[float, Threshold]:
    dishonest = [
        HeldOut(judged.scores[judged.labels == 0], judged.groups[judged.labels == 0], judged.benign)
        for judged in held_out
        if judged.benign is not None
    ]
    return {
        fpr: held_out_recall(benign_scores, dishonest, fpr, seed=seed)
        for fpr in FALSE_POSITIVE_RATES
    }


def by_topic(sources: Mapping[str, Source]) -> dict[str, Activations]:
    """Join the data sets of each topic; a data set without a topic is one by itself."""
    rows: dict[str, list[Activations]] = {}
    for name, source in sources.items():
        for topic in dict.fromkeys(source.activations.topics.tolist()):
            part = source.activations.rows(source.activations.topics == topic)
            rows.setdefault(topic or name, []).append(part)
    return {topic: Activations.join(parts) for topic, parts in rows.items()}


def _refit(
    probe: Any, activations: Activations, best: Choice, span: Span, origin: Any, fold: Fold
) -> Readout:
    fitted = fitting.fit_probe(probe, activations.rows(fold.train), best.site)
    return ensemble([(best.site, fitted.coef_[0], float(fitted.intercept_[0]))], span, origin)


def _held_out(
    pooled: Pooled | None,
    topics: Mapping[str, Activations],
    folds: Sequence[Fold],
    activations: Activations,
    refit: Any,
    benign: Activations | None,
) -> list[Judged]:
    """Scores of texts by readouts that did not see them: by topic, or by fold."""
    if pooled is not None:
        pairs = [(pooled.left_out[topic], part) for topic, part in topics.items()]
    else:
        pairs = [(refit(fold), activations.rows(fold.test)) for fold in folds]
    found = []
    for readout, part in pairs:
        first = first_rows(part.example)
        quiet = None
        if benign is not None:
            quiet = mean_by_example(readout.score(benign), benign.example)
        scores = mean_by_example(readout.score(part), part.example)
        found.append(Judged(scores, part.labels[first], part.groups[first], quiet))
    return found
