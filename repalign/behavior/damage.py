"""Damage: how far a model's next-token probabilities on ordinary texts have moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from repalign.metrics import Estimate, mean
from repalign.metrics.estimate import bootstrapped, cluster_codes

WORST = 0.05
"""The share of tokens that `Damage.worst` is about."""


@dataclass(frozen=True, eq=False)
class Damage:
    """What was measured at each position of the texts; intervals resample texts.

    Example:
        >>> print(Damage(np.zeros(3), np.ones(3, bool), np.ones(2), np.ones(2),
        ...              np.array(["a", "a", "b"]), np.array(["a", "b"])).mean)
        0.000 [0.000, 0.000]
    """

    kl: Float[np.ndarray, " token"]
    """KL(plain ‖ now) of the distribution of the token after each position, in nats."""
    agreed: Bool[np.ndarray, " token"]
    """Whether the most probable next token is still the same."""
    surprise: Float[np.ndarray, " target"]
    """−log-probability of each token that has another before it, now."""
    surprise_before: Float[np.ndarray, " target"]
    """The same of the plain model."""
    groups: np.ndarray
    """The text, or group of texts, of each entry of `kl`."""
    target_groups: np.ndarray
    """The same of each entry of `surprise`."""
    origin: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Model, weights and what was written to it."""

    def __str__(self) -> str:
        """One line."""
        return (
            f"KL {self.mean}, worst {WORST:.0%} of {len(self.kl)} tokens {self.worst}; "
            f"perplexity {self.perplexity}, before {self.perplexity_before}; "
            f"same next token {self.agreement}"
        )

    @property
    def mean(self) -> Estimate:
        """The mean KL."""
        return mean(self.kl, self.groups)

    @property
    def worst(self) -> Estimate:
        """The mean KL of the 5% of tokens that are hit hardest.

        A token that lies across the edge counts in part, so that the number does not jump with
        the number of tokens.
        """
        order = np.argsort(-self.kl, kind="stable")
        values = self.kl[order]

        def statistic(weights: Float[np.ndarray, "resample row"]) -> np.ndarray:
            budget = WORST * weights.sum(axis=1, keepdims=True)
            sorted_weights = weights[:, order]
            before = np.cumsum(sorted_weights, axis=1) - sorted_weights
            taken = np.clip(budget - before, 0.0, sorted_weights)
            return (taken @ values) / budget[:, 0]

        return bootstrapped(statistic, cluster_codes(self.groups, len(self.kl)))

    @property
    def agreement(self) -> Estimate:
        """The share of positions whose most probable next token is still the same."""
        return mean(self.agreed.astype(np.float64), self.groups)

    @property
    def perplexity(self) -> Estimate:
        """The perplexity of the texts now."""
        return perplexity_of(self.surprise, self.target_groups)

    @property
    def perplexity_before(self) -> Estimate:
        """The perplexity of the texts to the plain model."""
        return perplexity_of(self.surprise_before, self.target_groups)

    def to_json(self) -> dict[str, Any]:
        """As plain data, without the tokens."""
        names = ("mean", "worst", "agreement", "perplexity", "perplexity_before")
        return {
            **dict(self.origin),
            **{name: getattr(self, name).to_json() for name in names},
            "tokens": len(self.kl),
        }


def perplexity_of(surprise: Sequence[float] | np.ndarray, groups: np.ndarray) -> Estimate:
    """`exp` of the mean surprise of all tokens, in nats; intervals resample groups.

    Example:
        >>> round(perplexity_of([np.log(2.0), np.log(8.0)], np.array(["a", "b"])).value, 6)
        4.0
    """
    found = mean(surprise, groups)
    value, low, high = (float(np.exp(end)) for end in (found.value, found.low, found.high))
    return Estimate(value, low, high, found.n, found.level)
