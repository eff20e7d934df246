"""Schedules: by which factor the weight of a penalty counts at a step of training."""

from collections.abc import Callable
from dataclasses import dataclass

from repalign.errors import InputError

Schedule = Callable[[int], float]
"""Takes the number of optimiser steps that were made, returns the factor of the weight."""


@dataclass(frozen=True)
class Constant:
    """The same factor at every step."""

    factor: float = 1.0

    def __call__(self, step: int) -> float:
        """The factor."""
        return self.factor


@dataclass(frozen=True)
class Ramp:
    """A straight line from one factor to another, which then stays.

    Example:
        >>> ramp = Ramp(0.0, 1.0, steps=100)
        >>> ramp(0), ramp(25), ramp(400)
        (0.0, 0.25, 1.0)
    """

    start: float
    """At step 0."""
    end: float
    """At step `steps` and after it."""
    steps: int

    def __post_init__(self) -> None:
        """Refuse a line without length."""
        if self.steps < 1:
            raise InputError(f"A ramp takes at least one step; {self.steps} were given.")

    def __call__(self, step: int) -> float:
        """The factor at a step."""
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)


@dataclass(frozen=True)
class Stairs:
    """A factor from a step on, until the next one.

    Example:
        >>> stairs = Stairs(((0, 0.0), (100, 1.0)))
        >>> stairs(99), stairs(100)
        (0.0, 1.0)
    """

    factors: tuple[tuple[int, float], ...]
    """Steps in rising order, the first of them 0, each with its factor."""

    def __post_init__(self) -> None:
        """Refuse steps out of order."""
        steps = [step for step, _ in self.factors]
        if not steps or steps[0] != 0 or steps != sorted(set(steps)):
            raise InputError(
                f"The steps of stairs begin at 0 and rise; {steps} were given. "
                "Write Stairs(((0, 0.0), (100, 1.0)))."
            )

    def __call__(self, step: int) -> float:
        """The factor at a step."""
        return [factor for begin, factor in self.factors if begin <= step][-1]
