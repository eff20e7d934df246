"""Judging: answers in which no accepted one is found by words are shown to a judge."""

from collections.abc import Sequence
from dataclasses import replace

from repalign.evaluation.asking import Answered
from repalign.evaluation.setting import Setting
from repalign.judges import RUBRICS, Case, Ruling, Words

_CORRECT = RUBRICS["correct"]
_UNRULED = "not ruled on: "


def judged(setting: Setting, found: Sequence[Answered], what: str) -> list[Answered]:
    """Have a judge look at answers that hold no accepted one; words alone have nothing to add.

    An answer that it could not rule on stays wrong, as words have it, and is counted.
    """
    if isinstance(setting.judge, Words):
        return list(found)
    open_ones = [
        place
        for place, one in enumerate(found)
        if one.verdict is not None and one.verdict.kind == "wrong" and one.asked.right
    ]
    cases = [
        Case(
            found[place].asked.words, found[place].reply.text or "", right=found[place].asked.right
        )
        for place in open_ones
    ]
    rulings = setting.rule(_CORRECT, cases, what) if cases else []
    told = dict(zip(open_ones, rulings, strict=True))
    return [_with(one, told.get(place)) for place, one in enumerate(found)]


def judged_by(setting: Setting) -> dict[str, dict[str, object]]:
    """How well the judge knows right answers, as an outcome has it; nothing of words alone."""
    if isinstance(setting.judge, Words):
        return {}
    return {_CORRECT.name: setting.agreement(_CORRECT)}


def lacking(found: Sequence[Answered]) -> dict[str, int]:
    """How many answers are in no figure, or were not ruled on by the judge that was asked."""
    return {
        "unanswered": sum(one.reply.text is None for one in found),
        "unruled": sum(
            one.verdict is not None and (one.verdict.why or "").startswith(_UNRULED)
            for one in found
        ),
        "empty": sum(one.verdict is not None and one.verdict.kind == "empty" for one in found),
    }


def _with(one: Answered, ruling: Ruling | None) -> Answered:
    if ruling is None or one.verdict is None:
        return one
    if ruling.value is None:
        # Only what words call wrong is shown to a judge: to leave it out would flatter.
        return replace(one, verdict=replace(one.verdict, why=f"{_UNRULED}{ruling.error}"))
    if ruling.value < 0.5:
        return one
    kind = replace(one.verdict, kind="correct", contains=True, why=f"judge: {ruling.said}")
    return replace(one, verdict=kind)
