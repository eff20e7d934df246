"""Measuring the weight of a penalty by its gradient at step 0."""

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from repalign.errors import InputError
from repalign.training.terms import Group, Term, Value, total

Run = Callable[[], tuple[Tensor, list[Value], int]]
"""Computes the trainer's own loss, the terms, and the number that both are divided by."""


def measure(
    trainer: Any, model: nn.Module, groups: Sequence[Group], run: Run
) -> dict[str, float] | None:
    """The weight of each group at which its gradient is as large as its share says.

    Each gradient takes a pass of its own, forward and backward, so that checkpointing and
    distributed training see nothing unusual; logs and random numbers are put back after.

    Args:
        trainer: what is logged, and how processes meet.
        model: as it is trained, with what distributes it.
        groups: those that have a share.
        run: the loss on the first batch.

    Returns:
        A weight for each group by name; None where this batch shows none: the trainer's own loss
        has no gradient in it (GRPO with equal rewards), or no row has the label of a group.

    Raises:
        InputError: the gradient of a group is zero or not finite, or DeepSpeed splits the model.
    """
    if trainer.is_deepspeed_enabled:
        raise InputError(
            "auto_weight cannot be measured under DeepSpeed, which makes a step of every backward "
            "pass. Give weight=…; a run of one process measures it."
        )
    with _untouched(trainer, model):
        own = _norm(trainer, model, lambda loss, _values, _divisor: loss, run)
        if not own:
            return None
        weights = {}
        for group in groups:
            size = _norm(trainer, model, _of_group(group), run)
            if size is None:
                return None
            if not (0 < size < float("inf")):
                raise InputError(
                    f"The gradient of {group.name} is {size} at step 0, so its weight cannot be "
                    "measured there. A penalty on movement has none while nothing has moved "
                    "(margin 0, Retain); give it weight=…, or a margin above 0."
                )
            assert group.share is not None
            weights[group.name] = group.share * own / size
        return weights


def _of_group(group: Group) -> Callable[[Tensor, list[Value], int], Tensor | None]:
    def pick(loss: Tensor, values: list[Value], divisor: int) -> Tensor | None:
        ours = [value for value in values if value.term.group == group]
        if not any(value.kept for value in ours):
            return None
        # Weights that the terms do not reach take part with zeros, for processes wait for them.
        return total(ours, _relative) / divisor + 0.0 * loss

    return pick


def _relative(term: Term) -> float:
    return term.relative


def _norm(
    trainer: Any,
    model: nn.Module,
    pick: Callable[[Tensor, list[Value], int], Tensor | None],
    run: Run,
) -> float | None:
    loss = pick(*run())
    here = torch.tensor(float(loss is not None), device=trainer.accelerator.device)
    # Every process goes the same way.
    if not bool(trainer.accelerator.gather(here).min()):
        return None
    assert loss is not None
    loss.backward()
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    found: Any = torch.nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())
    if hasattr(found, "full_tensor"):
        found = found.full_tensor()
    for weight in model.parameters():
        weight.grad = None
    return float(trainer.accelerator.gather(found.to(trainer.accelerator.device)).mean())


@contextmanager
def _untouched(trainer: Any, model: Any) -> Generator[None, None, None]:
    """Leave gradients, logs and random numbers as they were."""
    names = ("_metrics", "_stored_metrics", "_total_train_tokens")
    kept: Mapping[str, Any] = {
        name: copy.deepcopy(getattr(trainer, name)) for name in names if hasattr(trainer, name)
    }
    gradients = [weight.grad for weight in model.parameters()]
    for weight in model.parameters():
        weight.grad = None
    # While steps are accumulated the parts of a split model would not meet.
    meeting = getattr(model, "set_requires_gradient_sync", None)
    if meeting is not None:
        meeting(True)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        if meeting is not None:
            meeting(trainer.accelerator.sync_gradients)
        for weight, gradient in zip(model.parameters(), gradients, strict=True):
            weight.grad = gradient
        for name, value in kept.items():
            setattr(trainer, name, value)
