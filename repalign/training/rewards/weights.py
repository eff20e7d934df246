"""Weights: the states of what a policy generated, by its weights now or those before training."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from repalign.architectures import Architecture
from repalign.errors import InputError
from repalign.models import LanguageModel
from repalign.models.modes import evaluating
from repalign.sites import Site
from repalign.tokens import Tokens
from repalign.training.references import Reference

Weights = Literal["frozen", "current"]
"""Which weights a probe reads: those before training, or the policy's as they are."""


class Current:
    """The model that is trained, as it is at the time."""

    def __init__(self, trainer: Any) -> None:
        """Take a trainer's."""
        self._trainer = trainer
        self.name = "the model that is trained"

    @property
    def architecture(self) -> Architecture:
        """Its blocks."""
        return self._model().architecture

    def states(
        self, tokens: Tokens, sites: Sequence[Site], keep: Callable[[Tensor], Tensor]
    ) -> dict[Site, Tensor]:
        """What `keep` leaves of the states at sites, in one pass without gradient and dropout."""
        model = self._model()
        with evaluating(model.network):
            return model.capture(tokens, sites, keep)

    def _model(self) -> LanguageModel:
        # Anew each time: training replaces the network by one that is distributed.
        network = self._trainer.accelerator.unwrap_model(self._trainer.model)
        with evaluating(network):
            return LanguageModel(network, self._trainer.processing_class, self.name)


class Frozen:
    """The model before training: as the trainer keeps it, or as `penalised` was given it."""

    def __init__(self, trainer: Any, needed_by: str) -> None:
        """Find it.

        Raises:
            InputError: as `Reference`.
        """
        self._reference: Reference = trainer.before_training(needed_by)
        own = self._reference.separate is None
        self._device = trainer.accelerator.device
        self.name = "the model with its adapter off" if own else "a frozen model"

    @property
    def architecture(self) -> Architecture:
        """Its blocks."""
        return self._reference.architecture

    def states(
        self, tokens: Tokens, sites: Sequence[Site], keep: Callable[[Tensor], Tensor]
    ) -> dict[Site, Tensor]:
        """The same of the model before training."""
        tokens = tokens.to(self._device)
        inputs: dict[str, Any] = {"input_ids": tokens.ids, "attention_mask": tokens.attended.long()}
        if "position_ids" in self.architecture.forward_names:
            inputs["position_ids"] = tokens.position_ids
        if "use_cache" in self.architecture.forward_names:
            inputs["use_cache"] = False
        # A copy: some families go on adding to the same tensor in place (Falcon).
        return self._reference.states(((), inputs), sites, lambda _site, s: keep(s).clone())


Scorer = Current | Frozen
"""A model that reads tokens for a probe; records call it by its `name`."""


def scorer(trainer: Any, weights: Weights, needed_by: str) -> Scorer:
    """The model that scores for a reward.

    Raises:
        InputError: the model before training is wanted, and the trainer keeps none.
    """
    return Current(trainer) if weights == "current" else Frozen(trainer, needed_by)


def at(states: Tensor, kept: Tensor) -> Tensor:
    """The states `[kept d_model]` of the positions that count, row after row, in float32."""
    if states.shape[:2] != kept.shape:
        raise InputError(
            f"A reward reads states {list(states.shape[:2])} (rows, positions), but the batch is "
            f"{list(kept.shape)}. Adapters that put tokens of their own before the text, and "
            "training that splits a text over devices, cannot be scored."
        )
    return states[kept.to(states.device)].to("cpu", torch.float32)
