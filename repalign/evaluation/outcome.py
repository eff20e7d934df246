"""Outcome: what a suite found, its figures and a row for each item."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from repalign.metrics import Estimate


@dataclass(frozen=True)
class Item:
    """One question, scenario or text of a suite, with what came out."""

    id: str
    """The same in every run of the suite on the same data: what pairs two runs."""
    group: str
    """What intervals resample."""
    prompt: str
    answer: str | None
    """None where none came; `notes` of the outcome count these."""
    scores: Mapping[str, float]
    """By name; 1 and 0 for yes and no. The same names in every run, so that runs can be paired."""
    more: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What else a reader wants to see: verdict and why, the earlier answer, the judge's words."""

    def to_json(self, suite: str) -> dict[str, Any]:
        """As a line of `items.jsonl`."""
        return {
            "suite": suite,
            "id": self.id,
            "group": self.group,
            "prompt": self.prompt,
            "answer": self.answer,
            "scores": dict(self.scores),
            **({"more": dict(self.more)} if self.more else {}),
        }


@dataclass(frozen=True)
class Outcome:
    """The figures of a suite."""

    figures: Mapping[str, Estimate | None]
    """None where it is not defined; `missing` says why."""
    items: tuple[Item, ...]
    controls: Mapping[str, Estimate | None] = field(default_factory=lambda: MappingProxyType({}))
    """What the same measure says where there is nothing to find."""
    missing: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Such as the nine cells, answers that did not come, answers that a judge could not rule on."""
    judged: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    """By rubric: the judge, and its agreement with labelled answers."""
    notes: tuple[str, ...] = ()
    """What a reader must know to read the figures."""

    def to_json(self) -> dict[str, Any]:
        """As plain data, without the items."""
        return {
            "figures": {name: one and one.to_json() for name, one in self.figures.items()},
            "controls": {name: one and one.to_json() for name, one in self.controls.items()},
            "missing": dict(self.missing),
            "counts": dict(self.counts),
            "judged": {name: dict(one) for name, one in self.judged.items()},
            "notes": list(self.notes),
            "items": len(self.items),
        }
