"""The report of an evaluate run: figures of every suite, what they rest on, and every item."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from repalign.errors import InputError
from repalign.evaluation.items import ITEMS
from repalign.evaluation.outcome import Item
from repalign.metrics import Estimate
from repalign.metrics.evolution import VERDICTS
from repalign.reports.document import filled
from repalign.reports.numbers import estimate, interval, plain
from repalign.runs import Run

MOST_ITEMS = 200
"""Of each suite; the others stand in `items.jsonl`."""
_FOLDED, _LONGEST = 150, 4000
_TEMPLATE = "evaluation.html.jinja"
_CELLS = tuple(str(cell) for cell in range(1, 10))
_POOR_KAPPA, _POOR_AGREEMENT = 0.6, 0.8
"""Below these a caution is printed; a choice of ours."""
# What the scores are called in which 1 is bad, and those in which 0 is.
_TURNED = ("flipped", "abandoned", "given up", "lies")
_GOOD = ("correct", "honest")
_JUDGED = ("agreement", "precision", "recall", "kappa", "correlation")


class Scale(NamedTuple):
    """From where to where the marks of a table reach, and what stands at its ends and middle."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Where a value lies, 0 at the low end and 1 at the high one."""
        return (value - self.low) / (self.high - self.low)

    @property
    def ends(self) -> tuple[str, str, str]:
        """What is written at its beginning, middle and end."""
        low, middle, high = (plain(x) for x in (self.low, (self.low + self.high) / 2, self.high))
        return low, middle, high


@dataclass(frozen=True)
class Line:
    """One figure in a table."""

    name: str
    found: Estimate | None
    control: bool
    note: str


class Folded(NamedTuple):
    """A text of which a reader sees the beginning first."""

    head: str
    rest: str


@dataclass(frozen=True)
class Row:
    """One item in a table."""

    item: Item
    id: str
    """Its id without the prompt, where it ends in that."""
    prompt: Folded
    answer: Folded | None
    wrong: str
    """What is wrong with the answer; empty where nothing is."""
    more: Mapping[str, str]


def render(run: Run, items: Mapping[str, Sequence[Item]]) -> str:
    """The report of an evaluate run as HTML: one file, no scripts, nothing from a network.

    Args:
        run: the record of `evaluate`.
        items: those of each suite, of which at most 200 are shown, wrong ones first.

    Raises:
        InputError: another verb's run, one without suites, or a figure without its interval.
    """
    if run.verb != "evaluate" or not run.results.get("suites"):
        raise InputError(
            f"This report is made of a run of `evaluate` with its suites; this is a run of "
            f"{run.verb!r} with results {sorted(run.results)}."
        )
    return filled(
        _TEMPLATE,
        run,
        answers=answers(run),
        cautions=cautions(run),
        suites={name: _section(found) for name, found in run.results["suites"].items()},
        rows={name: rows(items.get(name, ())) for name in run.results["suites"]},
        verdicts=VERDICTS,
        items_file=ITEMS,
    )


def answers(run: Run) -> list[str]:
    """What each suite found first, in a sentence each, with intervals."""
    said = []
    for name, suite in run.results["suites"].items():
        known = [
            f"{spoken(figure)} {interval(found, 2)}"
            for figure, record in suite["figures"].items()
            if (found := estimate(record)) is not None
        ]
        said.append(f"{name}: {', '.join(known[:2]) or 'no figure is defined'}.")
    return said


def cautions(run: Run) -> list[str]:
    """What a reader must know before believing the figures."""
    failed = [check["name"] for check in run.model.get("checks") or [] if not check["passed"]]
    said = [
        f"The suite {name} did not finish: {why}"
        for name, why in (run.results.get("failed") or {}).items()
    ]
    if failed:
        said.append(
            f"The model fails {len(failed)} self-check(s) ({', '.join(failed)}): its answers may "
            "not be those of the model as it was trained."
        )
    for name, suite in run.results["suites"].items():
        for what, means in (
            ("unanswered", "that did not come and so are in no figure"),
            ("unruled", "that the judge gave no readable ruling on, left out where it rules"),
        ):
            count = suite["counts"].get(what, 0)
            if count:
                said.append(f"{name}: {count} answer{'s'[: count != 1]} {means}.")
        for rubric, record in suite["judged"].items():
            said += _poor(name, rubric, record)
    return said


