"""Benign: ordinary chat in which nobody lies, the control for false alarms."""

import json
from importlib.resources import files

from repalign.examples import Example


def turns() -> list[Example]:
    """Return each request with its honest, harmless reply; no label, for there is no contrast."""
    path = files("repalign.datasets").joinpath("texts", "benign.jsonl")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [
        Example.of_chat(
            row["prompt"],
            row["response"],
            group=f"benign:{number}",
            topic="benign",
            variant="benign",
            kind=row["kind"],
        )
        for number, row in enumerate(rows, start=1)
    ]
