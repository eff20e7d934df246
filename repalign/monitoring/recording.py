"""Recorder: reads every pass of a generation, and costs no pass of its own but the last."""

import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import GenerationMixin

from repalign.errors import CheckError, InputError
from repalign.interventions.vectors import Placed
from repalign.models import LanguageModel, SiteFunction
from repalign.models.hooking import attached
from repalign.readouts import Readout

# What networks call the state that they hand from pass to pass.
_CACHES = ("past_key_values", "cache_params", "state")


class Step(NamedTuple):
    """One generated token of every row."""

    ids: Int[Tensor, " batch"]
    scores: Float[Tensor, " batch"]
    probabilities: Float[Tensor, " batch"]


class Recorder:
    """Reads each generated token when it is fed back in to choose the next one.

    The state of a token exists from the pass that it is fed to: its score is read there, at the
    last position, and its probability is what the pass before gave it. So scores come one step
    after their tokens were chosen, and the token chosen last needs a pass more, which `finish`
    makes. Passes of other threads are let by.
    """

    def __init__(
        self,
        model: LanguageModel,
        readout: Readout,
        attended: Bool[Tensor, "batch pos"] | None = None,
        give: Callable[[Step], None] | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            model: what generates.
            readout: what scores.
            attended: of the prompts, padded on the left; without it the first pass is the prompt,
                and `finish` cannot be called.
            give: called with each step within the pass that it was read in.
        """
        self.model, self.readout, self.attended, self.give = model, readout, attended, give
        self._prompt = 0 if attended is None else attended.shape[1]
        self.network = generating(model)
        self.steps: list[Step] = []
        self._tokens = 0
        self._thread = threading.get_ident()
        self._ids = torch.empty(0)
        self._inputs: dict[str, Any] = {}
        self._cache: dict[str, Any] = {}
        self._logits = torch.empty(0)
        self._scores: list[Tensor] = []

    @contextmanager
    def watching(self) -> Generator[None, None, None]:
        """Read while the context is open; after whatever writes at the same sites."""
        readers: dict[Any, SiteFunction] = {
            site: self._reader(coef)
            for site, coef in zip(self.readout.sites, self.readout.coef, strict=True)
        }
        with ExitStack() as stack:
            begin = self.network.register_forward_pre_hook(self._begin, with_kwargs=True)
            stack.callback(begin.remove)
            stack.callback(self.network.register_forward_hook(self._end).remove)
            stack.enter_context(attached(self.model.architecture, readers, first=False))
            yield

    def finish(self, sequences: Int[Tensor, "batch pos"]) -> None:
        """Feed the token that was chosen last, as generation would have.

        Args:
            sequences: prompts and answers, as generation returned them.

        Raises:
            CheckError: fewer tokens were read than generated.
        """
        new = sequences.shape[1] - self._prompt
        if len(self.steps) == new - 1:
            self._feed_last(sequences)
        fed = torch.stack([step.ids for step in self.steps], dim=1) if self.steps else None
        if fed is None or not torch.equal(fed, sequences[:, self._prompt :].to(fed.device)):
            raise CheckError(
                f"{new} tokens were generated, and {len(self.steps)} of them read as they were fed "
                f"to {self.model.name}: its passes go by the hooks, as those of a compiled network "
                "do, or bring several tokens at once. Generate token by token, uncompiled."
            )

    def _feed_last(self, sequences: Tensor) -> None:
        mask = torch.ones_like(sequences)
        if self.attended is not None:
            mask[:, : self._prompt] = self.attended
        places: Tensor | None = self._inputs.get("position_ids")
        if places is not None:
            # As generation counts on; without a cache all places are given again.
            places = places[..., -1:] + 1 if self._cache else (mask.cumsum(-1) - 1).clamp(min=0)
        inputs = self.network.prepare_inputs_for_generation(
            sequences,
            next_sequence_length=1 if self._cache else None,
            attention_mask=mask if self._inputs.get("attention_mask") is not None else None,
            use_cache=bool(self._cache),
            **({} if places is None else {"position_ids": places}),
            **self._cache,
        )
        with torch.no_grad():
            self.network(**inputs, return_dict=True)

    def _begin(self, _module: nn.Module, args: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        if threading.get_ident() != self._thread:
            return
        self._ids = inputs["input_ids"] if "input_ids" in inputs else args[0]
        self._inputs = inputs
        self._scores = []

    def _reader(self, coef: np.ndarray) -> SiteFunction:
        weights = Placed(coef)

        def read(states: Tensor) -> None:
            if threading.get_ident() != self._thread:
                return
            # As `Readout.score` computes; Apple's devices have no float64.
            exact = torch.float32 if states.device.type == "mps" else torch.float64
            last = states[:, -1].to(exact)
            self._scores.append(last @ weights.beside(last))

        return read

    def _end(self, _module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        place = self._place(self._ids.shape[1])
        if place >= 0:
            self._keep(place)
        self._logits = output.logits[:, -1].to(torch.float32, copy=True)
        self._cache = {name: output[name] for name in _CACHES if name in output}

    def _place(self, width: int) -> int:
        """Which generated token, from 0, a pass of this width ends in; negative in the prompt."""
        self._prompt = self._prompt or width
        if self._tokens < self._prompt or width == 1:
            self._tokens += width
        elif width == self._tokens + 1:
            # Without a cache each pass computes the whole text again.
            self._tokens = width
        else:
            raise CheckError(
                f"A pass of {self.model.name} brings {width} tokens at once after "
                f"{self._tokens}, as another prompt or speculative decoding does; each is to be "
                "read in a pass of its own. Watch one generation, token by token."
            )
        return self._tokens - 1 - self._prompt

    def _keep(self, place: int) -> None:
        if len(self._scores) != len(self.readout.sites) or place != len(self.steps):
            raise CheckError(
                f"A pass of {self.model.name} came by {len(self._scores)} of the "
                f"{len(self.readout.sites)} sites that the probe reads, so its token has no score."
            )
        ids = self._ids[:, -1].to(self._logits.device)
        chosen = self._logits.gather(1, ids.unsqueeze(1)).squeeze(1)
        probabilities = (chosen - self._logits.logsumexp(dim=1)).exp()
        scores = self._scores[0] + self.readout.intercept
        for part in self._scores[1:]:
            scores = scores + part.to(scores.device)
        step = Step(ids, scores, probabilities)
        self.steps.append(step)
        if self.give is not None:
            self.give(step)


def generating(model: LanguageModel) -> Any:
    """The module whose passes `generate` makes; inside of a PEFT model where there is one.

    Raises:
        InputError: there is none.
    """
    for module in model.network.modules():
        if isinstance(module, GenerationMixin) and _holds(module, model.architecture.decoder):
            return module
    raise InputError(f"{model.name} cannot generate: it has no `generate` of transformers.")


def _holds(module: Any, part: nn.Module) -> bool:
    return any(child is part for child in module.modules())
