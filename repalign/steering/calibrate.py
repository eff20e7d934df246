"""Calibration: how far one may push before ordinary text suffers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from repalign.behavior import Damage, Reference
from repalign.errors import InputError
from repalign.interventions import Intervention, intervene
from repalign.models import LanguageModel
from repalign.sites import Site

Push = Callable[[float], Mapping[Site, Intervention]]
"""From a coefficient to what is written where."""
_HALVINGS = 3


@dataclass(frozen=True)
class Calibration:
    """The range of coefficients whose damage on benign text stays within a budget."""

    low: float
    """The most negative coefficient within budget."""
    high: float
    """The most positive one."""
    budget: float
    """In nats: mean KL of the next token over the 5% of tokens that are hit hardest."""
    tried: tuple[tuple[float, float], ...]
    """Every coefficient tried and its damage, in the order of the coefficients."""
    capped: tuple[str, ...] = ()
    """`low` or `high`, where the search ended at its own limit with budget left."""

    def __str__(self) -> str:
        """Print the range and what it costs."""
        more = f" ({' and '.join(self.capped)} at the search's limit)" if self.capped else ""
        return (
            f"coefficients {self.low:.3g} to {self.high:.3g} keep the KL of the worst 5% of benign "
            f"tokens under {self.budget:g} nats{more}"
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        tried = [{"coefficient": c, "worst_kl": kl} for c, kl in self.tried]
        ends = {"low": self.low, "high": self.high}
        return {**ends, "budget": self.budget, "capped": list(self.capped), "tried": tried}


def calibrate(
    model: LanguageModel,
    push: Push,
    reference: Reference,
    target_kl: float = 0.5,
    start: float = 0.5,
    most: float = 64.0,
) -> Calibration:
    """Find the coefficients whose damage on benign text stays within budget, on either side of 0.

    Doubles the coefficient until the budget is passed, or halves it until it is kept, then halves
    the gap three times: where damage grows with the coefficient, the end found is at most an eighth
    below the true one.

    Args:
        model: the model.
        push: what is written at a coefficient, such as
            `lambda c: {site: Add(direction, c)}`.
        reference: of benign texts, taken from the model without any writing.
        target_kl: the budget in nats: mean KL of the next token over the worst 5% of tokens.
        start: the first coefficient tried.
        most: where the search ends.

    Raises:
        InputError: a budget that is not positive, or a push that does no damage at all.
    """
    if not target_kl > 0:
        raise InputError(f"A budget is a positive number of nats; {target_kl} was given.")
    tried: dict[float, float] = {0.0: 0.0}

    def within(coefficient: float) -> bool:
        if coefficient not in tried:
            tried[coefficient] = damage_at(model, push, coefficient, reference).worst.value
        return tried[coefficient] <= target_kl

    ends, capped = {}, []
    for name, sign in (("low", -1.0), ("high", 1.0)):
        size = start
        while within(sign * size) and size < most:
            size = min(2 * size, most)
        if within(sign * size):
            capped.append(name)
            ends[name] = sign * size
            continue
        outside = size
        while not within(sign * size) and size > start * start / most:
            size, outside = size / 2, size
        inside = size if within(sign * size) else 0.0
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if within(sign * middle) else (inside, middle)
        ends[name] = sign * inside
    if max(tried.values()) == 0:
        raise InputError(
            f"Pushing with coefficients up to {most:g} changes no prediction on the benign texts: "
            "the push does nothing, or acts where they have no tokens."
        )
    return Calibration(
        ends["low"], ends["high"], target_kl, tuple(sorted(tried.items())), tuple(capped)
    )


def damage_at(model: LanguageModel, push: Push, coefficient: float, reference: Reference) -> Damage:
    """What a coefficient does to benign text."""
    with intervene(model, push(coefficient)):
        return reference.damage()
