"""Facts: tables of what is true, one row a fact, read when they are first asked for."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Fact:
    """One relation that holds: `subject` has the `object`, and in its table no other one."""

    subject: str
    object: str
    kind: str = ""
    """Facts are contrasted only with facts of their kind, such as verbs with verbs."""
    avoid: tuple[str, ...] = ()
    """Objects that are not plainly false of this subject: namesakes, synonyms, near names."""

    def excludes(self, other: str) -> bool:
        """Whether `other` is plainly false of the subject."""
        return other != self.object and other not in self.avoid


@cache
def table(name: str) -> tuple[Fact, ...]:
    """Read the table `facts/NAME.csv` of the package, in the order of the file."""
    path = files("repalign.datasets").joinpath("facts", f"{name}.csv")
    return tuple(
        Fact(
            row["subject"],
            row["object"],
            row.get("kind", ""),
            tuple(filter(None, row.get("avoid", "").split("|"))),
        )
        for row in csv.DictReader(path.read_text("utf-8").splitlines())
    )
