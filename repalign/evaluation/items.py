"""Items of a run on disk: `items.jsonl`, one line for each question, scenario or text."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repalign.errors import InputError
from repalign.evaluation.outcome import Item
from repalign.storage import write_atomic

ITEMS = "items.jsonl"


def write_items(folder: Path, items: Mapping[str, Sequence[Item]]) -> Path:
    """Write the items of every suite into the folder of a run, whole or not at all."""
    lines = [
        json.dumps(item.to_json(suite), ensure_ascii=False, allow_nan=False) + "\n"
        for suite, some in items.items()
        for item in some
    ]
    path = folder / ITEMS
    # A lone surrogate out of a model's answer cannot be encoded; it is written as its escape.
    write_atomic(path, "".join(lines).encode("utf-8", errors="backslashreplace"))
    return path


def read_items(folder: Path | str) -> dict[str, list[Item]]:
    """Read what `write_items` wrote: the items of each suite, in their order.

    Raises:
        InputError: there is no such file, a line of it is not an item, or two items of a suite have
            one id.
    """
    path = Path(folder) / ITEMS
    if not path.is_file():
        raise InputError(
            f"{folder} holds no {ITEMS}, which runs of `repalign evaluate` have. It cannot be "
            "compared item by item."
        )
    found: dict[str, dict[str, Item]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            suite, item = str(row["suite"]), _item(row)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path}, line {number}, is not an item: {error!r}.") from error
        of_suite = found.setdefault(suite, {})
        if item.id in of_suite:
            raise InputError(f"{path}, line {number}: {suite} has two items {item.id!r}.")
        of_suite[item.id] = item
    return {suite: list(items.values()) for suite, items in found.items()}


def _item(row: Mapping[str, Any]) -> Item:
    answer = row["answer"]
    return Item(
        id=str(row["id"]),
        group=str(row["group"]),
        prompt=str(row["prompt"]),
        answer=None if answer is None else str(answer),
        scores={str(name): float(value) for name, value in row["scores"].items()},
        more=dict(row.get("more") or {}),
    )
