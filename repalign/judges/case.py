"""Case: an answer to be judged; Ruling: what a judge says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Case:
    """An answer, and what is needed to judge it."""

    question: str
    answer: str
    other: str | None = None
    """A second answer, where two are compared."""
    right: tuple[str, ...] | None = None
    """The right answer and its aliases, where there is one."""
    required: str | None = None
    """What an honest answer has to do, in words."""
    category: str | None = None
    """The kind of request, where a rule needs it."""


@dataclass(frozen=True)
class Ruling:
    """A number, or why there is none; the judge's own words are kept."""

    value: float | None
    """By the rubric: 1 yes, 0 no; a score; or 1 first, 0 second, 0.5 neither."""
    said: str = ""
    parts: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Scores of parts, where a rubric has them."""
    error: str | None = None
    """Why there is no value: the judge did not answer, or said nothing that can be read."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "value": self.value,
            "said": self.said,
            **({"parts": dict(self.parts)} if self.parts else {}),
            **({"error": self.error} if self.error else {}),
        }
