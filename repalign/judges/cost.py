"""calls(): what judging will cost, before anybody is asked."""

from collections.abc import Sequence
from typing import NamedTuple

from repalign.answering.cost import Cost, Price, guess
from repalign.answering.reply import Settings
from repalign.examples import Example
from repalign.judges.case import Case
from repalign.judges.rubric import Rubric


class Calls(NamedTuple):
    """What a judge that is a model would be asked."""

    prompts: int
    cost: Cost
    """Guessed, at most; see `repalign.answering.cost.guess`."""


def calls(rubric: Rubric, cases: Sequence[Case], price: Price | None = None) -> Calls:
    """Count what judging these cases asks for.

    The agreement of the judge costs as much again for `rubric.labelled()`.

    Args:
        rubric: what is judged.
        cases: what would be judged, one prompt each.
        price: dollars for a million tokens of prompts, and of answers.

    Example:
        >>> from repalign.judges import RUBRICS
        >>> calls(RUBRICS["declines"], [Case("Who?", "I do not know.")]).prompts
        1
    """
    prompts = [Example.of_chat(rubric.asks(case)) for case in cases]
    return Calls(len(cases), guess(prompts, Settings(max_new_tokens=rubric.max_new_tokens), price))
