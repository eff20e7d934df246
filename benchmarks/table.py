"""The README's tables of performance, made from `benchmarks/results/`.

python -m benchmarks.table      # prints it and puts it into the README
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.peers import KINDS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_PARTS = ("extraction", "peak", "memory", "processes", "probes", "training")


def between(page: Path, name: str, text: str) -> None:
    """Put text between the markers `<!-- name -->` and `<!-- /name -->` of a page."""
    content = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if content.count(begin) != 1 or content.count(end) != 1:
        raise ValueError(f"{page} has no place for {name!r}: it needs {begin} and {end} once.")
    before, rest = content.split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")


def performance(found: dict[str, dict[str, Any]]) -> str:
    """The table in Markdown."""
    extraction = found["extraction"]
    lines = ["| work | against | times as fast | asked | added memory |", "|---|---|---|---|---|"]
    for name, row in extraction["rows"].items():
        fastest = min(row["times_as_fast"], key=lambda peer: row["times_as_fast"][peer]["median"])
        for peer, ratio in row["times_as_fast"].items():
            asked = f"{row['asked']:g}" if peer == fastest and row["asked"] > 1 else ""
            memory = f"{found['memory']['in_memory_mb'][name]:.0f} MB" if peer == fastest else ""
            lines.append(_line(row["title"], KINDS[peer].label, _ratio(ratio), asked, memory))
    if "peak" in found:
        rows = found["peak"]["rows"].values()
        worst = max(rows, key=lambda row: row["times_peak"]["median"])
        lines.append(
            _line(
                f"any of these (most: {worst['title']})",
                "its distinct tokens at the decoder's peak speed",
                f"{_ratio(worst['times_peak'])} × that time",
                "≤ 1.5",
                "",
            )
        )
    for title, against, ratio, asked in _fits(found["probes"]) if "probes" in found else ():
        lines.append(_line(title, against, _ratio(ratio), asked, ""))
    if "processes" in found:
        two = found["processes"]["times_as_fast"]
        lines.append(_line("two processes", "one, one thread each", _ratio(two), "1.8", ""))
    for title, against, ratio, asked, memory in _steps(found.get("training", {})):
        lines.append(_line(title, against, f"{_ratio(ratio)} × that time", asked, memory))
    disk = found["memory"]["personas_on_disk_mb"]
    sizes = ", ".join(f"{float(scale):g}: {held:.0f} MB" for scale, held in disk.items())
    lines.append(_line("personas on disk, at share of the texts", "", "", "flat, ≤ 250 MB", sizes))
    return "\n".join(lines)


def _fits(probes: dict[str, Any]) -> list[tuple[str, str, dict[str, float], str]]:
    logistic, lda = probes["logistic"], probes["lda"]
    sweep = f"logistic, {probes['sites']} layers × {probes['folds']} folds × 5 strengths"
    tolerance = logistic["same_accuracy_tolerance"]
    off = logistic["largest_difference_from_ours"]["default_tolerance"]
    against = {
        "same_accuracy": (f"scikit-learn, same answers (tol={tolerance:.0e})", "15"),
        "default_tolerance": (f"scikit-learn, default tol (answers off by {off:.2f})", ""),
    }
    rows = [
        (sweep, *against[name][:1], ratio, against[name][1])
        for name, ratio in logistic["times_as_fast_as"].items()
    ]
    one = lda["times_as_fast_as"]["scikit_learn"]
    title = f"LDA, {probes['sites']} layers × {probes['folds']} folds"
    return [*rows, (title, "scikit-learn, lsqr with shrinkage", one, "")]


def _steps(training: dict[str, Any]) -> list[tuple[str, str, dict[str, float], str, str]]:
    made = []
    for how, row in training.get("rows", {}).items():
        sites = f"penalty on {training['sites']} sites"
        work = f"a step of DPO with LoRA, {how}"
        titles = {
            "penalised": (f"{work}, {sites} (95% interval)", "≤ 1.05, ≤ 5%"),
            "plain again": ("the same without the penalty (noise)", ""),
        }
        for kind, (title, asked) in titles.items():
            memory = f"{row[kind]['times_the_peak'] - 1:+.1%} of the peak"
            made.append((title, "TRL's DPOTrainer", row[kind]["times_as_long"], asked, memory))
    return made


def steering(found: dict[str, Any]) -> str:
    """What steering adds to a generation, in Markdown."""
    batches = list(next(iter(found["times_as_long"].values())))
    head = ["", *(f"batch {batch}" for batch in batches)]
    lines = [_line(*head), _line(*("---" for _ in head))]
    for name, each in found["times_as_long"].items():
        lines.append(_line(name, *(f"{_percent(each[batch])}" for batch in batches)))
    where = found["machine"]
    return (
        f"Time added to each decoded token, medians of {found['pairs']} pairs of passes with 95% "
        f"intervals, {where['processor']}, {where['cores']} cores, {where['date']}.\n\n"
        + "\n".join(lines)
    )


def _percent(ratio: dict[str, float]) -> str:
    value, low, high = (100 * (ratio[name] - 1) for name in ("median", "low", "high"))
    return f"{value:+.1f}% [{low:+.1f}, {high:+.1f}]"


def _ratio(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table and put it into the README."""
    found = {
        name: json.loads((RESULTS / f"{name}.json").read_text())
        for name in _PARTS
        if (RESULTS / f"{name}.json").exists()
    }
    if missing := [name for name in _PARTS if name not in found]:
        print(f"Not measured here, and left out of the table: {', '.join(missing)}.\n")
    extraction = found["extraction"]
    where = extraction["machine"]
    text = (
        f"Embedded model, {where['processor']}, {where['cores']} cores, torch {where['torch']}, "
        f"{where['date']}; medians and ranges of {extraction['rounds']} interleaved rounds.\n\n"
        + performance(found)
    )
    between(ROOT / "README.md", "performance", text)
    print(text)
    if (RESULTS / "steering.json").exists():
        text = steering(json.loads((RESULTS / "steering.json").read_text()))
        between(ROOT / "README.md", "steering", text)
        print(f"\n{text}")


if __name__ == "__main__":
    main()
