"""Rubric: one question put to a judge, and how its answer is read."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from repalign.judges.case import Case, Ruling

Asks = Callable[[Case], str]
Reads = Callable[[str], Ruling]
Rule = Callable[[Case], float]


@dataclass(frozen=True)
class Rubric:
    """What is judged.

    A new rubric is a file with one of these, a line in `rubrics.RUBRICS`, and labelled cases.
    """

    name: str
    title: str
    kind: str
    """`yes or no`, `score` (1 to 10) or `preference` (1 the first answer, 0 the second)."""
    asks: Asks
    """The words put to a judge that is a model."""
    reads: Reads
    """Its answer as a ruling; one that cannot be read has an error."""
    words: Rule | None = None
    """The same by words alone, where rules can tell; None where they cannot."""
    max_new_tokens: int = 16
    labels: tuple[str, str] | None = None
    """File of the labelled cases and field of the label; None is `NAME.jsonl` and `value`."""

    def labelled(self) -> list[tuple[Case, float]]:
        """Cases with the value that a person gave; rows without one are for another rubric."""
        name, field = self.labels or (f"{self.name}.jsonl", "value")
        path = files("repalign.judges").joinpath("labelled", name)
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return [(_case(row), float(row[field])) for row in rows if field in row]


def _case(row: dict[str, Any]) -> Case:
    right = row.get("right")
    return Case(
        row["question"],
        row["answer"],
        row.get("other"),
        None if right is None else tuple(right),
        row.get("required"),
        row.get("category"),
    )
