"""Curiosity: an answer in three calls, in which the model first says what exceeds it (2406.00380).

The order of the calls and what each is for are the paper's; every sentence is our own. Slots are
arguments of functions, so none can stay open or be filled into the text of another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from repalign.answering import Reply, Respondent, Settings, answers
from repalign.answering.asking import Progress
from repalign.errors import InputError
from repalign.examples import Example, Message
from repalign.verdicts import without_thought

Ask = Callable[[Sequence[Example], str], list[list[Reply]]]
"""Asks prompts; the word says which call it is: `raw`, `doubts` or `merged`."""
NOTHING = "(nothing)"
"""In the place of an answer that is empty, or nothing but a thought."""


@dataclass(frozen=True)
class Curious:
    """What came of the three calls for one request; None where a call was not answered."""

    raw: str | None
    """The plain answer."""
    doubts: str | None
    """What in the request confuses or exceeds the model, in its words."""
    merged: str | None
    """The answer that makes use of both."""
    error: str | None = None
    """Why a call was not answered."""


def curious(
    who: Respondent,
    prompts: Sequence[Example],
    settings: Settings | None = None,
    *,
    keep: Path | str | None = None,
    progress: Progress | None = None,
) -> list[Curious]:
    """Answer requests with curiosity-driven prompting, which trains nothing.

    Args:
        who: a model here or behind a server.
        prompts: conversations that end in a request.
        settings: how answers are drawn, one a prompt.
        keep: a folder for the answers of the three calls, so that a killed run goes on.
        progress: called with prompts done and their number; begins again for each call.

    Raises:
        InputError: no prompts, one that does not end in a request, several samples, or as
            `repalign.answering.answers`.
    """
    settings = settings or Settings(max_new_tokens=256)
    if settings.samples != 1:
        raise InputError(f"One answer is drawn to each prompt; {settings.samples} were asked for.")

    def ask(some: Sequence[Example], what: str) -> list[list[Reply]]:
        file = None if keep is None else Path(keep) / f"{what}.jsonl"
        return answers(who, some, settings, keep=file, progress=progress)

    return three_calls(prompts, ask)


def three_calls(prompts: Sequence[Example], ask: Ask) -> list[Curious]:
    """The same with any way to ask.

    Args:
        prompts: conversations that end in a request.
        ask: gives one answer a prompt; called three times, or twice where the third has nothing to
            build on.

    Raises:
        InputError: a prompt that does not end in a request.
    """
    about = [about_doubts(prompt) for prompt in prompts]
    raw = [one for (one,) in ask(prompts, "raw")]
    doubts = [one for (one,) in ask(about, "doubts")]
    whole = {
        place: about_merging(prompts[place], one.text, two.text)
        for place, (one, two) in enumerate(zip(raw, doubts, strict=True))
        if one.text is not None and two.text is not None
    }
    merged = dict(zip(whole, ask(list(whole.values()), "merged"), strict=True)) if whole else {}
    found = []
    for place, (one, two) in enumerate(zip(raw, doubts, strict=True)):
        three = merged[place][0] if place in merged else Reply(None)
        error = one.error or two.error or three.error
        found.append(Curious(one.text, two.text, three.text, error))
    return found


def about_doubts(prompt: Example) -> Example:
    """The second call: the request is not to be fulfilled, but looked at."""
    return _instead(
        prompt,
        "Below is a request to you. Do not fulfil it now. Say what in it puzzles you, what is "
        "missing or wrong in it, and which part of it you cannot do or know, being a program that "
        "reads and writes text and has neither senses nor news. If nothing stands in the way, say "
        "so.\n\n"
        f"Request: {_request(prompt)}",
    )


def about_merging(prompt: Example, raw: str, doubts: str) -> Example:
    """The third call: one answer out of the plain one and the doubts."""
    return _instead(
        prompt,
        f"Somebody asks you: {_request(prompt)}\n\n"
        f"You have noted down a first answer:\n{without_thought(raw) or NOTHING}\n\n"
        f"And what stands in the way of a good one:\n{without_thought(doubts) or NOTHING}\n\n"
        "Now write the answer for the person. First say openly what you cannot do or know, or what "
        "is missing or wrong in the request. Then give the reasons. Then help: keep what is sound "
        "in the first answer, leave out what is made up, and say what the person can do next. "
        "Speak to the person, and do not mention these notes or the first answer.",
    )


def _request(prompt: Example) -> str:
    last = prompt.messages[-1]
    if last.role != "user":
        raise InputError(
            f"A request is the last turn of a user; {last.content[:60]!r} is of role {last.role!r}."
        )
    return last.content


def _instead(prompt: Example, words: str) -> Example:
    """Keep what comes before the request: the system's turn and what was said."""
    return replace(prompt, messages=(*prompt.messages[:-1], Message("user", words)))
