"""Questions with answers to choose from, of which some are right."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repalign.datasets import load
from repalign.datasets.builtin import BUILTIN_TOPICS
from repalign.errors import InputError
from repalign.examples import Example, Message

_WANTED = ("question", "answer", "alternative")
_ASKED = "Is this statement true or false? {}"
# Negated around the statement, not inside it: a user's statement is never reworded.
_DENIED = 'The claim "{}" is wrong.'


@dataclass(frozen=True)
class Question:
    """What is asked, the answers to choose from, and which of them are right.

    Example:
        >>> Question("Two is smaller than", ("nine", "one"), (0,)).example.is_chat
        False
    """

    messages: str | Sequence[Message | Mapping[str, str]]
    """A conversation that ends in the user's turn, or a plain text that an option goes on."""
    options: tuple[str, ...]
    correct: tuple[int, ...]
    """Which options are right; the first of them is the best answer, which MC1 is about."""
    group: str = ""
    """Questions of one group are not independent: intervals resample groups."""
    topic: str = ""
    wording: str = ""
    """`affirmed` or `negated`, where a statement is asked about in both ways."""

    def __post_init__(self) -> None:
        """Refuse what can only be a mistake."""
        object.__setattr__(self, "messages", turns(self.messages))
        if isinstance(self.options, str):
            raise InputError(f"Options are several texts; one was given: {self.options!r}.")
        object.__setattr__(self, "options", tuple(self.options))
        object.__setattr__(self, "correct", tuple(self.correct))
        shown = f"The question {self.example.messages[-1].content[:60]!r}"
        if self.example.messages[-1].role not in ("user", "text"):
            raise InputError(
                f"{shown} ends in a turn of role {self.example.messages[-1].role!r}; options "
                "answer the user's turn."
            )
        if any(not option.strip() for option in self.options):
            raise InputError(f"{shown} has a blank option.")
        if len(set(self.options)) < len(self.options):
            raise InputError(f"{shown} has one option twice: {list(self.options)}.")
        right = set(self.correct)
        if not right <= set(range(len(self.options))) or len(right) < len(self.correct):
            raise InputError(
                f"{shown} has {len(self.options)} options, and {list(self.correct)} are said to be "
                "right; give each right one's place once, from 0."
            )
        if not 0 < len(right) < len(self.options):
            raise InputError(f"{shown} needs a right and a wrong option, at least one of each.")

    @property
    def example(self) -> Example:
        """The question alone, as it is rendered."""
        return Example(turns(self.messages), group=self.group)

    @property
    def wrong(self) -> tuple[int, ...]:
        """Which options are wrong."""
        return tuple(i for i in range(len(self.options)) if i not in self.correct)


def turns(messages: str | Sequence[Message | Mapping[str, str]]) -> tuple[Message, ...]:
    """A plain text, or messages with `role` and `content`, as the messages of an example.

    Raises:
        InputError: something else.
    """
    if isinstance(messages, str):
        return (Message("text", messages),)
    found = []
    for message in messages:
        try:
            one: Any = message
            role, content = (
                (one["role"], one["content"]) if isinstance(message, Mapping) else Message(*one)
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"A message has a role and a content; given: {message!r}.") from error
        found.append(Message(role, content))
    return tuple(found)


def questions(
    source: str | Iterable[Example], *, system: str | None = None, chat: bool = True
) -> list[Question]:
    """Make one question of each distinct question in a data set.

    Args:
        source: a data set or its name; the name of a built-in topic stands for its questions, so
            `cities` is `cities_qa`. `meta` has to hold `question`, its right `answer` and a wrong
            `alternative`.
        system: words in front of every question, such as a persona: a system turn.
        chat: ask in a chat turn. Without it, for models that have no chat template, the question
            is the plain text `Question: … Answer:`.

    Returns:
        Questions in their order there, with group and topic. Options are in an order that depends
        on their words alone, so their place says nothing.

    Raises:
        InputError: an example lacks one of the three, or a question has two right answers.
    """
    if isinstance(source, str) and source in BUILTIN_TOPICS:
        source = f"{source}_qa"
    rows = _rows(source)
    lacking = [i for i, row in enumerate(rows) if any(name not in row.meta for name in _WANTED)]
    if lacking:
        raise InputError(
            f"{len(lacking)} of {len(rows)} examples (the first is number {lacking[0]}) lack one "
            f"of {', '.join(_WANTED)} in meta. Data sets that end in _qa have them; statements "
            "with labels become questions with true_or_false(...)."
        )
    found: dict[str, Question] = {}
    answers: dict[str, str] = {}
    for row in rows:
        question, answer, alternative = (row.meta[name] for name in _WANTED)
        if answers.setdefault(question, answer) != answer:
            raise InputError(
                f"The question {question!r} has two right answers, {answers[question]!r} and "
                f"{answer!r}. Keep one of them, or build Question(...) with both."
            )
        options = tuple(sorted((answer, alternative), key=lambda option: _number(question, option)))
        if question not in found:
            found[question] = Question(
                _put(question, system, chat),
                options,
                (options.index(answer),),
                row.group,
                row.topic,
            )
    return list(found.values())


def true_or_false(
    source: str | Iterable[Example], *, system: str | None = None, chat: bool = True
) -> list[Question]:
    """Ask of each labelled statement whether it is true or false, in two wordings.

    The second wording asks about the claim that the statement is wrong, so the right answer to it
    is the other one. A model that leans towards `True` whatever is asked gains in one wording what
    it loses in the other; `Choices.leaning("True")` says how far it leans.

    Args:
        source: statements, plain texts with labels, or the name of such a data set.
        system: words in front of every question, such as a persona: a system turn.
        chat: ask in a chat turn; see `questions`.

    Returns:
        Two questions of one group for each statement, `wording` affirmed and negated.

    Raises:
        InputError: no statements, a conversation, or a statement without a label.
    """
    found = []
    for index, row in enumerate(_rows(source)):
        if row.is_chat or row.label is None:
            what = "is a conversation" if row.is_chat else "has no label"
            raise InputError(
                f"Example {index} ({row.text[:60]!r}) {what}; true_or_false asks about plain "
                "statements with a label."
            )
        for wording, said, correct in (
            ("affirmed", row.text, 1 - row.label),
            ("negated", _DENIED.format(row.text), row.label),
        ):
            found.append(
                Question(
                    _put(_ASKED.format(said), system, chat),
                    ("True", "False"),
                    (correct,),
                    row.group or f"statement {index}",
                    row.topic,
                    wording,
                )
            )
    return found


def _rows(source: str | Iterable[Example]) -> list[Example]:
    rows = load(source, require_labels=False) if isinstance(source, str) else list(source)
    if not rows:
        raise InputError("No examples were given to make questions of.")
    return rows


def _put(question: str, system: str | None, chat: bool) -> str | tuple[Message, ...]:
    if not chat:
        return ("" if system is None else f"{system}\n\n") + f"Question: {question}\nAnswer:"
    before = () if system is None else (Message("system", system),)
    return (*before, Message("user", question))


def _number(question: str, option: str) -> bytes:
    return hashlib.sha256(f"{question}\n{option}".encode()).digest()
