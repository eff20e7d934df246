"""Polarity: does what CCS finds flip when a statement is turned into its opposite (2511.21737)?

Every statement of a pair is read with `Yes` and with `No` behind it. At each layer CCS is fitted on
some pairs; others choose the layer, and others again say how well it holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.special import expit

from probes import CCS
from repalign.activations import Activations, Progress, collect
from repalign.errors import InputError
from repalign.fitting import fit_rows
from repalign.metrics import Estimate, cluster_codes, mean
from repalign.metrics.estimate import bootstrapped
from repalign.metrics.polarity import Polar, separation_accuracy
from repalign.models import LanguageModel
from repalign.probing.matched import Matched, split, texts
from repalign.sites import Site

LEAST_SEPARATION = 0.625
"""Of the paper: below this nothing was found whose consistency could be told."""
_RANDOM = 5
_COLUMNS = ("yes", "no", "opposite_yes", "opposite_no")


@dataclass(frozen=True, eq=False)
class PolarLayer:
    """What CCS found at one site."""

    site: Site
    chosen_by: Estimate
    """Separation accuracy on the pairs that choose the layer."""
    separation: Estimate
    """Separation accuracy on the pairs that are reported."""
    polar: Polar
    """Of the pairs that are reported."""
    labels: Int[np.ndarray, " pair"]
    groups: Shaped[np.ndarray, " pair"]

    @property
    def separates(self) -> bool:
        """Whether enough was found, on other pairs than those reported, to ask how it flips."""
        return self.chosen_by.value >= LEAST_SEPARATION

    @property
    def consistency(self) -> Estimate | None:
        """Mean polar consistency; None where the layer does not separate."""
        return mean(self.polar.consistency, self.groups) if self.separates else None

    @property
    def size(self) -> Estimate | None:
        """Mean absolute polar consistency, in which opposite signs do not cancel; or None."""
        return mean(np.abs(self.polar.consistency), self.groups) if self.separates else None

    @property
    def contradiction(self) -> Estimate:
        """Mean contradiction index; about 0.5 where nothing is known."""
        return mean(self.polar.contradiction, self.groups)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        size, consistency = self.size, self.consistency
        return {
            "site": str(self.site),
            "chosen by": self.chosen_by.to_json(),
            "separation": self.separation.to_json(),
            "consistency": consistency and consistency.to_json(),
            "absolute consistency": size and size.to_json(),
            "contradiction": self.contradiction.to_json(),
        }


@dataclass(frozen=True, eq=False)
class Polarities:
    """Every layer, and which one was chosen."""

    layers: tuple[PolarLayer, ...]
    chosen: PolarLayer
    """The layer of the best separation on the pairs that choose; the earliest of equals."""
    tested: Int[np.ndarray, " pair"]
    """Places of the pairs that are reported."""
    random: tuple[PolarLayer, ...]
    """Random directions at the chosen site, their logits as wide as those found there."""

    def nulls(self, seed: int = 0) -> dict[str, Estimate]:
        """What probes that know nothing have at the chosen site."""
        groups = self.chosen.groups
        found = {}
        for name, null in self.chosen.polar.nulls(seed).items():
            # Dealt out, four probabilities of a pair are of no one group any more.
            of = None if name == "dealt" else groups
            found[f"{name}: consistency"] = mean(null.consistency, of)
            found[f"{name}: contradiction"] = mean(null.contradiction, of)
        for what in ("consistency", "contradiction"):
            each = np.mean([getattr(one.polar, what) for one in self.random], axis=0)
            found[f"random: {what}"] = mean(each, groups)
        found["random: separation"] = _mean_separation(self.random)
        # Yes to each statement and no to each opposite: above 0.5 where labels are out of balance.
        labels, sides = self.chosen.labels, np.repeat([1.0, 0.0], len(groups))
        found["sides alone: separation"] = separation_accuracy(
            np.concatenate([labels, 1 - labels]), sides, np.concatenate([groups, groups])
        )
        return found


def polarities(
    model: LanguageModel,
    pairs: Sequence[Matched],
    sites: Sequence[Site] | None = None,
    *,
    probe: Any = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Polarities:
    """Fit CCS at each site and see how its judgement flips.

    Differs from the paper's code: pairs are never split between what is fitted and what is
    reported, the four readings are centred by what is fitted alone, a layer is chosen on pairs of
    its own, and `CCS` is ours (see there), which turns its score by the labels it was fitted on.

    Args:
        model: the model to read.
        pairs: statements with their opposites.
        sites: where to read the last token; None takes the residual stream after every block.
        probe: instead of `CCS()`; its decision values are taken for logits.
        seed: of the split.
        progress: called with texts read and their number.

    Raises:
        InputError: fewer than 12 groups.
    """
    read = collect(model, texts(pairs), tuple(sites or model.sites()), "last", progress=progress)
    return polarities_of(read, pairs, probe=probe, seed=seed)


def polarities_of(
    read: Activations, pairs: Sequence[Matched], *, probe: Any = None, seed: int = 0
) -> Polarities:
    """As `polarities`, of what was read of `texts(pairs)` before: one row a text."""
    if len(read) != 4 * len(pairs):
        raise InputError(
            f"{len(pairs)} pairs have {4 * len(pairs)} texts, of which one token each is read; "
            f"{len(read)} rows were given."
        )
    parts = split(pairs, seed)

    def values(site: Site) -> Float[np.ndarray, "pair 4 d_model"]:
        return read.at(site).astype(np.float64).reshape(len(pairs), 4, -1)

    layers = tuple(
        _layer(site, values(site), pairs, parts, CCS() if probe is None else probe)
        for site in read.sites
    )
    chosen = _best(layers)
    randoms = _randoms(chosen.site, values(chosen.site), pairs, parts, chosen)
    return Polarities(layers, chosen, parts[2], randoms)


def _best(layers: Sequence[PolarLayer]) -> PolarLayer:
    return max(layers, key=lambda layer: layer.chosen_by.value)


def _layer(
    site: Site,
    values: Float[np.ndarray, "pair 4 d_model"],
    pairs: Sequence[Matched],
    parts: tuple[np.ndarray, np.ndarray, np.ndarray],
    probe: Any,
) -> PolarLayer:
    fitted, chooses, reported = parts
    labels = np.array([pair.label for pair in pairs])[fitted]
    # Right are `Yes` behind what is true and `No` behind what is false.
    honest = np.stack([labels, 1 - labels, 1 - labels, labels], axis=1)
    contrasts = np.stack([2 * fitted, 2 * fitted, 2 * fitted + 1, 2 * fitted + 1], axis=1)
    roles = np.tile([1, -1, 1, -1], len(fitted))
    model = fit_rows(
        probe,
        values[fitted].reshape(-1, values.shape[-1]),
        honest.reshape(-1),
        contrasts.reshape(-1).astype(str),
        roles,
    )
    logits = values @ model.coef_[0] + model.intercept_[0]
    return _told(site, expit(logits), pairs, chooses, reported)


def _told(
    site: Site,
    probabilities: Float[np.ndarray, "pair 4"],
    pairs: Sequence[Matched],
    chooses: np.ndarray,
    reported: np.ndarray,
) -> PolarLayer:
    groups = np.array([pair.group for pair in pairs])
    labels = np.array([pair.label for pair in pairs])
    polar = {
        name: Polar(**dict(zip(_COLUMNS, probabilities[rows].T, strict=True)))
        for name, rows in (("chooses", chooses), ("reported", reported))
    }
    return PolarLayer(
        site,
        _separation(polar["chooses"], labels[chooses], groups[chooses]),
        _separation(polar["reported"], labels[reported], groups[reported]),
        polar["reported"],
        labels[reported],
        groups[reported],
    )


def _separation(polar: Polar, labels: np.ndarray, groups: np.ndarray) -> Estimate:
    return separation_accuracy(
        np.concatenate([labels, 1 - labels]),
        np.concatenate([polar.truth, polar.opposite_truth]),
        np.concatenate([groups, groups]),
    )


def _randoms(
    site: Site,
    values: Float[np.ndarray, "pair 4 d_model"],
    pairs: Sequence[Matched],
    parts: tuple[np.ndarray, np.ndarray, np.ndarray],
    chosen: PolarLayer,
) -> tuple[PolarLayer, ...]:
    fitted, chooses, reported = parts
    found = np.stack([getattr(chosen.polar, name) for name in _COLUMNS])
    clipped = np.clip(found, 1e-9, 1 - 1e-9)
    width = float(np.std(np.log(clipped / (1 - clipped))))
    generator, made = np.random.default_rng(0), []
    # As CCS does: each suffix by its own mean, of what is fitted.
    means = np.stack([values[fitted][:, role::2].mean(axis=(0, 1)) for role in (0, 1)] * 2)
    for _ in range(_RANDOM):
        drawn = (values - means) @ generator.standard_normal(values.shape[-1])
        logits = drawn * (width / max(float(drawn[fitted].std()), 1e-12))
        made.append(_told(site, expit(logits), pairs, chooses, reported))
    return tuple(made)


def _mean_separation(layers: Sequence[PolarLayer]) -> Estimate:
    """The mean over probes of the better of two ways round."""
    labels = np.concatenate([layers[0].labels, 1 - layers[0].labels])
    right = np.array(
        [
            (np.concatenate([one.polar.truth, one.polar.opposite_truth]) > 0.5) == labels
            for one in layers
        ]
    ).astype(np.float64)

    def statistic(weights: np.ndarray) -> np.ndarray:
        found = weights @ right.T / weights.sum(axis=1, keepdims=True)
        return np.maximum(found, 1 - found).mean(axis=1)

    groups = np.concatenate([layers[0].groups] * 2)
    return bootstrapped(statistic, cluster_codes(groups, len(labels)))
