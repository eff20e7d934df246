"""`repalign show`: print a run, or compare two."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from repalign.cli import options


def show(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    diff: Annotated[Path | None, typer.Option(help="Another run to compare with.")] = None,
    json: options.Json = False,
) -> None:
    """Print the figures of a run, or what differs between two: item by item where it can be."""
    from repalign.cli import evaluated, output
    from repalign.runs import Run

    record = Run.load(run)
    if diff is None:
        if json:
            output.emit_json({"run": str(run), **record.model_dump(mode="json")})
            return
        output.out.print(f"{record.verb} · {record.model.get('name')} · {record.started}\n")
        if record.verb == "evaluate":
            evaluated.print_suites(record.results)
            return
        rows = [[name, output.figure(value)] for name, value in estimates(record.results)]
        output.table(str(run), ["figure", "value [95% interval]"], rows)
        return
    other = Run.load(diff)
    left, right = dict(estimates(record.results)), dict(estimates(other.results))
    asked = {
        name: [record.asked.get(name), other.asked.get(name)]
        for name in sorted(set(record.asked) | set(other.asked))
        if record.asked.get(name) != other.asked.get(name)
    }
    figures = {
        name: [left.get(name), right.get(name)]
        for name in dict.fromkeys([*left, *right])
        if left.get(name) != right.get(name)
    }
    both = {record.verb, other.verb} == {"evaluate"}
    pairs = evaluated.paired(_folder(run), _folder(diff)) if both else {}
    if json:
        said = {"asked": asked, "figures": figures}
        if both:
            said["suites"] = {name: one.to_json() for name, one in pairs.items()}
        output.emit_json({"run": str(run), "with": str(diff), **said})
        return
    output.table(
        "Options that differ",
        ["option", str(run), str(diff)],
        [[name, str(a), str(b)] for name, (a, b) in asked.items()],
    )
    output.table(
        "Figures that differ",
        ["figure", str(run), str(diff)],
        [
            [name, *("–" if value is None else output.figure(value) for value in pair)]
            for name, pair in figures.items()
        ],
    )
    if both:
        evaluated.print_pairs(pairs, run, diff)
        for warning in evaluated.other_judges(record.results, other.results):
            output.err.print(warning, markup=False, soft_wrap=True)


def _folder(run: Path) -> Path:
    """The folder of a run that is named by it or by its record."""
    return run.parent if run.is_file() else run


def estimates(value: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every estimate in nested results, with the path to it; the curves by site are left out."""
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from estimates(inner, f"{name}[{_label(inner, index)}]")
        return
    if not isinstance(value, Mapping):
        return
    if {"value", "low", "high", "n"} <= set(value):
        yield name, {key: value[key] for key in ("value", "low", "high", "n")}
    for key, inner in value.items():
        if key != "by_site":
            yield from estimates(inner, f"{name}.{key}" if name else str(key))


def _label(value: Any, index: int) -> str:
    """What tells an entry of a list apart: the rate of a threshold, or its place."""
    rate = value.get("target_fpr") if isinstance(value, Mapping) else None
    return str(index) if rate is None else f"{rate:.0%}"
