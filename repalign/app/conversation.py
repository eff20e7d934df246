"""Conversation: what was said, answered twice, steered and plain, every token with its score."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from repalign.errors import InputError
from repalign.examples import Message
from repalign.monitoring import TokenScore, Watched

Column = Literal["steered", "plain"]
LONGEST = 2000
"""Tokens of one answer at most."""


@dataclass(frozen=True)
class Settings:
    """What is done to the model while it writes the steered answer."""

    coefficient: float = 0.0
    """Multiples of `direction.scale` that are added at the direction's site, at every position of
    prompt and answer; 0 adds nothing."""
    ablate: bool = False
    """Whether the direction is removed from whatever enters the residual stream."""
    max_new_tokens: int = 96

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, and a push that would be removed again."""
        if not math.isfinite(self.coefficient):
            raise InputError(f"A coefficient is a finite number; {self.coefficient} was given.")
        if self.ablate and self.coefficient:
            raise InputError(
                f"Ablation would remove what a coefficient of {self.coefficient:g} adds. Set the "
                "coefficient to 0, or switch ablation off."
            )
        if not 1 <= self.max_new_tokens <= LONGEST:
            raise InputError(
                f"An answer has at most 1 to {LONGEST} tokens; {self.max_new_tokens} were given."
            )


_NOTHING = Watched((), None, None)


@dataclass(frozen=True)
class Answer:
    """One answer, or what there is of it so far."""

    watched: Watched = _NOTHING
    """Its tokens, with their scores one by one and as a whole."""
    finished: bool = False
    """False while it is being written, and for good when it was stopped."""

    @property
    def text(self) -> str:
        """What the tokens say: the turn that later prompts hold."""
        return self.watched.text


@dataclass(frozen=True)
class Turn:
    """A message, and both answers to it."""

    message: str
    settings: Settings
    steered: Answer = Answer()
    plain: Answer = Answer()


@dataclass(frozen=True)
class Conversation:
    """Turns in order. Each column is a conversation of its own: it goes on from its own answers."""

    turns: tuple[Turn, ...] = ()

    def messages(self, column: Column) -> list[Message]:
        """What was said in one column, user and assistant in turns.

        A turn without an answer, because it was stopped before its first word, is left out: chat
        templates refuse two messages of the user in a row.
        """
        found: list[Message] = []
        for turn in self.turns:
            text = (turn.steered if column == "steered" else turn.plain).text
            if text.strip():
                found += [Message("user", turn.message), Message("assistant", text)]
        return found

    def record(self) -> list[dict[str, Any]]:
        """As plain data, from which `of_record` makes an equal conversation."""
        return [
            {
                "message": turn.message,
                "settings": asdict(turn.settings),
                "steered": _recorded(turn.steered),
                "plain": _recorded(turn.plain),
            }
            for turn in self.turns
        ]

    @classmethod
    def of_record(cls, record: Sequence[Mapping[str, Any]]) -> "Conversation":
        """Make the conversation that `record` came from; entries of others are passed over."""
        return cls(
            tuple(
                Turn(
                    turn["message"],
                    Settings(**turn["settings"]),
                    _answer(turn["steered"]),
                    _answer(turn["plain"]),
                )
                for turn in record
            )
        )


def _recorded(answer: Answer) -> dict[str, Any]:
    return {"text": answer.text, "finished": answer.finished, **asdict(answer.watched)}


def _answer(record: Mapping[str, Any]) -> Answer:
    tokens = tuple(TokenScore(**token) for token in record["tokens"])
    return Answer(Watched(tokens, record["score"], record["flagged"]), record["finished"])
