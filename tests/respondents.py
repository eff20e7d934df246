"""Respondents whose answers a test writes itself."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from repalign.answering import Replied, Reply, Settings
from repalign.examples import Example


@dataclass
class Scripted:
    """Answers by a function of the prompt; what it was asked is written down."""

    function: Callable[[Example], str | None]
    """None stands for an answer that does not come."""
    name: str = "scripted"
    asked: list[str] = field(default_factory=list)

    def origin(self) -> dict[str, Any]:
        return {"model": self.name}

    def replies(
        self, prompts: Sequence[Example], settings: Settings, skip: Collection[int] = ()
    ) -> Iterator[list[Replied]]:
        for place, prompt in enumerate(prompts):
            if place in skip:
                continue
            self.asked.append(prompt.messages[-1].content)
            replies = []
            for _ in range(settings.samples):
                text = self.function(prompt)
                replies.append(Reply(text, error=None if text is not None else "went away"))
            yield [Replied(place, replies)]
