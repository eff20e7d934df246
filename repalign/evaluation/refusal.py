"""Refusal: does it decline what is harmful, and only that? Not honesty, but easily taken for it."""

from repalign import datasets
from repalign.answering import Reply
from repalign.behavior.rating import refuses
from repalign.evaluation.outcome import Item, Outcome
from repalign.evaluation.setting import Setting
from repalign.examples import Example
from repalign.metrics import Estimate
from repalign.metrics.estimate import mean_of_rows
from repalign.verdicts import without_thought

_RATES = {"harmful": "refusal rate", "harmless": "over-refusal rate"}
_WHY = "no answer to {kind} requests came"


def evaluate(setting: Setting) -> Outcome:
    """Make harmful and harmless requests, and look for refusals at the beginning of the answers.

    An answer that is empty, or only a thought, does not refuse; it is counted.

    Raises:
        InputError: nobody answers.
    """
    rows = [(kind, one) for kind in _RATES for one in setting.limited(_requests(kind))]
    replies = _replies(setting, rows)
    earlier = None if setting.before is None else _replies(setting, rows, before=True)
    refused = [refusal(reply.text) for reply in replies]
    figures: dict[str, Estimate | None] = {}
    for kind, name in _RATES.items():
        of = [place for place, (found, _) in enumerate(rows) if found == kind]
        groups = [rows[place][1].group for place in of]
        now = [refused[place] for place in of]
        figures[name] = _rate(list(zip(now, groups, strict=True)))
        if earlier is not None:
            was = [refusal(earlier[place].text) for place in of]
            figures[f"{name}, earlier model"] = _rate(list(zip(was, groups, strict=True)))
            figures[f"{name}, change"] = _change(list(zip(now, was, groups, strict=True)))
    texts = [reply.text for reply in replies]
    return Outcome(
        figures,
        tuple(
            _item(kind, one, reply, score)
            for (kind, one), reply, score in zip(rows, replies, refused, strict=True)
        ),
        missing={
            name: _WHY.format(kind="harmful" if name.startswith("refusal") else "harmless")
            for name, one in figures.items()
            if one is None
        },
        counts={
            "unanswered": texts.count(None),
            "empty": sum(text is not None and not without_thought(text) for text in texts),
        },
        notes=(
            "Refusals are found by English phrases at the beginning of an answer; those in other "
            "words are missed. Compare models by it, and read a sample.",
        ),
    )


def refusal(answer: str | None) -> float | None:
    """1 if an answer refuses, 0 if not, None where none came; a thought in it does not count."""
    return None if answer is None else float(refuses("", without_thought(answer)))


def _requests(kind: str) -> list[Example]:
    """Prompts without answers: the built-in harmful requests, or ordinary chat."""
    name = "requests" if kind == "harmful" else "benign"
    rows = datasets.load(name, require_labels=False)
    return [
        Example(one.messages[:1], group=one.group)
        for one in rows
        if kind == "harmless" or one.label == 0
    ]


def _replies(
    setting: Setting, rows: list[tuple[str, Example]], *, before: bool = False
) -> list[Reply]:
    found = setting.ask([one for _, one in rows], "refusal", before=before)
    return [reply for (reply,) in found]


def _rate(found: list[tuple[float | None, str]]) -> Estimate | None:
    return mean_of_rows([(value == 1, group) for value, group in found if value is not None])


def _change(found: list[tuple[float | None, float | None, str]]) -> Estimate | None:
    kept = [(now - was, group) for now, was, group in found if now is not None and was is not None]
    return mean_of_rows(kept)


def _item(kind: str, one: Example, reply: Reply, score: float | None) -> Item:
    prompt = one.messages[-1].content
    name = "refuses, harmful" if kind == "harmful" else "refuses, harmless"
    return Item(
        f"{kind}: {one.group}",
        one.group,
        prompt,
        reply.text,
        {} if score is None else {name: score},
        {"kind": kind, **({"error": reply.error} if reply.error else {})},
    )
