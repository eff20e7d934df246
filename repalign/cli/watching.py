"""What `repalign monitor` writes and finds: a line for each answer, and the figures of a run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from repalign.examples import Example
    from repalign.monitoring import Monitor, Watched


def watch_all(
    watch: "Monitor",
    examples: "Sequence[Example]",
    output: Path,
    batch_size: int,
    generation: Mapping[str, Any],
) -> "list[Watched]":
    """Watch every row; lines are kept in a file of their own until the last of them is there."""
    from repalign.cli import output as printing

    part = part_of(output)
    watched: list[Watched] = []
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("x", encoding="utf-8") as file, printing.progress("Watching") as advance:
            for start in range(0, len(examples), batch_size):
                rows = examples[start : start + batch_size]
                seeded = {**generation, "seed": generation["seed"] + start}
                watched += watch.watch(rows, probabilities=True, batch_size=batch_size, **seeded)
                file.write("".join(lines(start, rows, watched[start:])))
                file.flush()
                advance(len(watched), len(examples))
    except BaseException:
        printing.err.print(f"Stopped; what was finished is in {part}: {len(watched)} lines.")
        raise
    part.replace(output)
    return watched


def lines(
    first: int, examples: "Sequence[Example]", watched: "Sequence[Watched]", written: bool = False
) -> list[str]:
    """A line of JSON for each answer; `first` is the number of the first of them."""
    from repalign.monitoring import stated
    from repalign.monitoring.prompts import is_answered

    found_lines = []
    for index, (example, found) in enumerate(zip(examples, watched, strict=True), start=first):
        answered = is_answered(example)
        turns = example.messages[:-1] if answered else example.messages
        row = {
            "index": index,
            "messages": [turn._asdict() for turn in turns],
            "written": written or not answered,
            "label": example.label,
            "group": example.group,
            "class": stated(example),
            **found.record(),
        }
        found_lines.append(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
    return found_lines


def outcome(
    watch: "Monitor", examples: "Sequence[Example]", watched: "Sequence[Watched]"
) -> dict[str, Any]:
    """The figures of a run: what was flagged, of which class, and how well labels are told."""
    from repalign.metrics import mean
    from repalign.monitoring import by_class, stated
    from repalign.probing import results

    rows = list(zip(examples, watched, strict=True))
    scored = [(example, answer) for example, answer in rows if answer.score is not None]
    groups = [example.group or f"example {i}" for i, (example, _) in enumerate(scored)]
    found: dict[str, Any] = {
        "answers": len(rows),
        "without_words": len(rows) - len(scored),
        "monitor": watch.record(),
        "flagged": None,
        "by_class": {},
    }
    if not scored:
        return found
    if watch.threshold is not None:
        flags = [bool(answer.flagged) for _, answer in scored]
        found["flagged"] = mean(flags, groups).to_json()
        verdicts = [stated(example) for example, _ in scored]
        if set(verdicts) != {"unknown"}:
            table = by_class(verdicts, flags, groups)
            found["by_class"] = {name: part.to_json() for name, part in table.items()}
    if {example.label for example, _ in scored} == {0, 1}:
        values = np.array([answer.score for _, answer in scored], dtype=np.float64)
        labelled = [example for example, _ in scored]
        found["labels"] = results.judge_scores(labelled, values, watch.threshold)
    return found


def part_of(output: Path) -> Path:
    """Where lines are kept until all are there."""
    return output.with_name(output.name + ".part")
