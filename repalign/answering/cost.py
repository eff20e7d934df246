"""Cost: the tokens that a server counts, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from repalign.answering.reply import Settings
from repalign.examples import Example

Price = tuple[float | int, float | int]
"""Dollars for a million tokens of prompts, and of answers."""
_LETTERS = 4  # a token of English text has about so many


@dataclass(frozen=True)
class Cost:
    """Tokens of prompts and answers, as a server counted them or as guessed beforehand."""

    prompt_tokens: int = 0
    answer_tokens: int = 0
    price: Price | None = None
    guessed: bool = False
    """At most so many: tokens are guessed at 4 characters each, answers are as long as allowed."""
    uncounted: int = 0
    """Calls of which the server did not say how many tokens they took."""

    @property
    def dollars(self) -> float | None:
        """What the tokens cost; None where no price was given."""
        if self.price is None:
            return None
        return (self.prompt_tokens * self.price[0] + self.answer_tokens * self.price[1]) / 1e6

    def __str__(self) -> str:
        """One line."""
        said = f"{self.prompt_tokens} tokens of prompts and {self.answer_tokens} of answers"
        if self.dollars is not None:
            said += f", ${self.dollars:.4f}" if self.dollars < 1 else f", ${self.dollars:.2f}"
        if self.guessed:
            return f"at most about {said} (a guess: {_LETTERS} characters a token)"
        if self.uncounted:
            said += f", and {self.uncounted} calls whose tokens the server did not count"
        return said


def guess(prompts: Sequence[Example], settings: Settings, price: Price | None) -> Cost:
    """The most that answers may cost.

    Args:
        prompts: what is asked. Each counts once a sample, though some servers count it once.
        settings: every answer counts as long as it may be.
        price: dollars for a million tokens of prompts, and of answers.
    """
    letters = sum(len(turn.content) for prompt in prompts for turn in prompt.messages)
    return Cost(
        settings.samples * -(-letters // _LETTERS),
        settings.samples * len(prompts) * settings.max_new_tokens,
        price,
        guessed=True,
    )
