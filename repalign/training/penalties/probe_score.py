"""ProbeScore: a penalty on texts that a saved probe scores as dishonest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from repalign.monitoring.aggregating import Aggregate
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.training.penalties.penalty import Penalty, States, check_finite


@dataclass(frozen=True)
class ProbeScore(Penalty):
    """A hinge on a probe's score of a text: `relu(margin − aggregate(score of its tokens))`.

    Its gradient goes through the probe, which is the known way of teaching a model to hide from it
    (arXiv 2602.15515). Keep the probes that report on the model apart from the one in the loss.
    A mean over texts.
    """

    per_text: ClassVar[bool] = True

    readout: Readout
    weight: float | None = None
    aggregate: Aggregate | str = "mean"
    """From tokens to a text: `mean`, `max`, `top-5` or `rolling-8`; see `monitoring.Aggregate`."""
    margin: float = 0.0
    """The score from which on a text is free, in units of the probe's score."""

    def __post_init__(self) -> None:
        """Refuse an aggregate that does not exist and a margin that is no number."""
        super().__post_init__()
        check_finite("A margin, in units of the probe's score,", self.margin)
        if isinstance(self.aggregate, str):
            object.__setattr__(self, "aggregate", Aggregate.parse(self.aggregate))

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites of the probe."""
        return self.readout.sites

    @property
    def widths(self) -> dict[Site, int]:
        """The width of states that the probe was fitted on."""
        return {site: int(self.readout.coef.shape[1]) for site in self.readout.sites}

    @property
    def origins(self) -> list[Mapping[str, Any]]:
        """Where the probe comes from."""
        return [self.readout.origin]

    def __call__(
        self, policy: States, reference: States | None, text: Int[Tensor, " kept"]
    ) -> Float[Tensor, " text"]:
        """The penalty of each text, in units of the score."""
        scores = self._scores(policy)
        if not len(scores):
            return scores
        parts = scores.split(torch.bincount(text).tolist())
        return torch.relu(self.margin - torch.stack([self._aggregated(part) for part in parts]))

    def watched(self, states: States) -> dict[str, Float[Tensor, " kept"]]:
        """The mean score of the tokens."""
        return {f"score/{self.name}": self._scores(states)}

    def _scores(self, states: States) -> Tensor:
        scores = [
            states[site]
            @ torch.from_numpy(self.readout.coef[row]).to(states[site].device, states[site].dtype)
            for row, site in enumerate(self.readout.sites)
        ]
        return torch.stack(scores).sum(dim=0) + self.readout.intercept

    def _aggregated(self, scores: Tensor) -> Tensor:
        how = self.aggregate
        assert isinstance(how, Aggregate)
        size = min(how.size, len(scores))
        if how.name == "mean":
            return scores.mean()
        if how.name == "rolling":
            return scores.unfold(0, size, 1).mean(dim=1).min()
        return scores.topk(size, largest=False).values.mean()
