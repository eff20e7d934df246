"""Refitting: whether honest and dishonest texts can still be told apart after training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from repalign.activations import Activations, collect, mean_by_example
from repalign.auditing.shift import Shift, of_auroc
from repalign.examples import Example
from repalign.fitting import by_name, fit_rows
from repalign.metrics import Estimate
from repalign.metrics.estimate import bootstrap_counts, cluster_codes
from repalign.models import LanguageModel
from repalign.probing import controls
from repalign.probing.cross_validation import OUTER_FOLDS, first_rows, score_fold
from repalign.probing.folds import Fold, grouped_folds
from repalign.sites import Site
from repalign.spans import Span

PROBE = "logistic"
_ANGLES = 20
"""Resamples of groups for the interval of an angle, each with a fit of its own."""


@dataclass(frozen=True)
class Refit:
    """A probe fitted anew at one site, with labels that no earlier probe has seen."""

    auroc: Shift
    """Cross-validated: fitted on frozen weights, and fitted on trained weights."""
    shuffled: Estimate
    """The same on trained weights with shuffled labels: what there is to find in nothing."""
    angle: Estimate | None
    """Degrees between the refitted direction and the one in the loss; None without one there."""
    angle_before: Estimate | None
    """The same of a probe fitted anew on frozen weights: what another fit alone makes of it."""

    @property
    def separates(self) -> bool:
        """Whether a probe fitted on the trained weights surely tells the classes apart."""
        return self.auroc.after.low > max(0.5, self.shuffled.high)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "auroc": self.auroc.to_json(),
            "shuffled": self.shuffled.to_json(),
            "angle": self.angle and self.angle.to_json(),
            "angle_before": self.angle_before and self.angle_before.to_json(),
        }


def refit(
    frozen: Activations,
    trained: Activations,
    site: Site,
    old: np.ndarray | None,
    *,
    probe: str = PROBE,
    seed: int = 0,
) -> Refit:
    """Fit on each model's activations of the same labelled texts, folds that keep groups whole.

    Args:
        frozen: rows of the model before training.
        trained: the same rows of the trained one.
        site: where.
        old: the direction in the loss at this site, for the angle.
        probe: which estimator.
        seed: of folds and shuffles.

    Raises:
        InputError: a class found in a single group.
    """
    estimator = by_name(probe)
    folds = grouped_folds(frozen.labels, frozen.groups, OUTER_FOLDS, seed)
    first = first_rows(frozen.example)
    scores = [_out_of_fold(estimator, read, site, folds) for read in (frozen, trained)]
    angles = [
        None if old is None else _angle(estimator, read, site, old, seed)
        for read in (trained, frozen)
    ]
    return Refit(
        of_auroc(frozen.labels[first], scores[0], scores[1], frozen.groups[first]),
        controls.shuffled(trained, estimator, site, folds, seed),
        angles[0],
        angles[1],
    )


def read_both(
    before: LanguageModel,
    after: LanguageModel,
    texts: Sequence[Example],
    sites: Sequence[Site],
    span: Span,
) -> tuple[Activations, Activations]:
    """The same tokens read in both models."""
    return collect(before, texts, sites, span), collect(after, texts, sites, span)


def _out_of_fold(
    estimator: Any, read: Activations, site: Site, folds: Sequence[Fold]
) -> np.ndarray:
    scores = np.empty(len(read))
    for fold in folds:
        scores[fold.test] = score_fold(estimator, read, site, fold, read.labels)
    return mean_by_example(scores, read.example)


def _angle(estimator: Any, read: Activations, site: Site, old: np.ndarray, seed: int) -> Estimate:
    """Degrees, of the fit on all rows; the interval from fits on resampled groups."""
    values = np.asarray(read.at(site), dtype=np.float64)
    codes = cluster_codes(read.groups, len(read))

    def degrees(rows: np.ndarray, groups: np.ndarray) -> float:
        fitted = fit_rows(estimator, values[rows], read.labels[rows], groups, read.polarity[rows])
        weights = fitted.coef_[0]
        cosine = weights @ old / (np.linalg.norm(weights) * np.linalg.norm(old))
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    value = degrees(np.arange(len(read)), codes)
    drawn = []
    for counts in bootstrap_counts(codes, _ANGLES, seed).astype(np.intp):
        rows = np.repeat(np.arange(len(read)), counts)
        if len(set(read.labels[rows].tolist())) == 2:
            drawn.append(degrees(rows, codes[rows]))
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn else (value, value)
    # Fits on resamples see fewer groups and so lie further out; the interval still holds the value.
    return Estimate(value, min(float(low), value), max(float(high), value), int(codes.max()) + 1)
