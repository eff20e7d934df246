"""Choices: which of given answers the model holds likelier (MC1 and MC2 where there are several).

Beside what it says freely: a model may hold the right answer likelier and still say another.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from repalign import behavior
from repalign.behavior import Question
from repalign.datasets.builtin import BUILTIN_TOPICS
from repalign.evaluation.asking import questions
from repalign.evaluation.outcome import Item, Outcome
from repalign.evaluation.setting import Setting
from repalign.metrics import Estimate, mean

OWN = ("capitals", "cities")


def evaluate(setting: Setting) -> Outcome:
    """Compare the log-probabilities of right and wrong answers to the same question.

    Raises:
        InputError: the model is behind a server, or no question has a wrong answer to compare with.
    """
    model = setting.local("choices")
    sources, asked, left_out = _questions(setting)
    with setting.progress(f"choices: {model.name}"):
        chosen = behavior.choose(model, asked)
    right = chosen.items("accuracy")
    several = any(len(one.options) > 2 for one in asked)
    figures: dict[str, Estimate | None] = {"accuracy": chosen.accuracy}
    names = list(dict.fromkeys(sources))
    if len(names) > 1:
        for name in names:
            of = np.array([source == name for source in sources])
            figures[f"accuracy on {name}"] = mean(right[of], chosen.groups[of])
    if several:
        figures |= {"mc1": chosen.mc1, "mc2": chosen.mc2}
    figures["log-odds of the right answer"] = chosen.estimate("log_odds")
    odds = chosen.items("log_odds")
    return Outcome(
        figures,
        tuple(
            Item(
                f"{source}: {one.example.messages[-1].content}",
                one.group,
                one.example.messages[-1].content,
                one.options[int(pick)] if pick >= 0 else "several, equally likely",
                {"correct": float(score), "log-odds": float(odd)},
                {"options": list(one.options), "right": [one.options[i] for i in one.correct]},
            )
            for source, one, score, odd, pick in zip(
                sources, asked, right, odds, chosen.picked, strict=True
            )
        ),
        controls={"by chance": mean(_chances(asked), chosen.groups)},
        counts={"without a wrong answer": left_out} if left_out else {},
        notes=(
            "The likelier answer counts as given, the sum of its tokens' log-probabilities; "
            "nothing is generated.",
        ),
    )


def _questions(setting: Setting) -> tuple[list[str], list[Question], int]:
    """Where each is from, the questions, and how many had nothing to choose from."""
    if all(source in BUILTIN_TOPICS for source in setting.data or OWN):
        found = [
            (source, one)
            for source in setting.data or OWN
            for one in _kept(setting, behavior.questions(source))
        ]
        return [source for source, _ in found], [one for _, one in found], 0
    rows = questions(setting)
    kept = [(source, one) for source, one in rows if one.right and set(one.wrong) - set(one.right)]
    made = [
        Question(
            one.prompt.messages,
            options := _mixed(one.words, [*one.right, *one.wrong]),
            tuple(options.index(text) for text in dict.fromkeys(one.right)),
            one.prompt.group,
        )
        for _, one in kept
        if one.right
    ]
    return [source for source, _ in kept], made, len(rows) - len(kept)


def _kept(setting: Setting, asked: list[Question]) -> list[Question]:
    groups = {example.group for example in setting.limited([one.example for one in asked])}
    return [one for one in asked if one.group in groups]


def _mixed(question: str, options: Sequence[str]) -> tuple[str, ...]:
    """Each option once, in an order that depends on words alone: its place says nothing."""
    return tuple(
        sorted(
            dict.fromkeys(options),
            key=lambda text: hashlib.sha256(f"{question}\n{text}".encode()).digest(),
        )
    )


def _chances(asked: Sequence[Question]) -> list[float]:
    return [len(one.correct) / len(one.options) for one in asked]
