"""Drifting: how far training moved the states of the same tokens, and into how many directions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from repalign.activations import Activations
from repalign.metrics import Estimate, cluster_codes
from repalign.metrics.estimate import bootstrap_counts, bootstrapped
from repalign.sites import Site

SHARE = 0.9
ROWS = 256
"""Rows that the rank is taken of, at most."""
_RESAMPLES = 20
_RANDOM = 20


@dataclass(frozen=True)
class Drift:
    """`h_trained − h_frozen` at one site."""

    rows: int
    size: Estimate
    """Its length over that of the frozen states, all tokens together."""
    rank: Estimate
    """Principal components that hold 90% of its squared length; the mean is not taken out, so a
    shift of all tokens by one vector has rank 1. A drift of few components that lies along the
    loss's direction is one made for the probe; benign training spreads over more (compared in
    arXiv 2512.11949, where 11 held 90% of a triggered shift and 39 normally)."""
    along: Estimate | None
    """Share of its squared length that lies along the direction in the loss; None without one."""
    along_random: Estimate
    """The same of random directions: mean and spread over them."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "rows": self.rows,
            "size": self.size.to_json(),
            "rank": self.rank.to_json(),
            "along": self.along and self.along.to_json(),
            "along_random": self.along_random.to_json(),
        }


def drift(
    frozen: Activations, trained: Activations, site: Site, old: np.ndarray | None, seed: int = 0
) -> Drift:
    """Measure the drift of the same rows.

    Args:
        frozen: rows of the model before training.
        trained: the same rows of the trained one.
        site: where.
        old: the direction in the loss at this site.
        seed: of the rows that the rank is taken of, and of the random directions.
    """
    states = np.asarray(frozen.at(site), dtype=np.float64)
    moved = np.asarray(trained.at(site), dtype=np.float64) - states
    codes = cluster_codes(frozen.groups, len(frozen))
    squared = (moved**2).sum(axis=1)
    lengths = np.sqrt(squared), np.linalg.norm(states, axis=1)
    generator = np.random.default_rng(seed)
    drawn = generator.normal(size=(_RANDOM, states.shape[1]))
    chance = [_share(moved, one, squared) for one in drawn]
    low, high = np.quantile(chance, [0.025, 0.975])
    along = None
    if old is not None:
        part = (moved @ (old / np.linalg.norm(old))) ** 2
        along = _ratio(part, squared, codes)
    return Drift(
        len(moved),
        _ratio(*lengths, codes),
        _rank(moved, codes, generator),
        along,
        Estimate(float(np.mean(chance)), float(low), float(high), _RANDOM),
    )


def _share(moved: np.ndarray, vector: np.ndarray, squared: np.ndarray) -> float:
    total = float(squared.sum())
    part = (moved @ (vector / np.linalg.norm(vector))) ** 2
    return float(part.sum()) / total if total else 0.0


def _ratio(part: np.ndarray, whole: np.ndarray, codes: np.ndarray) -> Estimate:
    """The ratio of two sums over rows; 0 where there is no whole."""

    def statistic(weights: Float[np.ndarray, "resample row"]) -> np.ndarray:
        total = weights @ whole
        return np.divide(weights @ part, total, out=np.zeros(len(total)), where=total > 0)

    return bootstrapped(statistic, codes)


def _rank(moved: np.ndarray, codes: np.ndarray, generator: np.random.Generator) -> Estimate:
    rows = np.arange(len(moved))
    if len(rows) > ROWS:
        rows = np.sort(generator.choice(rows, ROWS, replace=False))
    kept = np.unique(codes[rows], return_inverse=True)[1].reshape(-1)
    counts = bootstrap_counts(kept, _RESAMPLES, generator)
    value = _components(moved[rows], np.ones(len(rows)))
    drawn = [_components(moved[rows], one) for one in counts]
    low, high = np.quantile(drawn, [0.025, 0.975])
    # A resample holds fewer different rows, and so mostly fewer components.
    return Estimate(value, min(float(low), value), max(float(high), value), int(kept.max()) + 1)


def _components(moved: np.ndarray, weights: np.ndarray) -> float:
    """How many eigenvalues hold the share of the sum of the weighted second moment."""
    scaled = moved * np.sqrt(weights)[:, None]
    # The smaller of the two products has the same eigenvalues but for zeros.
    wide = scaled.shape[0] < scaled.shape[1]
    found = np.linalg.eigvalsh(scaled @ scaled.T if wide else scaled.T @ scaled)
    found = found[::-1].clip(min=0)
    total = found.sum()
    if total <= 0:
        return 0.0
    # The slack is for a single component, which rounding makes slightly less than the whole.
    return float(np.searchsorted(np.cumsum(found), SHARE * total * (1 - 1e-12)) + 1)
