"""Pooling: one readout from several topics, judged on topics that it never saw.

A probe fitted on one topic learns what is true there and what goes with it there. Here every topic
gives its own class difference and its own covariance, each within topic and polarity, so that what
differs *between* topics or between a statement and its negation is never learned; both are averaged
over topics, the covariance is shrunk, and scores of the best sites are added up. What is best is
decided on left-out topics.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from repalign.activations import Activations, mean_by_example
from repalign.errors import InputError
from repalign.metrics import Estimate, auroc
from repalign.probing.cross_validation import first_rows, in_threads
from repalign.readouts import Readout, ensemble
from repalign.sites import Site
from repalign.spans import Span

# Both chosen by AUROC on left-out topics: experiments/pooling/results.json.
SHRINKAGE = 1.0
"""Multiple of the mean variance that is added to every variance."""
SHARE_OF_SITES = 30
"""One site in this many is kept, at least one; the scores of several are added up."""
MAX_TOPICS = 30

Subset = frozenset[str]


@dataclass(frozen=True)
class Moments:
    """What one topic says about one site."""

    variance: np.ndarray
    """Of each feature over all its rows: what features are scaled by."""
    covariance: np.ndarray
    difference: np.ndarray
    midpoint: np.ndarray


@dataclass(frozen=True)
class Pooled:
    """Readouts pooled over topics, and how they do on topics left out."""

    topics: tuple[str, ...]
    readout: Readout
    """Fitted on all topics."""
    left_out: Mapping[str, Readout]
    """For each topic the readout fitted on the others."""
    single: Mapping[str, Readout]
    """For each topic the readout fitted on it alone, at the sites of `left_out` for that topic."""


def fit_pooled(
    parts: Mapping[str, Activations],
    span: Span,
    origin: Mapping[str, Any],
    *,
    shrinkage: float = SHRINKAGE,
    share_of_sites: int = SHARE_OF_SITES,
) -> Pooled:
    """Fit on all topics, on all but each, and on each alone.

    For a left-out topic the sites are chosen on the other topics, each left out in turn, so nothing
    of the topic enters the readout that it is scored with.

    Args:
        parts: labelled activations of each topic; at least three topics, or the choice of sites for
            a left-out topic would have nothing to rest on (with two, all sites are kept).
        span: the span that was read.
        origin: recorded in the readouts.
        shrinkage: multiple of the mean variance that is added to every variance.
        share_of_sites: one site in this many is kept.

    Raises:
        InputError: more topics than `MAX_TOPICS`, or one without both labels in a polarity.
    """
    topics = tuple(parts)
    _check(parts)
    sites = next(iter(parts.values())).sites
    subsets = list(_subsets(topics))

    def at_site(site: Site) -> dict[Subset, tuple[np.ndarray, float]]:
        moments = {topic: _moments(part, site) for topic, part in parts.items()}
        # In the order of the topics: a sum over a set would depend on the hash seed.
        return {
            subset: _weights([moments[t] for t in topics if t in subset], shrinkage)
            for subset in subsets
        }

    weights = dict(in_threads(at_site, sites))
    values = _site_values(parts, weights)

    def build(subset: Subset, judged_on: Sequence[str], without: str | None) -> Readout:
        scored = {
            site: float(np.mean([values[site, topic, without] for topic in judged_on] or [0.0]))
            for site in sites
        }
        count = max(1, len(sites) // share_of_sites) if judged_on else len(sites)
        best = sorted(sites, key=lambda site: (-scored[site], site))[:count]
        members = [(site, *weights[site][subset]) for site in sorted(best)]
        trained = {**origin, "topics": sorted(subset), "probe": f"pooled_lda({shrinkage=})"}
        return ensemble(members, span, trained)

    whole = frozenset(topics)
    left_out = {topic: build(whole - {topic}, _others(topics, topic), topic) for topic in topics}
    return Pooled(
        topics=topics,
        readout=build(whole, topics if len(topics) > 2 else [], None),
        left_out=left_out,
        single={topic: _alone(topic, weights, left_out[topic], span, origin) for topic in topics},
    )


def _others(topics: Sequence[str], topic: str) -> list[str]:
    """The topics that sites can be chosen on when one is left out: none, where only one remains."""
    return [other for other in topics if other != topic] if len(topics) > 2 else []


def _alone(
    topic: str,
    weights: Mapping[Site, Mapping[Subset, tuple[np.ndarray, float]]],
    like: Readout,
    span: Span,
    origin: Mapping[str, Any],
) -> Readout:
    members = [(site, *weights[site][frozenset([topic])]) for site in like.sites]
    return ensemble(members, span, {**origin, "topics": [topic], "probe": "lda"})


def _subsets(topics: Sequence[str]) -> Iterator[Subset]:
    """All topics, each left out, each pair left out, and each alone."""
    whole = frozenset(topics)
    yield whole
    for topic in topics:
        yield frozenset([topic])
        if len(topics) > 2:
            yield whole - {topic}
    if len(topics) > 3:
        for pair in combinations(topics, 2):
            yield whole - set(pair)


def _check(parts: Mapping[str, Activations]) -> None:
    if len(parts) > MAX_TOPICS:
        raise InputError(
            f"{len(parts)} topics were given; at most {MAX_TOPICS} can be left out in turn. A "
            "topic is what a data set is about, not a row: check the column `topic`."
        )
    for topic, part in parts.items():
        for stratum in np.unique(part.polarity):
            labels = part.labels[part.polarity == stratum]
            counts = [int((labels == label).sum()) for label in (0, 1)]
            if min(counts) < 2:
                raise InputError(
                    f"Topic {topic!r} has {counts[1]} rows of label 1 and {counts[0]} of label 0 "
                    f"with polarity {stratum}; pooling needs at least 2 of each. Add rows, or "
                    "leave the data set out."
                )


def _moments(part: Activations, site: Site) -> Moments:
    values = part.at(site).astype(np.float64)
    found = []
    for stratum in np.unique(part.polarity):
        rows = part.polarity == stratum
        low, high = (values[rows & (part.labels == label)].mean(axis=0) for label in (0, 1))
        centred = values[rows] - np.stack([low, high])[part.labels[rows]]
        covariance = centred.T @ centred / len(centred)
        found.append(Moments(values.var(axis=0), covariance, high - low, (low + high) / 2))
    return _average(found)


def _average(moments: Sequence[Moments]) -> Moments:
    return Moments(
        np.mean([m.variance for m in moments], axis=0),
        np.mean([m.covariance for m in moments], axis=0),
        np.mean([m.difference for m in moments], axis=0),
        np.mean([m.midpoint for m in moments], axis=0),
    )


def _weights(moments: Sequence[Moments], shrinkage: float) -> tuple[np.ndarray, float]:
    """Weights of unit spread within the classes, and the offset that puts zero at the midpoint.

    Only the topics given enter, the scale of the features included.
    """
    pooled = _average(moments)
    scale = np.sqrt(pooled.variance) + 1e-9
    covariance = pooled.covariance / np.outer(scale, scale)
    covariance.flat[:: len(covariance) + 1] += shrinkage * np.trace(covariance) / len(covariance)
    vector = cho_solve(cho_factor(covariance, check_finite=False), pooled.difference / scale)
    vector /= np.sqrt(vector @ covariance @ vector) + 1e-12
    weights = vector / scale
    return weights, -float(weights @ pooled.midpoint)


def _site_values(
    parts: Mapping[str, Activations],
    weights: Mapping[Site, Mapping[Subset, tuple[np.ndarray, float]]],
) -> dict[tuple[Site, str, str | None], float]:
    """AUROC on a topic of the weights fitted without it, and without one topic more."""
    whole = frozenset(parts)
    values: dict[tuple[Site, str, str | None], float] = {}
    for site, by_subset in weights.items():
        for topic, part in parts.items():
            read = part.at(site)  # once: it may come from disk
            for other in (None, *(name for name in parts if name != topic)):
                subset = whole - {topic, other} if other else whole - {topic}
                if subset in by_subset:
                    vector, offset = by_subset[subset]
                    scores = read @ vector + offset
                    values[site, topic, other] = example_auroc(part, scores, resamples=0).value
    return values


def example_auroc(part: Activations, scores: np.ndarray, **options: Any) -> Estimate:
    """AUROC of row scores, averaged by example and compared within the same polarity."""
    first = first_rows(part.example)
    return auroc(
        part.labels[first],
        mean_by_example(scores, part.example),
        part.groups[first],
        strata=part.polarity[first],
        **options,
    )
