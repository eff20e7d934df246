"""Patch: put states of one run in the place of another's."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from repalign.errors import InputError
from repalign.interventions.passing import Passing


@dataclass(frozen=True, eq=False)
class Patch:
    """Replace the states of a prompt by given ones; what is generated after it is left alone.

    Values come from `LanguageModel.capture` of another batch of the same shape:

        values = model.capture(others, [site])[site]
        with intervene(model, {site: Patch(values, kept)}):
            logits = model.logits(tokens)
    """

    values: Float[Tensor, "batch pos d_model"]
    """One row for each of the batch, or one row for all."""
    kept: Bool[Tensor, "_ _"] | None = None
    """Which positions `[batch pos]` of the values are put in; None takes all."""
    by_prompt = True
    by_row = True

    def __post_init__(self) -> None:
        """Refuse values that are not finite, and a mask of another shape or without a choice."""
        if self.values.ndim != 3 or not bool(torch.isfinite(self.values).all()):
            raise InputError(
                "Patch holds finite states [batch pos d_model], as model.capture() gives them; "
                f"these have shape {tuple(self.values.shape)}, or hold NaN or infinity."
            )
        if self.kept is None:
            return
        if self.kept.dtype != torch.bool or self.kept.shape != self.values.shape[:2]:
            raise InputError(
                f"The mask is {self.kept.dtype} of shape {tuple(self.kept.shape)} and the values "
                f"are {tuple(self.values.shape)}; it has to be boolean, with as many rows and "
                "positions."
            )
        if not bool(self.kept.any()):
            raise InputError("The mask keeps no position: nothing would be patched.")

    def __call__(
        self, states: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Replace the states of one pass.

        Raises:
            InputError: another number of positions, or of rows.
        """
        if self.values.shape[1:] != states.shape[1:] or len(self.values) not in (1, len(states)):
            raise InputError(
                f"Patch holds states of shape {tuple(self.values.shape)}; this pass has "
                f"{tuple(states.shape)}. Both texts need as many tokens, and the batch as many "
                "rows, or one row for all."
            )
        new = self.values.to(states.device, states.dtype).expand_as(states)
        if self.kept is None:
            return new
        return torch.where(self.kept.to(states.device).unsqueeze(-1), new, states)

    def at(self, states: Tensor, passing: Passing) -> Tensor:
        """Replace in the prompt only."""
        return states if passing.start else self(states)
