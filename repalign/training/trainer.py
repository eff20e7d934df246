"""The part of a penalised trainer that goes ahead of TRL's own."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from repalign import architectures
from repalign.errors import InputError
from repalign.storage import read_record, write_json
from repalign.training import checking, labels, references
from repalign.training.labels import CarriesLabels
from repalign.training.measuring import measure
from repalign.training.methods import Layout, Method
from repalign.training.passes import Passes
from repalign.training.penalties import Penalty, Retain, Together
from repalign.training.references import Reference
from repalign.training.rewards.divergence import warn_without
from repalign.training.rewards.rewarded import Rewarded
from repalign.training.schedules import Constant
from repalign.training.stopping import stop
from repalign.training.terms import Group, Reading, Term, Value, terms, total

_FILE = "penalties.json"
# Written when all else of a checkpoint is there.
_LAST = "trainer_state.json"
_FORMAT = "repalign.penalties/1"


class Penalised(CarriesLabels, Rewarded):
    """Goes ahead of a trainer of TRL in the order of inheritance."""

    penalties: tuple[Penalty | Together, ...]
    label_column: str | None
    _method: Method
    same_weights: bool
    _given: references.Given
    # The trainer's own.
    model: Any
    args: Any
    state: Any
    accelerator: Any
    data_collator: Any
    compute_loss_func: Any
    loss_is_scaled_for_ga: bool | None
    model_accepts_loss_kwargs: bool
    current_gradient_accumulation_steps: int
    _signature_columns: list[str] | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._terms = terms(self.penalties)
        self._measured: dict[str, float] = {}
        self._reference: Reference | None = None
        self._before: Reference | None = None
        self._unwrapped: tuple[Any, Any] | None = None
        if self.label_column is not None:
            labels.check_column(self, self.label_column)
        if self._terms:
            self._check_terms()
        if self._method.generates:
            self._attach_rewards()
            # Retain keeps the states where they are, and trains against no probe.
            probes = [
                term.name
                for term in self._terms
                if term.penalty.origins and not isinstance(term.penalty, Retain)
            ]
            warn_without(self.args, probes + self._probing_rewards())

    def _plain(self) -> Any:
        """The model without what distributes it, found anew only where it is another one.

        Accelerate goes through all modules, which is 5 ms for 30 layers.
        """
        if self._unwrapped is None or self._unwrapped[0] is not self.model:
            self._unwrapped = (self.model, self.accelerator.unwrap_model(self.model))
        return self._unwrapped[1]

    def _check_terms(self) -> None:
        network = self._plain()
        self._architecture = architecture = architectures.find(network)
        for term in self._terms:
            checking.check_model(term, architecture, network)
            checking.check_packing(term, self.args)
        if self.same_weights and self.accelerator.is_main_process:
            checking.check_weights(self._terms, network)
        needing = [term.name for term in self._terms if term.penalty.needs_reference]
        if needing:
            self._reference = self.before_training(needing[0])

    @property
    def penalty_record(self) -> dict[str, Any]:
        """What the penalties are, the weights that were measured, and what the rewards are."""
        rewards = self._reward_records()
        return {
            "format": _FORMAT,
            "penalties": [one.record() for one in self.penalties],
            "label_column": self.label_column,
            "measured": dict(self._measured),
            **({"rewards": rewards} if rewards else {}),
        }

    @property
    def _recorded(self) -> bool:
        """Whether there is anything that a run has to be resumed with."""
        return bool(self._terms or self._reward_records())

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The trainer's loss, plus the penalties where gradient is on."""
        inputs, found = labels.apart(inputs)

        def own(return_outputs: bool) -> Any:
            base: Any = super(Penalised, self)
            return base.compute_loss(
                model, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch
            )

        if not torch.is_grad_enabled():
            return own(return_outputs)
        if not self._terms:
            result = own(return_outputs)
            self._stop_unless_finite({"the loss": _loss(result)}, inputs)
            return result
        layout = self._method.layout(inputs)
        reading = Reading(self._terms, self._method, layout, found)
        divisor = self._divisor(num_items_in_batch)

        def run() -> tuple[Tensor, list[Value], int]:
            result, values = self._run(reading, layout, lambda: own(False))
            return result, values, divisor

        groups = self._unmeasured()
        if groups:
            self._measured |= measure(self, model, groups, run) or {}
        result, values = self._run(reading, layout, lambda: own(return_outputs))
        loss = _loss(result)
        named = {value.term.name: value.mean for value in values}
        self._stop_unless_finite({"the trainer's own loss": loss, **named}, inputs)
        self._log(values)
        added = total(values, self._weight)
        loss = loss + (added / divisor).to(loss.dtype)
        return (loss, result[1]) if return_outputs else loss

    def _run(self, reading: Reading, layout: Layout, own: Any) -> tuple[Any, list[Value]]:
        """Compute the trainer's own loss, and read its passes."""
        network = self._plain()
        at = (reading.gather, layout.ids, layout.attended)
        passes = Passes(network, self._architecture, reading.sites(), *at, frozen=False)
        comparing = reading.sites(of_reference=True)
        before = self._reference
        with passes.recorded():
            if before is None or before.separate is None:
                result = own()
                reference = passes.reference
            else:
                network, architecture = before.network, before.architecture
                others = Passes(network, architecture, comparing, *at, frozen=True)
                with others.recorded():
                    result = own()
                reference = others.reference
        policy = passes.policy()
        if before is not None and references.missing(reference, comparing):
            reference = before.states(passes.call, comparing, reading.gather)
        device = _loss(result).device
        return result, [reading.value(term, policy, reference, device) for term in self._terms]

    def _unmeasured(self) -> list[Group]:
        wanted = {term.group.name: term.group for term in self._terms if term.group.share}
        return [group for name, group in wanted.items() if name not in self._measured]

    def _weight(self, term: Term) -> float:
        group = term.group
        whole = self._measured.get(group.name, 0.0) if group.weight is None else group.weight
        return whole * term.relative * term.penalty.schedule(self.state.global_step)

    def _divisor(self, num_items_in_batch: Tensor | int | None) -> int:
        """By what to divide a mean, for the steps that are accumulated to sum up to one.

        Where the trainer counts a loss as scaled already, it leaves the division to the loss (and
        TRL so scales its own auxiliary loss of mixtures of experts).
        """
        scaled = self.loss_is_scaled_for_ga
        if scaled is None:
            counted = self.model_accepts_loss_kwargs and num_items_in_batch is not None
            scaled = counted or self.compute_loss_func is not None
        return self.current_gradient_accumulation_steps if scaled else 1

    def _log(self, values: Sequence[Value]) -> None:
        # The same names in every process, whichever rows its batch holds.
        logged = {name: pair for value in values for name, pair in value.logged.items()}
        device = self.accelerator.device
        sums = torch.stack([pair[0].to(device, torch.float32) for pair in logged.values()])
        counts = torch.tensor([pair[1] for pair in logged.values()], device=device)
        both = self.accelerator.gather(torch.stack([sums, counts.float()])[None]).sum(dim=0)
        for name, total_of, count in zip(logged, *both.tolist(), strict=True):
            if count:
                self._note(name, total_of / count)
        for term in self._terms:
            if term.group.share or not isinstance(term.penalty.schedule, Constant):
                self._note(f"weight/{term.name}", self._weight(term))

    def _note(self, name: str, value: float) -> None:
        own: Any = self
        if hasattr(own, "store_metrics"):
            own.store_metrics({name: value}, train_eval="train")
        else:
            own._metrics["train"][name].append(value)

    def _stop_unless_finite(self, parts: Mapping[str, Tensor], inputs: Any) -> None:
        wrong = torch.stack([~part.detach().isfinite().all() for part in parts.values()])
        everywhere = self.accelerator.gather(wrong[None].to(self.accelerator.device)).any(dim=0)
        if not bool(everywhere.any()):
            return
        names = [name for name, bad in zip(parts, everywhere.tolist(), strict=True) if bad]
        try:
            layout = self._method.layout(inputs)
        except InputError:
            layout = None
        stop(self, layout, names)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        base: Any = super()
        if self._recorded and self.args.should_save:
            # First: older checkpoints are removed as soon as the others' files are there.
            folder = Path(base._get_output_dir(trial=trial))
            write_json(folder / f"checkpoint-{self.state.global_step}" / _FILE, self.penalty_record)
        base._save_checkpoint(model, trial)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        base: Any = super()
        _check_whole(Path(resume_from_checkpoint))
        base._load_from_checkpoint(resume_from_checkpoint, model)
        if not self._recorded:
            return
        record = read_record(Path(resume_from_checkpoint) / _FILE, _FORMAT)
        now = json.loads(json.dumps(self.penalty_record))
        for what in ("penalties", "label_column", "rewards"):
            if record.get(what) != now.get(what):
                raise InputError(
                    f"{resume_from_checkpoint} was trained with other {what.replace('_', ' ')}: "
                    f"{_FILE} in it says {json.dumps(record.get(what))}, and this run has "
                    f"{json.dumps(now.get(what))}. Resume with the same, or begin anew from its "
                    "weights."
                )
        self._measured = dict(record["measured"])


def _check_whole(checkpoint: Path) -> None:
    if (checkpoint / _LAST).is_file():
        return
    whole = sorted(
        (one.parent for one in checkpoint.parent.glob(f"checkpoint-*/{_LAST}")),
        key=lambda folder: int(folder.name.rpartition("-")[2]),
    )
    advice = f"The last whole one is {whole[-1]}." if whole else "There is no whole one beside it."
    raise InputError(
        f"{checkpoint} was being written when training stopped: it has no {_LAST}. {advice}"
    )


def _loss(result: Any) -> Tensor:
    return result[0] if isinstance(result, tuple) else result
