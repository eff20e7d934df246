"""Agreement: how well a rule or a judge says what people said of the same answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from repalign.errors import InputError
from repalign.metrics.estimate import (
    Estimate,
    bootstrapped,
    cluster_codes,
    mean,
    own_groups,
    share,
)


@dataclass(frozen=True, eq=False)
class Agreement:
    """A yes or no of each answer, from people and from what is to be trusted instead of them.

    Example:
        >>> found = Agreement.of([1, 1, 0, 0], [1, 0, 0, 0])
        >>> print(found.precision, round(found.recall.value, 3), round(found.kappa.value, 3))
        1.000 [0.025, 1.000] 0.5 0.5
    """

    labels: Bool[np.ndarray, " answer"]
    found: Bool[np.ndarray, " answer"]
    groups: np.ndarray

    @classmethod
    def of(
        cls,
        labels: Sequence[bool] | Sequence[int] | NDArray[Any],
        found: Sequence[bool] | Sequence[int] | NDArray[Any],
        groups: Sequence[str] | NDArray[Any] | None = None,
    ) -> "Agreement":
        """Compare.

        Args:
            labels: what people said.
            found: what the rule or judge said of the same answers.
            groups: which answers belong together, such as those to one question.

        Raises:
            InputError: no answers, or not one of each for every answer.
        """
        truth, said = np.asarray(labels, dtype=bool), np.asarray(found, dtype=bool)
        if truth.shape != said.shape or truth.ndim != 1 or not len(truth):
            raise InputError(
                f"Labels and findings are one each an answer; their shapes are {truth.shape} and "
                f"{said.shape}."
            )
        return cls(truth, said, own_groups(groups, len(truth)))

    @property
    def precision(self) -> Estimate | None:
        """The share of yes-labels among what was found; None where nothing was."""
        return share(self.labels & self.found, self.found, self.groups)

    @property
    def recall(self) -> Estimate | None:
        """The share found of the yes-labels; None where there are none."""
        return share(self.labels & self.found, self.labels, self.groups)

    @property
    def accuracy(self) -> Estimate:
        """The share of answers on which both agree."""
        return mean(self.labels == self.found, self.groups)

    @property
    def kappa(self) -> Estimate | None:
        """Cohen's kappa, agreement beyond chance: 0 is chance, 1 is all; None where none can be."""
        if len({*self.labels.tolist(), *self.found.tolist()}) < 2:
            return None

        def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            total = weights.sum(axis=1)
            yes, said, same = (
                weights @ part.astype(np.float64) / total
                for part in (self.labels, self.found, self.labels == self.found)
            )
            chance = yes * said + (1 - yes) * (1 - said)
            beyond = np.full(len(total), np.nan)
            return np.divide(same - chance, 1 - chance, out=beyond, where=chance < 1)

        return bootstrapped(statistic, cluster_codes(self.groups, len(self.labels)))

    def to_json(self) -> dict[str, Any]:
        """As plain data, with the four counts."""
        cells = {
            "both": self.labels & self.found,
            "labelled_only": self.labels & ~self.found,
            "found_only": ~self.labels & self.found,
            "neither": ~self.labels & ~self.found,
        }
        measures = {
            name: getattr(self, name) for name in ("precision", "recall", "accuracy", "kappa")
        }
        return {
            **{name: int(cell.sum()) for name, cell in cells.items()},
            **{name: one and one.to_json() for name, one in measures.items()},
        }
