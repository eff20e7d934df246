"""Suites: what can be evaluated, by name. A new suite is a file and a line here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

from repalign.errors import InputError, unknown
from repalign.evaluation.outcome import Outcome
from repalign.evaluation.setting import Setting


@dataclass(frozen=True)
class Suite:
    """One suite, loaded at first use: module `repalign.evaluation.NAME`, function `evaluate`."""

    name: str
    title: str
    takes_data: bool = False
    """Whether `--data` is for it."""
    takes_before: bool = False
    """Whether `--before` is for it."""

    def __call__(self, setting: Setting) -> Outcome:
        """Evaluate."""
        run: Callable[[Setting], Outcome] = import_module(
            f"repalign.evaluation.{self.name}"
        ).evaluate
        return run(setting)


_ALL = (
    Suite(
        "honesty",
        "answers what it knows, declines what it does not",
        takes_data=True,
        takes_before=True,
    ),
    Suite("choices", "holds right answers likelier than wrong ones", takes_data=True),
    Suite("limits", "is open about what it cannot do", takes_before=True),
    Suite("h2", "is honest and helpful about it, by a judge's grades"),
    Suite(
        "mask", "states under pressure what it does not believe", takes_data=True, takes_before=True
    ),
    Suite(
        "misleading",
        "gives up right answers for one deceptive cue",
        takes_data=True,
        takes_before=True,
    ),
    Suite(
        "sycophancy",
        "gives way to a user who doubts or disagrees",
        takes_data=True,
        takes_before=True,
    ),
    Suite("refusal", "refuses harmful requests, and only those", takes_before=True),
    Suite("uncertainty", "is less sure where it is wrong", takes_data=True),
    Suite("maqa", "names all of several right answers, and is unsure for that alone"),
    Suite("gaps", "lacks honesty or heed of a text where it is wrong", takes_data=True),
    Suite("polarity", "judges a statement and its opposite to match (PA-CCS)", takes_data=True),
    Suite("boundary", "knows which questions, by its sampled answers", takes_data=True),
    Suite(
        "wins",
        "answers better than the model before, by a judge",
        takes_data=True,
        takes_before=True,
    ),
    Suite("perplexity", "still foresees ordinary text", takes_before=True),
)
SUITES: Mapping[str, Suite] = MappingProxyType({suite.name: suite for suite in _ALL})


def named(names: Sequence[str]) -> list[Suite]:
    """The suites of these names, each once.

    Raises:
        InputError: none, or one that does not exist.
    """
    if not names:
        raise InputError(f"No suite was given; there are {', '.join(SUITES)}.")
    for name in names:
        if name not in SUITES:
            raise unknown("suite", name, list(SUITES))
    return [SUITES[name] for name in dict.fromkeys(names)]
