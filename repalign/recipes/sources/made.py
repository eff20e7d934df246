"""Made: the rows of a training, and what can be measured on others of their kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from repalign.answering.asking import Titled, silent
from repalign.models import LanguageModel

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Making:
    """With what rows are made."""

    model: LanguageModel
    """The base, before any training."""
    folder: Path
    """For answers: what is there is not asked again."""
    seed: int = 0
    progress: Titled = silent
    """A context that shows how far something is; yields what is called with done and all."""

    def keep(self, name: str) -> Path:
        """A file for the answers to something."""
        return self.folder / "answers" / f"{name}.jsonl"


@dataclass(frozen=True)
class Scores:
    """A score for each of some held-out items."""

    name: str
    values: Sequence[float]
    groups: Sequence[str]
    """What intervals resample."""
    higher_is_honest: bool | None = None
    """None where it is no matter of honesty, such as a style."""


Measure = Callable[[LanguageModel], Sequence[Scores]]


@dataclass(frozen=True)
class Made:
    """Rows in one of TRL's formats."""

    rows: Sequence[Row]
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """What went into them, for the record."""
    measure: Measure | None = None
    """Held-out items of the same kind, scored before and after training for the audit."""
