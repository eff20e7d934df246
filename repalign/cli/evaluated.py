"""How evaluate runs are printed: their suites, and two of them compared item by item."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from repalign.cli import output

if TYPE_CHECKING:
    from repalign.evaluation.pairing import Pairing

_CELLS = tuple(str(cell) for cell in range(1, 10))
_AGREEMENT = ("agreement", "precision", "recall", "kappa", "correlation")


def print_suites(results: Mapping[str, Any]) -> None:
    """Print every suite of a run, then those that did not finish."""
    for name, suite in results["suites"].items():
        _suite(name, suite)
    for name, why in (results.get("failed") or {}).items():
        output.out.print(f"The suite {name} did not finish: {escape(why)}\n")


def paired(run: Path, other: Path) -> "dict[str, Pairing]":
    """The items of two runs, paired suite by suite.

    Raises:
        InputError: one of them has no items.
    """
    from repalign.evaluation.items import read_items
    from repalign.evaluation.pairing import pair

    return pair(read_items(run), read_items(other))


def print_pairs(pairs: "Mapping[str, Pairing]", run: Path, other: Path) -> None:
    """Print what differs item by item; items that could not be paired are named on stderr."""
    for what, path in (("First: ", run), ("Second:", other)):
        output.out.print(f"{what} {path}", markup=False, soft_wrap=True)
    output.out.print()
    for suite, found in pairs.items():
        if found.scores:
            output.table(
                f"{suite}: {found.paired} items of both runs",
                ["score", "first", "second", "difference", "p", "items", ""],
                [
                    [
                        escape(name),
                        f"{one.first.value:.3f}",
                        f"{one.second.value:.3f}",
                        output.figure(one.difference),
                        "<0.001" if one.p < 0.001 else f"{one.p:.3f}",
                        str(one.items),
                        "surely different" if one.sure else "",
                    ]
                    for name, one in found.scores.items()
                ],
            )
        for said in unpaired(suite, found, run, other):
            output.err.print(said, markup=False, soft_wrap=True)


def unpaired(suite: str, found: "Pairing", run: Path, other: Path) -> Iterable[str]:
    """What could not be compared, in sentences."""
    if not found.paired:
        yield f"{suite}: no item is in both runs, so nothing is compared."
    for count, where in ((found.only_first, run), (found.only_second, other)):
        if count:
            yield f"{suite}: {_items(count)} only in {where}, left out."
    if found.changed:
        yield (
            f"Warning: {suite}: under {len(found.changed)} ids, such as {found.changed[0]!r}, the "
            "runs asked different things; these items are left out."
        )


def other_judges(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """A sentence for each rubric that two runs had different judges for."""
    return [
        f"Warning: {suite}: {rubric} was judged by {one['judge']} in the first run and by "
        f"{two['judge']} in the second; a difference may be that of the judges."
        for suite, part in first["suites"].items()
        for rubric, one in part["judged"].items()
        for two in [second["suites"].get(suite, {}).get("judged", {}).get(rubric)]
        if two is not None and two["judge"] != one["judge"]
    ]


def _suite(name: str, suite: Mapping[str, Any]) -> None:
    lines = [(False, *one) for one in suite["figures"].items()]
    lines += [(True, *one) for one in suite["controls"].items()]
    output.table(
        f"{name}: {escape(suite['title'])}" if suite.get("title") else name,
        ["figure", "value [95% interval]", "groups", ""],
        [
            [
                escape(figure.replace("_", " ")),
                "–" if found is None else output.figure(found),
                "–" if found is None else str(found["n"]),
                escape(suite["missing"].get(figure, "")) or ("control" if control else ""),
            ]
            for control, figure, found in lines
        ],
    )
    counts = dict(suite["counts"])
    if all(cell in counts for cell in _CELLS):
        _nine([counts.pop(cell) for cell in _CELLS])
    if suite["judged"]:
        _judges(suite["judged"])
    if counts:
        shown = ", ".join(f"{what.replace('_', ' ')} {count}" for what, count in counts.items())
        output.out.print(f"Counts: {escape(shown)}")
    for note in suite["notes"]:
        output.out.print(f"• {note}", markup=False)
    output.out.print()


def _nine(counts: list[int]) -> None:
    from repalign.metrics.evolution import VERDICTS

    output.table(
        "Answers",
        ["after ↓ before →", *VERDICTS],
        [
            [verdict, *(str(count) for count in counts[3 * row : 3 * row + 3])]
            for row, verdict in enumerate(VERDICTS)
        ],
    )


def _judges(judged: Mapping[str, Mapping[str, Any]]) -> None:
    measures = [
        name for name in _AGREEMENT if any(one.get(name) is not None for one in judged.values())
    ]
    output.table(
        "The judge against labelled answers",
        ["asked", "judge", *measures, "labelled", "unreadable"],
        [
            [
                escape(rubric),
                escape(str(one.get("judge", "–"))),
                *(_agreed(one.get(measure)) for measure in measures),
                str(one.get("cases", "–")),
                str(one.get("unread", "–")),
            ]
            for rubric, one in judged.items()
        ],
    )


def _agreed(value: Any) -> str:
    if value is None:
        return "–"
    return output.figure(value) if isinstance(value, Mapping) else f"{value:.3f}"


def _items(count: int) -> str:
    return "1 item is" if count == 1 else f"{count} items are"
