"""Questions to be answered while training, with what a reward needs to know of them."""

from collections.abc import Sequence

from repalign.knowledge.boundary import TAU
from repalign.recipes.sources.known import bounded
from repalign.recipes.sources.made import Made, Making


def make(
    making: Making,
    questions: Sequence[str] = ("cities",),
    unknowable: Sequence[str] = ("invented",),
    count: int = 96,
    samples: int = 10,
    tau: float = TAU,
    max_new_tokens: int = 24,
) -> Made:
    """Ask the base what it knows, and make rows for GRPO or RLOO.

    Args:
        making: with what.
        questions: built-in topics or files of questions.
        unknowable: the same, of questions that nobody can answer; a third of the rows at most.
        count: questions, all together.
        samples: answers to each, to find out whether it is known.
        tau: expected accuracy from which on a question counts as known.
        max_new_tokens: length of these answers.

    Returns:
        Rows with `prompt`, `answers` (empty where nobody can know) and `known` (1 or 0).

    Raises:
        InputError: as `knowledge.estimate`.
    """
    found = bounded(making, questions, unknowable, count, samples, tau, max_new_tokens)
    rows = [
        {
            "prompt": [
                {"role": turn.role, "content": turn.content} for turn in one.asked.prompt.messages
            ],
            "answers": list(one.asked.right or ()),
            "known": int(one.is_known(tau)),
        }
        for one in found.questions
    ]
    return Made(
        rows,
        {
            "questions": len(rows),
            "known": sum(row["known"] for row in rows),
            "unanswered": found.unanswered,
        },
    )
