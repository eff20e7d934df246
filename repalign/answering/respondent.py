"""Respondent: whatever answers prompts, a model in this process or one behind a server."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from repalign.answering.reply import Reply, Settings
from repalign.examples import Example


class Replied(NamedTuple):
    """The answers to one prompt."""

    prompt: int
    """Its place in the list."""
    replies: list[Reply]


@runtime_checkable
class Respondent(Protocol):
    """Answers prompts."""

    @property
    def name(self) -> str:
        """Of the model, as a person would know it."""
        ...

    def origin(self) -> dict[str, Any]:
        """What determines its answers besides prompts and settings, as plain data."""
        ...

    def replies(
        self, prompts: Sequence[Example], settings: Settings, skip: Collection[int] = ()
    ) -> Iterator[list[Replied]]:
        """Answer prompts.

        An answer depends on its prompt, its place in the list, and the settings; not on what is
        skipped.

        Args:
            prompts: conversations that end in the user's turn, or plain texts to go on.
            settings: how many answers, and how they are drawn.
            skip: places of prompts that are not to be answered.

        Yields:
            Batch by batch, in any order; each prompt that is not skipped once. A reply that did not
            come has an `error`.

        Raises:
            InputError: a prompt that cannot be answered, or nobody answers at all.
        """
        ...
