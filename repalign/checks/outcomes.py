"""Outcomes: what a check found."""

import math
from dataclasses import asdict, dataclass
from typing import Any

PREFIXES = "prefixes"
"""Name of the check of shared prefixes, which decides how texts are read."""


@dataclass(frozen=True)
class Outcome:
    """One law, the error found and the error allowed."""

    name: str
    law: str
    error: float
    tolerance: float
    streams: tuple[str, ...] = ()
    """The streams that it concerns; all of them where none are named."""
    note: str = ""
    detour: bool = False
    """Whether there is another, slower way for models that break it, so that none is refused."""

    @property
    def passed(self) -> bool:
        """Whether the error is within tolerance; NaN is not."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Report:
    """The outcomes of all checks of one model."""

    outcomes: tuple[Outcome, ...]

    def failed(self) -> list[Outcome]:
        """The laws that do not hold and have to."""
        return [found for found in self.outcomes if not found.passed and not found.detour]

    @property
    def prefixes(self) -> Outcome:
        """Whether texts with a common beginning may share its state."""
        return next(outcome for outcome in self.outcomes if outcome.name == PREFIXES)

    def to_json(self) -> list[dict[str, Any]]:
        """As plain data; an error that is NaN or infinite becomes None."""
        return [
            {
                **asdict(outcome),
                "error": outcome.error if math.isfinite(outcome.error) else None,
                "streams": list(outcome.streams),
                "passed": outcome.passed,
            }
            for outcome in self.outcomes
        ]
