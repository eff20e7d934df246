"""Example: one text or conversation with a label, and the group that must not be split."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from repalign.errors import InputError

ROLES = ("text", "system", "user", "assistant")


class Message(NamedTuple):
    """One turn. Role `text` is read verbatim, outside any chat template."""

    role: str
    content: str


@dataclass(frozen=True)
class Example:
    """One text or conversation.

    A contrast pair is two examples of one `group`, one with label 1 and one with label 0. Groups
    never straddle a split, and intervals resample groups, not rows.
    """

    messages: tuple[Message, ...]
    label: int | None = None
    """1 honest or true, 0 dishonest or false, None unknown."""
    group: str = ""
    meta: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Free strings; the library reads `topic` and `polarity` (`affirmed` or `negated`)."""

    def __post_init__(self) -> None:
        """Refuse what can only be a mistake."""
        if not self.messages:
            raise InputError("An example needs at least one message; this one has none.")
        roles = [message.role for message in self.messages]
        for role in roles:
            if role not in ROLES:
                raise InputError(f"Message role {role!r} is not one of {', '.join(ROLES)}.")
        if "text" in roles and len(roles) > 1:
            raise InputError(
                f"Role 'text' is a whole text by itself, but it stands beside {roles}. "
                "Use system, user and assistant for a conversation."
            )
        if all(not message.content.strip() for message in self.messages):
            raise InputError("An example needs some text; every message of this one is empty.")
        if self.label not in (None, 0, 1):
            raise InputError(f"A label is 1, 0 or None; this example has {self.label!r}.")

    @classmethod
    def of_text(
        cls, text: str, label: int | None = None, group: str = "", **meta: str
    ) -> "Example":
        """Make an example of a plain text that is read verbatim.

        Example:
            >>> Example.of_text("Two is smaller than nine.", 1, topic="numbers").text
            'Two is smaller than nine.'
        """
        return cls((Message("text", text),), label, group, MappingProxyType(meta))

    @classmethod
    def of_chat(
        cls,
        prompt: str,
        response: str | None = None,
        label: int | None = None,
        group: str = "",
        system: str | None = None,
        **meta: str,
    ) -> "Example":
        """Make an example of one exchange, rendered with the model's own chat template."""
        turns = [Message("system", system)] if system is not None else []
        turns.append(Message("user", prompt))
        if response is not None:
            turns.append(Message("assistant", response))
        return cls(tuple(turns), label, group, MappingProxyType(meta))

    @property
    def is_chat(self) -> bool:
        """Whether a chat template is needed to render it."""
        return self.messages[0].role != "text"

    @property
    def text(self) -> str:
        """The words alone, turns joined by a line break: for baselines and for display."""
        return "\n".join(message.content for message in self.messages)

    @property
    def topic(self) -> str:
        """The topic it belongs to, or the empty string."""
        return self.meta.get("topic", "")

    @property
    def polarity(self) -> int:
        """+1 for an affirmed statement, -1 for a negated one, 0 where it is not known."""
        return {"affirmed": 1, "negated": -1}.get(self.meta.get("polarity", ""), 0)


def labelled(examples: Iterable[Example]) -> list[Example]:
    """Return the examples as a list after checking that each has a label and both classes occur.

    Raises:
        InputError: an example without a label, or a single class.
    """
    rows = list(examples)
    missing = [index for index, example in enumerate(rows) if example.label is None]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(rows)} examples have no label (the first is number "
            f"{missing[0]}); a probe is fitted on examples labelled 1 or 0."
        )
    classes = {example.label for example in rows}
    if classes != {0, 1}:
        raise InputError(
            f"A probe needs examples of both labels, 1 and 0; {len(rows)} examples were given "
            f"with labels {sorted(str(label) for label in classes)}."
        )
    return rows


def limited(examples: Sequence[Example], max_groups: int, seed: int) -> list[Example]:
    """Keep at most `max_groups` groups, chosen by the names of the groups alone."""
    names = sorted({example.group for example in examples})
    if len(names) <= max_groups:
        return list(examples)
    # Each name draws its own number, so that data sets which share groups keep the same ones.
    drawn = sorted(names, key=lambda name: random.Random(f"{seed} {name}").random())
    kept = set(drawn[:max_groups])
    return [example for example in examples if example.group in kept]
