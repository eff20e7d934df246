"""Watch: runs interventions at their sites, and sees to it that each pass comes by all of them."""

import inspect
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from repalign.errors import CheckError, InputError
from repalign.interventions.passing import Passing, Where, place, refuse_unclear
from repalign.models import LanguageModel, SiteFunction
from repalign.models.hooking import attached
from repalign.sites import Site


class Watch:
    """The hooks of one context of `intervene`."""

    def __init__(
        self, model: LanguageModel, interventions: Mapping[Site, Any], where: str | Where
    ) -> None:
        """Prepare; `attach` places the hooks."""
        self.model = model
        self.interventions = interventions
        self.where = where
        self.chooses = None if where == "all" else place(where)
        written = interventions.values()
        self.by_position = self.chooses is not None or any(hasattr(i, "at") for i in written)
        # Who has to know where the prompt ends; a function of the user's own is told of each pass.
        asking = [f"where={where!r}"] if self.chooses and isinstance(where, str) else []
        asking += [type(i).__name__ for i in written if getattr(i, "by_prompt", False)]
        self._asking = asking
        # Numbers of the sites that the pass under way has come by: cheaper to hash than sites.
        self._reached: set[int] = set()
        self._written = False
        self._chosen: Tensor | bool = False
        self._here: Tensor | bool = True
        self._passing: Passing | None = None
        self._finished: Passing | None = None

    def attach(self, stack: ExitStack) -> None:
        """Place all hooks; the stack takes them off again."""
        decoder = self.model.architecture.decoder
        if self.by_position:
            self._names = tuple(inspect.signature(decoder.forward).parameters)
        begin = decoder.register_forward_pre_hook(self._begin, with_kwargs=True)
        stack.callback(begin.remove)
        reads = dict.fromkeys(s for i in self.interventions.values() for s in reads_of(i))
        readers: dict[Site, SiteFunction] = {site: self._reader(site) for site in reads}
        stack.enter_context(attached(self.model.architecture, readers, first=False))
        stack.callback(decoder.register_forward_hook(self._end).remove)
        writer = self._writer_by_position if self.by_position else self._writer
        functions = {
            site: writer(number, site, intervention)
            for number, (site, intervention) in enumerate(self.interventions.items())
        }
        stack.enter_context(self.model.hooked(functions))

    def finish(self) -> None:
        """Refuse a context in which nothing was written.

        Raises:
            CheckError: no pass came by, or no position was chosen in any.
        """
        if not self._written and not self._reached:
            raise CheckError(
                f"No pass of {self.model.name} came by {', '.join(map(str, self.interventions))} "
                "while intervene() was open, so nothing was written: nothing was run inside of it, "
                "or only shallower sites were read, or another copy of the network was run."
            )
        if self.chooses is not None and not bool(self._chosen):
            raise CheckError(
                f"where={self.where!r} chose no position in any of the passes made while "
                "intervene() was open, so nothing was written. `generated` needs a pass after the "
                "prompt's: generate two tokens or more, with use_cache=True."
            )

    def _begin(self, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # A pass that reads a shallow site ends before the deeper ones are written.
        self._written |= bool(self._reached)
        self._reached.clear()
        if not self.by_position:
            return
        inputs = {**dict(zip(self._names, args, strict=False)), **kwargs}
        passing = Passing.of(inputs, self._passing)
        for why in self._asking:
            refuse_unclear(passing, self._finished, why)
        self._passing = passing
        if self.chooses is not None:
            here: Any = self.chooses(passing)
            if not isinstance(here, Tensor | bool):
                raise InputError(
                    f"`where` gave {here!r}; it has to give a boolean tensor or a bool."
                )
            self._here = here

    def _end(self, _module: Any, _args: Any, output: Any) -> None:
        if len(self._reached) < len(self.interventions):
            sites = enumerate(self.interventions)
            missed = [str(site) for number, site in sites if number not in self._reached]
            raise CheckError(
                f"A pass of {self.model.name} did not come by {', '.join(missed)}: the network "
                "skips those blocks, and nothing was written there."
            )
        if self._passing is not None:
            self._passing.keep_cache(output)
            self._finished = self._passing

    def _reader(self, site: Site) -> SiteFunction:
        def read(states: Tensor) -> None:
            if self._passing is not None:
                # A copy: some families go on adding to the same tensor in place (Falcon).
                self._passing.read[site] = states.clone()

        return read

    def _writer(self, number: int, _site: Site, intervention: Any) -> SiteFunction:
        came_by = self._reached.add

        def write(states: Tensor) -> Tensor:
            came_by(number)
            return intervention(states)

        return write

    def _writer_by_position(self, number: int, site: Site, intervention: Any) -> SiteFunction:
        contextual = hasattr(intervention, "at")

        def write(states: Tensor) -> Tensor | None:
            if self._passing is None:
                raise CheckError(
                    f"{site} was reached without a pass of the decoder around it; what depends on "
                    "positions cannot be written there."
                )
            if not self._reached:
                self._chosen = _any(self._chosen, self._here)
            self._reached.add(number)
            if self._here is False:
                return None
            new = intervention.at(states, self._passing) if contextual else intervention(states)
            if self._here is True:
                return new
            return torch.where(_column(self._here, states), new, states)

        return write


def reads_of(intervention: Any) -> tuple[Site, ...]:
    """The sites whose states an intervention asks for."""
    return tuple(getattr(intervention, "reads", ()))


def _any(so_far: Tensor | bool, chosen: Tensor | bool) -> Tensor | bool:
    """Whether anything was chosen yet; a tensor stays on its device, for asking it waits."""
    if so_far is True or chosen is True:
        return True
    if isinstance(chosen, Tensor):
        return chosen.any() if so_far is False else so_far.to(chosen.device) | chosen.any()
    return so_far


def _column(chosen: Tensor, states: Tensor) -> Tensor:
    if chosen.shape != states.shape[:2] or chosen.dtype != torch.bool:
        raise InputError(
            f"`where` gave a {chosen.dtype} tensor of shape {tuple(chosen.shape)}; it has to be "
            f"boolean of shape {tuple(states.shape[:2])}, batch and positions."
        )
    return chosen.to(states.device).unsqueeze(-1)
