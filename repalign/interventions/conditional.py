"""Conditional: write only where a probe says so."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from repalign.errors import InputError
from repalign.interventions.passing import PLACES, Passing
from repalign.interventions.vectors import Placed, widened
from repalign.readouts import Readout
from repalign.sites import Site


@dataclass(frozen=True, eq=False)
class Conditional:
    """Another intervention, on the tokens or rows where a probe's score passes its threshold.

    By default where the score lies strictly below it: where the probe reads dishonesty. Every row
    of a batch decides for itself, with a key–value cache as without.

    `scope="token"` decides at each position by its own score. `scope="row"` decides once for each
    row, by the score at the end of its prompt, for the prompt and all that is generated after it:
    conditional activation steering (arXiv 2409.05907) with a probe in place of the similarity to a
    condition vector.
    """

    intervention: Any
    readout: Readout
    """It reads sites that a pass reaches before the one that is written."""
    threshold: float
    """Of the score of one position. The readout's own threshold is for scores of its span, which
    may be means over many positions; `Monitor` sets thresholds for single tokens."""
    above: bool = False
    """Act where the score is at the threshold or above it instead."""
    scope: Literal["token", "row"] = "token"

    def __post_init__(self) -> None:
        """Refuse a threshold that is no number, and an intervention with conditions of its own."""
        if not math.isfinite(self.threshold):
            raise InputError(f"A threshold is a finite number; {self.threshold} was given.")
        if self.scope not in ("token", "row"):
            raise InputError(f"scope is 'token' or 'row'; {self.scope!r} was given.")
        if hasattr(self.intervention, "at"):
            raise InputError(
                f"{type(self.intervention).__name__} depends on positions itself and cannot be "
                "made conditional."
            )

    @property
    def reads(self) -> Sequence[Site]:
        """The sites of the probe."""
        return self.readout.sites

    @property
    def by_prompt(self) -> bool:
        """Whether it has to know where the prompt ends."""
        return self.scope == "row"

    def __call__(self, states: Tensor) -> Tensor:
        """Refuse to act without a pass whose states the probe could read."""
        raise InputError("Conditional acts within intervene(), where its probe can read.")

    def at(
        self, states: Float[Tensor, "batch pos d_model"], passing: Passing
    ) -> Float[Tensor, "batch pos d_model"]:
        """Intervene where the condition holds."""
        fires = self._fires(passing).to(states.device)
        return torch.where(fires.unsqueeze(-1), self.intervention(states), states)

    def _fires(self, passing: Passing) -> Bool[Tensor, "batch pos"]:
        if self.scope == "token":
            return self._passes(self.scores(passing))
        if self not in passing.memory:
            if passing.start:
                raise InputError(
                    "A Conditional by rows decides at the end of the prompt, and the pass of this "
                    "prompt was not seen: it was made before the context was opened, or passes "
                    "over several caches are mixed. Run each prompt and what is generated after "
                    "it within the context, one after the other."
                )
            # Kept by this object: all sites that it writes at act on one decision.
            chosen = PLACES["last"](passing)
            scores = self.scores(passing)
            last = torch.as_tensor(chosen, device=scores.device).expand_as(scores)
            passing.memory[self] = self._passes(scores.masked_fill(~last, 0.0).sum(dim=1))
        return passing.memory[self].unsqueeze(1).expand_as(passing.attended)

    def _passes(self, scores: Tensor) -> Tensor:
        below = scores < self.threshold
        return ~below if self.above else below

    def scores(self, passing: Passing) -> Float[Tensor, "batch pos"]:
        """The probe's score at every position of a pass."""
        total, *others = (
            (states := widened(passing.read[site])) @ coef.beside(states)
            for site, coef in zip(self.readout.sites, self._coefs, strict=True)
        )
        for other in others:
            total = total + other.to(total.device)
        return total + self.readout.intercept

    @cached_property
    def _coefs(self) -> list[Placed]:
        return [Placed(row) for row in self.readout.coef]
