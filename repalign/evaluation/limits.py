"""Limits: is it open about what it cannot do? The honesty rate of HonestLLM (2406.00380).

Six kinds of requests that no assistant of text can fulfil as they stand; an answer is honest if it
does what its kind asks for, such as to say that it sees no picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from repalign.answering import Reply, Settings
from repalign.datasets.limits import REQUIRED, requests
from repalign.evaluation.outcome import Item, Outcome
from repalign.evaluation.setting import Setting
from repalign.examples import Example
from repalign.judges import RUBRICS, Case, Ruling, Words
from repalign.metrics import Estimate
from repalign.metrics.estimate import mean_of_rows
from repalign.verdicts import without_thought

LONGEST = 128
"""Tokens of an answer: what it admits, it admits at its beginning."""
_ADMITS = RUBRICS["admits"]


@dataclass(frozen=True)
class _Judged:
    """A request, its answer, and what the judge said of it."""

    prompt: Example
    reply: Reply
    ruling: Ruling | None
    """None where there was nothing to judge."""

    @property
    def honest(self) -> float | None:
        return None if self.ruling is None else self.ruling.value

    @property
    def category(self) -> str:
        return self.prompt.meta["category"]


def evaluate(setting: Setting) -> Outcome:
    """Ask 26 requests of each category, and have each answer judged.

    With an earlier model the difference is taken request by request.

    Raises:
        InputError: nobody answers.
    """
    prompts = setting.limited(requests())
    after = _judged(setting, prompts)
    figures = {"honesty rate": _rate(after)} | {
        f"honesty rate on {category}": _rate([one for one in after if one.category == category])
        for category in REQUIRED
    }
    counts = _counts(after)
    before = None
    if setting.before is not None:
        before = _judged(setting, prompts, before=True)
        figures |= {"honesty rate before": _rate(before), "change": _change(before, after)}
        counts |= {f"{name} before": count for name, count in _counts(before).items()}
    return Outcome(
        figures,
        tuple(_item(one, None if before is None else before[i]) for i, one in enumerate(after)),
        missing={
            name: "no answer to such a request was given that could be judged"
            for name, one in figures.items()
            if one is None
        },
        counts=counts,
        judged={_ADMITS.name: setting.agreement(_ADMITS)},
        notes=_notes(setting),
    )


def case(prompt: Example, answer: str, other: str | None = None) -> Case:
    """An answer to one of the requests, to be judged."""
    return Case(
        prompt.messages[-1].content,
        without_thought(answer),
        None if other is None else without_thought(other),
        required=prompt.meta["required"],
        category=prompt.meta["category"],
    )


def _judged(setting: Setting, prompts: Sequence[Example], *, before: bool = False) -> list[_Judged]:
    settings = Settings(max_new_tokens=LONGEST)
    replies = [one for (one,) in setting.ask(prompts, "limits", settings, before=before)]
    said = {
        place: case(prompts[place], reply.text)
        for place, reply in enumerate(replies)
        if reply.text is not None and without_thought(reply.text)
    }
    what = "limits-before" if before else "limits"
    rulings = setting.rule(_ADMITS, list(said.values()), what) if said else []
    ruled = dict(zip(said, rulings, strict=True))
    return [
        _Judged(prompt, reply, ruled.get(place))
        for place, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
    ]


def _rate(some: Sequence[_Judged]) -> Estimate | None:
    return mean_of_rows(
        [(one.honest == 1, one.prompt.group) for one in some if one.honest is not None]
    )


def _change(before: Sequence[_Judged], after: Sequence[_Judged]) -> Estimate | None:
    return mean_of_rows(
        [
            (two.honest - one.honest, two.prompt.group)
            for one, two in zip(before, after, strict=True)
            if one.honest is not None and two.honest is not None
        ]
    )


def _counts(some: Sequence[_Judged]) -> dict[str, int]:
    return {
        "unanswered": sum(one.reply.text is None for one in some),
        "empty": sum(one.reply.text is not None and one.ruling is None for one in some),
        "unruled": sum(one.ruling is not None and one.ruling.value is None for one in some),
        "cut": sum(one.reply.cut for one in some),
    }


def _item(after: _Judged, before: _Judged | None) -> Item:
    more: dict[str, Any] = {
        "category": after.category,
        "required": after.prompt.meta["required"],
        "ruling": after.ruling.to_json() if after.ruling else after.reply.error or "empty",
    }
    if before is not None:
        more |= {"before": before.reply.text, "honest before": before.honest}
    return Item(
        after.prompt.group,
        after.prompt.group,
        after.prompt.messages[-1].content,
        after.reply.text,
        {} if after.honest is None else {"honest": after.honest},
        more,
    )


def _notes(setting: Setting) -> tuple[str, ...]:
    notes = [
        "The requests are our own, written after the six categories of the paper; rates are not "
        "those on its HoneSet.",
        "To say of every request that it cannot be fulfilled gives a rate of 1: read it beside "
        "helpfulness.",
    ]
    if isinstance(setting.judge, Words):
        notes.append(
            "Answers are judged by phrases, which miss honest answers in rare words: on answers "
            "that the phrases were not made from, they found 10 of 18. Rates are too low."
        )
    return tuple(notes)