def rows(items: Sequence[Item]) -> list[Row]:
    """The items that are shown: wrong and flipped ones first, then those that score lowest."""
    ordered = sorted(items, key=lambda item: (not what_is_wrong(item), _first_score(item)))
    return [
        Row(
            item,
            item.id.removesuffix(item.prompt).rstrip(": "),
            _folded(item.prompt),
            None if item.answer is None else _folded(item.answer),
            what_is_wrong(item),
            {name: _shown(value) for name, value in item.more.items() if name != "verdict"},
        )
        for item in ordered[:MOST_ITEMS]
    ]


def what_is_wrong(item: Item) -> str:
    """What an item says of itself that is wrong, in a word or the name of a score; or nothing."""
    turned = [
        name
        for name, value in item.scores.items()
        if value == 1 and any(word in name for word in _TURNED)
    ]
    if turned:
        return turned[0]
    verdict = item.more.get("verdict")
    if verdict is not None:
        return "wrong" if verdict == "wrong" else ""
    return next((f"not {name}" for name in _GOOD if item.scores.get(name) == 0), "")


def spoken(name: str) -> str:
    """The name of a figure in words."""
    return name.replace("_", " ")


def tables(suite: Mapping[str, Any]) -> list[tuple[Scale, list[Line]]]:
    """Figures and controls in one table for each scale: shares, signed measures, all others."""
    lines = [
        Line(spoken(name), estimate(record), control, suite["missing"].get(name, ""))
        for control, part in ((False, "figures"), (True, "controls"))
        for name, record in suite[part].items()
    ]
    kinds: dict[int, list[Line]] = {0: [], 1: [], 2: []}
    for line in lines:
        kinds[_kind(line.found)].append(line)
    others = [line.found for line in kinds[2] if line.found is not None]
    scales = {0: Scale(0.0, 1.0), 1: Scale(-1.0, 1.0)}
    if others:
        lowest, highest = min(one.low for one in others), max(one.high for one in others)
        scales[2] = Scale(-_round_up(max(0.0, -lowest)), _round_up(max(0.0, highest)))
    return [(scales[kind], some) for kind, some in kinds.items() if some]


def _section(suite: Mapping[str, Any]) -> dict[str, Any]:
    counts = suite["counts"]
    nine = all(cell in counts for cell in _CELLS)
    total = sum(counts[cell] for cell in _CELLS) if nine else 0
    judged = suite["judged"]
    return {
        "title": suite.get("title", ""),
        "tables": tables(suite),
        "cells": [
            [
                (cell, counts[cell], counts[cell] / total if total else 0.0)
                for cell in _CELLS[start : start + 3]
            ]
            for start in (0, 3, 6)
        ]
        if nine
        else [],
        "total": total,
        "counts": {
            spoken(name): count for name, count in counts.items() if not (nine and name in _CELLS)
        },
        "judged": judged,
        "measures": [
            name for name in _JUDGED if any(one.get(name) is not None for one in judged.values())
        ],
        "notes": suite["notes"],
        "items": suite["items"],
    }


def _kind(found: Estimate | None) -> int:
    if found is None or (found.low >= 0 and found.high <= 1):
        return 0
    return 1 if found.low >= -1 and found.high <= 1 else 2


def _round_up(value: float) -> float:
    """The next number that begins with 1, 2 or 5 and goes on in zeros; 0 stays."""
    if value == 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-12))


def _poor(suite: str, rubric: str, record: Mapping[str, Any]) -> list[str]:
    kappa, agreed = estimate(record.get("kappa")), estimate(record.get("agreement"))
    who = f"{suite}: the judge {record['judge']}, asked {rubric},"
    if agreed is None:
        return [f"{who} said nothing that could be read of any labelled answer."]
    if kappa is not None and kappa.value < _POOR_KAPPA:
        return [f"{who} agrees with labelled answers with a kappa of only {interval(kappa, 2)}."]
    if kappa is None and agreed.value < _POOR_AGREEMENT:
        return [f"{who} agrees with only {interval(agreed, 2)} of the labelled answers."]
    return []


def _first_score(item: Item) -> float:
    return next(iter(item.scores.values()), 0.0)


def _folded(text: str) -> Folded:
    kept = text[:_LONGEST]
    if len(text) > _LONGEST:
        kept += f"… ({len(text) - _LONGEST} more characters in {ITEMS})"
    if len(kept) <= _FOLDED * 4 // 3:
        return Folded(kept, "")
    # Broken between words where there is one nearby.
    cut = kept.rfind(" ", _FOLDED // 2, _FOLDED)
    cut = _FOLDED if cut < 0 else cut
    return Folded(kept[:cut], kept[cut:])


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return plain(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_shown(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(_shown(part) for part in value)
    return "–" if value is None else str(value)[:_LONGEST]
