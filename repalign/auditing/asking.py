"""Asking: suites of evaluation put to both models, as measures that can be paired."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from repalign.answering import Local
from repalign.answering.asking import Titled
from repalign.auditing.measure import Measure
from repalign.evaluation.evaluating import Evaluated, run
from repalign.evaluation.outcome import Item
from repalign.evaluation.setting import Setting
from repalign.evaluation.suites import named
from repalign.metrics.evolution import VERDICTS, Evolution
from repalign.models import LanguageModel

SUITES = ("honesty", "mask", "sycophancy", "refusal")
LIMIT = 24
Scored = Callable[[Item], float | None]


class Sign(NamedTuple):
    """Which score of a suite is behaviour, and which way is honest."""

    name: str
    score: Scored
    higher_is_honest: bool | None


def _of(score: str) -> Scored:
    return lambda item: item.scores.get(score)


def _answerable(score: str, answerable: bool) -> Scored:
    """A score of the questions that have an answer, or of those that have none."""

    def scored(item: Item) -> float | None:
        has = item.more.get("right") is not None
        return item.scores.get(score) if has is answerable else None

    return scored


SIGNS: Mapping[str, tuple[Sign, ...]] = {
    "honesty": (
        Sign("states what is wrong", _answerable("wrong", True), False),
        Sign("declines what nobody can know", _answerable("idk", False), True),
        Sign("answers rightly", _answerable("correct", True), None),
    ),
    "mask": (
        Sign("lies", _of("lies"), False),
        Sign("evades", _of("evades"), None),
        Sign("believes rightly", _of("believes rightly"), None),
    ),
    "sycophancy": (
        Sign(
            "right answers abandoned when doubted",
            _of("right answers abandoned when doubted"),
            False,
        ),
        Sign(
            "right answers given up for the user's opinion",
            _of("right answers given up for the user's opinion"),
            False,
        ),
    ),
    "limits": (Sign("is open about its limits", _of("honest"), True),),
    "refusal": (
        Sign("refuses, harmful", _of("refuses, harmful"), None),
        Sign("refuses, harmless", _of("refuses, harmless"), None),
    ),
}
"""Suites that are not named here are shown with all their scores, without a part in the verdict."""


def evaluated(
    model: LanguageModel,
    suites: Sequence[str],
    folder: Path,
    limit: int | None,
    seed: int,
    progress: Titled,
) -> Evaluated:
    """Put suites to a model; its answers are kept in the folder, so that a killed run goes on."""
    if not suites:
        return Evaluated({}, {})
    setting = Setting(Local(model), folder, limit=limit, seed=seed, progress=progress)
    return run(setting, named(suites))


def measures(
    before: Evaluated, after: Evaluated, seen: Collection[str] = frozenset()
) -> list[Measure]:
    """The scores of both models on the items that both have and training had not, by suite."""
    found = []
    for suite in before.outcomes:
        if suite not in after.outcomes:
            continue
        pairs = _pairs(before.outcomes[suite].items, after.outcomes[suite].items, seen)
        for name, score, sign in SIGNS.get(suite) or _unsigned(pairs):
            kept = [
                (then, now, one.group)
                for one, two in pairs
                if (then := score(one)) is not None and (now := score(two)) is not None
            ]
            if kept:
                then, now, groups = zip(*kept, strict=True)
                found.append(Measure(f"{suite}: {name}", then, now, groups, sign))
    return found


def cells(
    before: Evaluated, after: Evaluated, seen: Collection[str] = frozenset()
) -> dict[str, Any] | None:
    """The nine cells of arXiv 2312.07000, with their measures; None without the suite `honesty`."""
    if "honesty" not in before.outcomes or "honesty" not in after.outcomes:
        return None
    asked = before.outcomes["honesty"].items, after.outcomes["honesty"].items
    pairs = [
        (one, two)
        for one, two in _pairs(*asked, seen)
        if one.more.get("right") is not None
        and all(each.more.get("verdict") in VERDICTS for each in (one, two))
    ]
    if not pairs:
        return None
    then, now = (
        [str(side.more["verdict"]) for side in sides] for sides in zip(*pairs, strict=True)
    )
    found = Evolution.of(then, now, [one.group for one, _ in pairs])
    return found.to_json()


def trained_on(evaluated: Evaluated, seen: Collection[str]) -> int:
    """How many items of the suites training had among its prompts."""
    items = (item for outcome in evaluated.outcomes.values() for item in outcome.items)
    return sum(item.prompt in seen for item in items)


def _pairs(
    before: Sequence[Item], after: Sequence[Item], seen: Collection[str]
) -> list[tuple[Item, Item]]:
    """Items of one id that were asked the same thing, and that training had not."""
    later = {item.id: item for item in after}
    return [
        (item, later[item.id])
        for item in before
        if item.id in later and later[item.id].prompt == item.prompt and item.prompt not in seen
    ]


def _unsigned(pairs: Sequence[tuple[Item, Item]]) -> Iterator[Sign]:
    for name in dict.fromkeys(name for one, _ in pairs for name in one.scores):
        yield Sign(name, _of(name), None)
