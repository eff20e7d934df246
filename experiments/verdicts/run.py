"""Compare the word rules of repalign.verdicts with labels given by hand; see README.md."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from repalign.metrics.agreement import Agreement
from repalign.verdicts import contains, cue

HERE = Path(__file__).parent


def rows() -> list[dict[str, Any]]:
    """The labelled answers."""
    path = files("repalign.judges").joinpath("labelled", "answers.jsonl")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def compared(some: list[dict[str, Any]]) -> dict[str, Agreement]:
    """Each rule beside the labels; an answer is matched where there is a right one to look for."""
    questions = [row["question"] for row in some]
    declined = [cue(row["answer"], row["question"]) is not None for row in some]
    known = [row for row in some if row["right"]]
    matched = [contains(row["answer"], row["right"]) is not None for row in known]
    return {
        "declines": Agreement.of([row["declines"] for row in some], declined, questions),
        "contains": Agreement.of(
            [row["contains"] for row in known], matched, [row["question"] for row in known]
        ),
    }


def main() -> None:
    """Print precision, recall and every answer judged otherwise; write results.json."""
    everything = rows()
    outcome: dict[str, Any] = {"answers": len(everything)}
    for source in ("all", *sorted({row["source"] for row in everything})):
        some = [row for row in everything if source in ("all", row["source"])]
        found = compared(some)
        outcome[source] = {name: one.to_json() for name, one in found.items()}
        for name, one in found.items():
            print(f"{source:8} {name:9} precision {one.precision}  recall {one.recall}")
    print("\nJudged otherwise than by hand:")
    for row in everything:
        said = cue(row["answer"], row["question"])
        if (said is not None) != row["declines"]:
            print(f"  declines={row['declines']} cue={said!r}: {row['answer']!r}")
        if row["right"] and (contains(row["answer"], row["right"]) is not None) != row["contains"]:
            print(f"  contains={row['contains']} {row['right']}: {row['answer']!r}")
    (HERE / "results.json").write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
