"""Finding: the outcome of one check of a data set, in words that say what to do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from repalign.metrics import Estimate

Severity = Literal["ok", "note", "warning"]
_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    check: str
    severity: Severity
    message: str
    """What was found, and what to do where something is to be done."""
    estimate: Estimate | None = None
    """The AUROC of a shortcut with its interval over groups; None for other checks."""
    rows: tuple[int, ...] = ()
    """The examples concerned, counted from 1 in the order given (a header is not counted)."""


def quote(text: str) -> str:
    """Quote the beginning of a text on one line."""
    flat = " ".join(text.split())
    return f"'{flat if len(flat) <= 60 else flat[:59] + '…'}'"


def at(rows: Sequence[int]) -> str:
    """Name examples, given from 0, by their numbers from 1: `examples 3, 7 and 2 more`."""
    shown = ", ".join(str(row + 1) for row in rows[:_SHOWN])
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return f"example{'s' if len(rows) > 1 else ''} {shown}{more}"


def numbers(rows: Iterable[int]) -> tuple[int, ...]:
    """Turn row indices from 0 into the numbers from 1 that a finding holds."""
    return tuple(sorted({row + 1 for row in rows}))
