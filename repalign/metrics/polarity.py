"""Polarity: does a judgement flip when a statement is turned into its opposite (2511.21737)?

Each statement A of a pair and its opposite nA is read with `Yes` and with `No` behind it, and a
probe gives each reading a probability of being held true: four numbers a pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from repalign.errors import InputError
from repalign.metrics.estimate import Estimate, bootstrapped, cluster_codes, mean


@dataclass(frozen=True, eq=False)
class Polar:
    """Probabilities of pairs of opposite statements; intervals resample pairs.

    Polar consistency is 0 for a good probe, and also for one that says the same of everything or
    contradicts itself throughout. Read it with the contradiction index and beside `nulls`.
    """

    yes: Float[np.ndarray, " _"]
    """Probability of the statement with `Yes` behind it."""
    no: Float[np.ndarray, " _"]
    """Of the statement with `No`."""
    opposite_yes: Float[np.ndarray, " _"]
    """Of its opposite with `Yes`."""
    opposite_no: Float[np.ndarray, " _"]
    """Of its opposite with `No`."""

    def __post_init__(self) -> None:
        """Refuse what is no probability, or no pairs."""
        for name, values in self._columns().items():
            if len(values) != len(self.yes) or not len(values):
                raise InputError(
                    f"Every pair has four probabilities, and there is at least one; {name} has "
                    f"{len(values)}, yes has {len(self.yes)}."
                )
            # Also false where a value is NaN.
            if not ((values >= 0) & (values <= 1)).all():
                raise InputError(f"Probabilities lie between 0 and 1; {name} holds others.")

    @property
    def consistency(self) -> Float[np.ndarray, " pair"]:
        """Polar consistency, -1 to 1: 0 where the judgement flips as the statement does."""
        size = ((self.yes - self.opposite_no) ** 2 + (self.no - self.opposite_yes) ** 2) / 2
        return size * np.sign(self.yes - self.opposite_yes) * np.sign(self.opposite_no - self.no)

    @property
    def contradiction(self) -> Float[np.ndarray, " pair"]:
        """Contradiction index, 0 to 2: both of two opposites are held true. 0.5 is ignorance."""
        return self.yes * self.opposite_yes + self.no * self.opposite_no

    @property
    def truth(self) -> Float[np.ndarray, " pair"]:
        """How far the statement is held true: half of `Yes` and what `No` lacks to 1."""
        return (self.yes + 1 - self.no) / 2

    @property
    def opposite_truth(self) -> Float[np.ndarray, " pair"]:
        """The same of the opposite."""
        return (self.opposite_yes + 1 - self.opposite_no) / 2

    @property
    def mean_consistency(self) -> Estimate:
        """The mean of polar consistency."""
        return mean(self.consistency)

    @property
    def mean_contradiction(self) -> Estimate:
        """The mean contradiction index."""
        return mean(self.contradiction)

    def nulls(self, seed: int = 0) -> dict[str, "Polar"]:
        """Probes that know nothing, to read the numbers beside.

        Args:
            seed: of the dealing.

        Returns:
            `constant` says 0.5 of everything; `contradictory` says of each opposite what it says of
            the statement; `dealt` has these very probabilities, dealt out by chance.
        """
        half = np.full(len(self.yes), 0.5)
        dealt = np.random.default_rng(seed).permutation(np.concatenate([*self._columns().values()]))
        return {
            "constant": Polar(half, half, half, half),
            "contradictory": Polar(self.yes, self.no, self.yes, self.no),
            "dealt": Polar(*np.split(dealt, 4)),
        }

    def _columns(self) -> dict[str, NDArray[Any]]:
        names = ("yes", "no", "opposite_yes", "opposite_no")
        return {name: getattr(self, name) for name in names}


def separation_accuracy(
    labels: Sequence[int] | NDArray[Any],
    truth: Sequence[float] | NDArray[Any],
    groups: Sequence[str] | NDArray[Any] | None = None,
) -> Estimate:
    """The accuracy of `truth > 0.5`, of whichever way round is right more often.

    An unsupervised probe does not know which side is which. The better of two ways is at least 0.5
    by construction, above it by chance in small samples, and more so for the best of many layers.

    Args:
        labels: 0 or 1, one a statement.
        truth: how far each is held true, 0 to 1.
        groups: which statements belong together, such as a statement and its opposite.

    Raises:
        InputError: no labels, or not one a value.
    """
    given, values = np.asarray(labels), np.asarray(truth, dtype=np.float64)
    if given.shape != values.shape or not given.size or not set(given.tolist()) <= {0, 1}:
        raise InputError(
            f"Labels are 0 or 1, one a statement; {given.shape} of {sorted(set(given.tolist()))} "
            f"were given for values of shape {values.shape}."
        )
    right = ((values > 0.5) == given).astype(np.float64)

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        found = weights @ right / weights.sum(axis=1)
        return np.maximum(found, 1 - found)

    return bootstrapped(statistic, cluster_codes(groups, len(given)))
