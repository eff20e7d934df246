"""Wins: whose answers a judge prefers, the model's or those of the model before.

Both models answer ordinary requests; each pair is judged in both orders, and is won only if it is
won in both.
"""

from repalign.answering import Settings
from repalign.errors import InputError
from repalign.evaluation.asking import requests
from repalign.evaluation.outcome import Item, Outcome
from repalign.evaluation.setting import Setting
from repalign.judges import RUBRICS, Case, Words, both_orders
from repalign.metrics import Estimate
from repalign.metrics.estimate import mean_of_rows
from repalign.verdicts import without_thought

_PREFERS = RUBRICS["prefers"]
_LONGEST = 128
_VALUES = {"win": 1.0, "tie": 0.5, "lose": 0.0}


def evaluate(setting: Setting) -> Outcome:
    """Compare the two models' answers.

    Raises:
        InputError: there is no model before, the judge knows words alone, or nobody answers.
    """
    if setting.before is None:
        raise InputError(
            "The suite wins compares two models. Give the other one: --before MODEL, or "
            "--before MODEL --before-server URL."
        )
    if isinstance(setting.judge, Words):
        # Refused before two models answer.
        setting.judge.rules(_PREFERS, [])
    prompts = requests(setting)
    settings = Settings(max_new_tokens=_LONGEST)
    ours = [one.text for (one,) in setting.ask(prompts, "wins", settings)]
    theirs = [one.text for (one,) in setting.ask(prompts, "wins", settings, before=True)]
    both = [
        place
        for place, pair in enumerate(zip(ours, theirs, strict=True))
        if all(text is not None and without_thought(text) for text in pair)
    ]
    if not both:
        raise InputError("No request was answered by both models, so there is nothing to compare.")
    cases = [
        Case(prompts[place].messages[-1].content, ours[place] or "", other=theirs[place])
        for place in both
    ]
    groups = [prompts[place].group for place in both]
    found = both_orders(lambda some: setting.rule(_PREFERS, some, "wins"), cases, groups)
    outcome = dict(zip(both, found.outcomes, strict=True))
    kept = [(_VALUES[one], group) for one, group in zip(found.outcomes, groups, strict=True) if one]
    figures: dict[str, Estimate | None] = {"win rate": None}
    controls: dict[str, Estimate | None] = {}
    if found.wins is not None:
        figures = {"win rate": mean_of_rows(kept)}
        controls = {
            "the answer shown first wins": found.wins.first_shown,
            "judged alike in both orders": found.wins.agreement,
        }
    return Outcome(
        figures,
        tuple(
            Item(
                f"request: {prompt.messages[-1].content}",
                prompt.group,
                prompt.messages[-1].content,
                ours[place],
                {"won": _VALUES[ruled]} if (ruled := outcome.get(place)) else {},
                {"before": theirs[place], "outcome": ruled or "not ruled on"},
            )
            for place, prompt in enumerate(prompts)
        ),
        controls=controls,
        missing={} if found.wins else {"win rate": "the judge ruled on no pair in both orders"},
        counts={
            **(found.wins.counts if found.wins else {}),
            "unruled": found.unruled,
            "unanswered": sum(text is None for text in (*ours, *theirs)),
            "empty": sum(
                text is not None and not without_thought(text) for text in (*ours, *theirs)
            ),
        },
        judged={_PREFERS.name: setting.agreement(_PREFERS)},
        notes=(
            "0.5 is even. A judge that likes what it sees first, or is not of one mind in both "
            "orders, makes ties, not wins.",
        ),
    )
