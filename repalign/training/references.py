"""References: the states of the model before training, where the trainer makes no pass of it."""

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from repalign import architectures
from repalign.errors import InputError, RepalignError
from repalign.models.hooking import FLOW, StopForward, attached
from repalign.models.modes import evaluating
from repalign.sites import Site

Given = nn.Module | Literal["copy"] | None
# They belong to the head, which is never reached; a plain model would not know some of them.
_OF_THE_HEAD = frozenset({"labels", "shift_labels", "fused_lm_head", "num_items_in_batch"})


class Reference:
    """The model before training, as one trainer has it.

    It is what the user gave; else the trainer's own `ref_model`; else the model that is trained
    with its adapter off.
    """

    def __init__(self, trainer: Any, given: Given, needed_by: str) -> None:
        """Find it.

        Args:
            trainer: made, and not yet training.
            given: a frozen model, `"copy"` for a copy of the trainer's as it is now, or None.
            needed_by: the name of a penalty that compares with it.

        Raises:
            InputError: there is none, TRL changes it while it trains, or the one given is the
                model itself or of another size.
        """
        self._trainer = trainer
        model: Any = _unwrapped(trainer, trainer.model)
        self.separate: nn.Module | None
        """A network of its own, or None where it is the policy's with its adapter off."""
        if given is not None:
            self.separate = self._prepared(self._own(given, model))
        elif getattr(trainer, "ref_model", None) is not None:
            if getattr(trainer.args, "sync_ref_model", False):
                raise InputError(
                    f"{needed_by} compares with the model before training, and sync_ref_model=True "
                    "moves the trainer's reference after the policy. Keep one that stays: "
                    'penalised(…, reference="copy").'
                )
            self.separate = trainer.ref_model
        elif hasattr(model, "peft_config") and hasattr(model, "disable_adapter"):
            self.separate = None
        else:
            raise InputError(
                f"{needed_by} compares with the model before training, and this trainer keeps "
                "none: it trains all weights and has no reference model. Train an adapter "
                "(peft_config=LoraConfig(…)), which is switched off for the reference, or give a "
                'frozen model: penalised(…, reference=model), reference="copy" for a copy of the '
                "one that is trained."
            )
        self.network = model if self.separate is None else _unwrapped(trainer, self.separate)
        """It without what distributes it."""
        self.architecture = architectures.find(self.network)
        ours = architectures.find(model)
        sizes = [(each.d_model, len(each.layers)) for each in (self.architecture, ours)]
        if sizes[0] != sizes[1]:
            raise InputError(
                f"The reference has width {sizes[0][0]} and {sizes[0][1]} layers, the model that "
                f"is trained {sizes[1][0]} and {sizes[1][1]}. Give a copy of the model before "
                'training: reference="copy".'
            )

    def states(
        self,
        call: tuple[tuple[Any, ...], dict[str, Any]],
        sites: Sequence[Site],
        gather: Callable[[Site, Tensor], Any],
    ) -> dict[Site, Any]:
        """Run the policy's call through it without gradient, up to the deepest of the sites."""
        kept: dict[Site, Any] = {}
        deepest = max(sites, key=lambda site: (site.layer, FLOW.index(site.stream)))

        def keeper(site: Site) -> Callable[[Tensor], None]:
            def keep(states: Tensor) -> None:
                kept[site] = gather(site, states)
                if site == deepest:
                    raise StopForward

            return keep

        network: Any = self._trainer.model if self.separate is None else self.separate
        args, kwargs = call
        kwargs = {name: value for name, value in kwargs.items() if name not in _OF_THE_HEAD}
        with torch.no_grad(), evaluating(self.network), self._without_adapter():
            keepers = {site: keeper(site) for site in sites}
            with attached(self.architecture, keepers, first=False):
                try:
                    network(*args, **kwargs)
                except StopForward:
                    return kept
        raise RepalignError(
            f"The reference model was run and its states never passed {deepest}. Give a reference "
            "whose forward runs its own blocks."
        )

    @contextmanager
    def _without_adapter(self) -> Generator[None, None, None]:
        plain: Any = self.network
        if self.separate is not None:
            yield
        elif "ref" in plain.peft_config:
            # TRL's copy of an adapter that is trained further.
            active = plain.active_adapter
            plain.set_adapter("ref")
            try:
                yield
            finally:
                plain.set_adapter(active)
        else:
            with plain.disable_adapter():
                yield

    def _own(self, given: Any, model: nn.Module) -> nn.Module:
        if given == "copy":
            given = copy.deepcopy(model)
            # TRL's own forward still runs the model that was copied.
            base = given.get_base_model() if hasattr(given, "get_base_model") else given
            base.__dict__.pop("forward", None)
        elif given is model or given is self._trainer.model:
            raise InputError(
                "The reference is the model that is trained, so nothing would ever differ from it. "
                'Give a copy: reference="copy".'
            )
        return given.requires_grad_(False).eval()

    def _prepared(self, network: nn.Module) -> nn.Module:
        trainer = self._trainer
        if trainer.is_deepspeed_enabled:
            from trl.models.utils import prepare_deepspeed

            return prepare_deepspeed(network, trainer.accelerator)
        if trainer.is_fsdp_enabled:
            from trl.models.utils import prepare_fsdp

            return cast(nn.Module, prepare_fsdp(network, trainer.accelerator))
        return trainer.accelerator.prepare_model(network, evaluation_mode=True)


def missing(found: Mapping[Site, Any], sites: Sequence[Site]) -> bool:
    """Whether a pass left no states at some of the sites."""
    return any(site not in found for site in sites)


def _unwrapped(trainer: Any, network: nn.Module) -> nn.Module:
    return trainer.accelerator.unwrap_model(network)
