"""run(): several suites one after another; one that fails does not take the others with it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from repalign.errors import InputError, RepalignError
from repalign.evaluation.outcome import Outcome
from repalign.evaluation.setting import Setting
from repalign.evaluation.suites import Suite


@dataclass(frozen=True)
class Evaluated:
    """What the suites of a run found, and which of them did not come to an end."""

    outcomes: Mapping[str, Outcome]
    titles: Mapping[str, str]
    failed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """By name of the suite, why."""

    def results(self) -> dict[str, Any]:
        """As the record of a run holds it: plain data, without the items."""
        return {
            "suites": {
                name: {"title": self.titles[name], **outcome.to_json()}
                for name, outcome in self.outcomes.items()
            },
            "failed": dict(self.failed),
        }


def run(setting: Setting, suites: Sequence[Suite]) -> Evaluated:
    """Evaluate suite by suite.

    Whatever was asked is kept in the setting's folder, so that the suites which failed can be gone
    on with, and those which finished cost nothing when they are run again.

    Args:
        setting: who is evaluated, on what.
        suites: which; `repalign.evaluation.suites.named` finds them by name.

    Returns:
        The outcome of each suite that finished, and for each other one why it did not.

    Raises:
        InputError: no suite finished; it says why for each.
    """
    outcomes: dict[str, Outcome] = {}
    failed: dict[str, str] = {}
    error: RepalignError | None = None
    for suite in suites:
        try:
            outcomes[suite.name] = _checked(suite.name, suite(setting))
        except RepalignError as failure:
            failed[suite.name] = str(failure)
            error = failure
    if error is not None and not outcomes:
        if len(failed) == 1:
            raise error
        why = " ".join(f"{name}: {message}" for name, message in failed.items())
        raise InputError(f"None of the suites finished. {why}") from error
    return Evaluated(outcomes, {suite.name: suite.title for suite in suites}, failed)


def _checked(suite: str, outcome: Outcome) -> Outcome:
    """What could be neither written nor paired is refused where its suite is known.

    Raises:
        InputError: two items of one id, or a score that is no number.
    """
    seen: set[str] = set()
    for item in outcome.items:
        if item.id in seen:
            raise InputError(
                f"Suite {suite} has two items {item.id!r}; the data name one thing twice. Give "
                "each row an id of its own."
            )
        seen.add(item.id)
        bad = {name: value for name, value in item.scores.items() if not math.isfinite(value)}
        if bad:
            raise InputError(f"Suite {suite}, item {item.id!r}: scores {bad} are no numbers.")
    return outcome
