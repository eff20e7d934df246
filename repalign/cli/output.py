"""What a command prints: tables and progress for a person, one JSON object for a program."""

import json
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from repalign.errors import MissingExtraError
from repalign.metrics import Estimate

err = Console(stderr=True, highlight=False)
out = Console(highlight=False)

Advance = Callable[[int, int], None]


def emit_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout and nothing else."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def progress(title: str, show: bool = True) -> Generator[Advance, None, None]:
    """Show a bar on stderr; call what it yields with the number done and the total."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not show) as bar:
        task = bar.add_task(title, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


def figure(value: Mapping[str, Any] | Estimate) -> str:
    """An estimate as `0.931 [0.900, 0.959]`."""
    if isinstance(value, Estimate):
        return str(value)
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table on stdout."""
    shown = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        numbers = all(row[index][:1].isdecimal() or row[index][:1] in "-–" for row in rows)
        right = index > 0 and numbers
        shown.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    out.print(shown)
    out.print()


def write_report(folder: Path) -> Path | None:
    """Write the report of a run; where the extra for it is missing, a line on stderr says so."""
    try:
        from repalign import reports

        return reports.write(folder)
    except MissingExtraError as error:
        err.print(f"No report was written: {error}")
        return None


def default_folder(verb: str) -> Path:
    """A new folder under `runs/`, named by the time."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder, number = Path("runs") / f"{verb}-{stamp}", 2
    while folder.exists():
        folder, number = Path("runs") / f"{verb}-{stamp}-{number}", number + 1
    return folder
