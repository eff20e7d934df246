"""Rows that teach a model to decline what it does not know (Alignment for Honesty, 2312.07000)."""

from collections.abc import Sequence

from repalign.errors import InputError, unknown
from repalign.knowledge import Asked, asked, estimate
from repalign.knowledge.boundary import TAU, Boundary
from repalign.knowledge.training_sets import METHODS, balanced, rows
from repalign.recipes.sources.made import Made, Making


def make(
    making: Making,
    questions: Sequence[str] = ("cities",),
    unknowable: Sequence[str] = ("invented",),
    method: str = "absolute",
    count: int = 160,
    samples: int = 10,
    tau: float = TAU,
    max_new_tokens: int = 24,
    balance: bool = False,
) -> Made:
    """Ask the base what it knows, and make rows of one of the paper's methods.

    Args:
        making: with what.
        questions: built-in topics or files of questions.
        unknowable: the same, of questions that nobody can answer; a third of the rows at most.
        method: of `knowledge.training_sets`: absolute, confidence-num, confidence-verb, multisample
            or fine-tuned.
        count: questions, all together.
        samples: answers to each.
        tau: expected accuracy from which on a question counts as known.
        max_new_tokens: length of an answer.
        balance: as many questions that the greedy answer gets right as others.

    Raises:
        InputError: a method that does not exist, or as `knowledge.estimate`.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    found = bounded(making, questions, unknowable, count, samples, tau, max_new_tokens)
    known = balanced(found.questions, making.seed) if balance else found.questions
    made = rows(known, method, tau=tau, seed=making.seed)
    return Made(
        [dict(row) for row in made],
        {
            "questions": len(known),
            "known": sum(one.is_known(tau) for one in known),
            "unanswered": found.unanswered,
        },
    )


def bounded(
    making: Making,
    questions: Sequence[str],
    unknowable: Sequence[str],
    count: int,
    samples: int,
    tau: float,
    max_new_tokens: int,
) -> Boundary:
    """Which of some questions the base knows; questions that nobody can know are a third."""
    nobody = drawn([one for name in unknowable for one in asked(name, knowable=False)], count // 3)
    some = drawn([one for name in questions for one in asked(name)], count - len(nobody))
    if not some:
        raise InputError(f"No question was drawn; count is {count}.")
    with making.progress("what the base knows") as progress:
        return estimate(
            making.model,
            [*some, *nobody],
            samples=samples,
            tau=tau,
            max_new_tokens=max_new_tokens,
            seed=making.seed,
            keep=making.keep("known"),
            progress=progress,
        )


def drawn(some: Sequence[Asked], count: int) -> list[Asked]:
    """Every so manieth, so that all parts of a list are in it and the others are held out."""
    if count >= len(some):
        return list(some)
    return [some[place * len(some) // count] for place in range(count)]
