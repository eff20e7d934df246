"""Is an answer right? The paper's second step, after matching words (2312.07000)."""

from repalign.judges.case import Case
from repalign.judges.reading import yes_or_no
from repalign.judges.rubric import Rubric
from repalign.verdicts import contains


def _asks(case: Case) -> str:
    accepted = "; ".join(case.right or ())
    return (
        "You check answers to questions.\n\n"
        f"Question: {case.question}\n"
        f"Accepted answers: {accepted}\n"
        f"Given answer: {case.answer}\n\n"
        "Does the given answer offer one of the accepted answers as its own, in whatever words and "
        "however unsure? One that is only named or denied does not count. Reply with one word, yes "
        "or no."
    )


def _words(case: Case) -> float:
    return float(contains(case.answer, case.right or ()) is not None)


CORRECT = Rubric(
    "correct",
    "whether an answer is right",
    "yes or no",
    _asks,
    yes_or_no,
    _words,
    labels=("answers.jsonl", "contains"),
)
