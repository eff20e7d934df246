"""Answers: what a model said in its own words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from repalign.errors import InputError, unknown
from repalign.examples import Example, Message
from repalign.metrics import Estimate, mean
from repalign.metrics.texts import distinct, repetition


@dataclass(frozen=True, eq=False)
class Answers:
    """Generated answers, in the order of the prompts."""

    asked: Sequence[Example]
    """What was asked, without an answer."""
    prompts: Sequence[str]
    """What the model read, template included."""
    texts: Sequence[str]
    """The answers without special tokens."""
    ids: Sequence[Sequence[int]]
    """The answers as tokens, without what ended them."""
    cut: Sequence[bool]
    """Whether an answer was cut off: it used up all the tokens it was allowed."""
    settings: Mapping[str, Any]
    """How it was generated."""
    origin: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Model, weights and what was written to it."""

    measures = ("length", "repetition")
    """What `items` and `estimate` know; `compare` takes the first unless told."""

    def __len__(self) -> int:
        """How many answers there are."""
        return len(self.texts)

    def __str__(self) -> str:
        """One line, empty and cut answers included."""
        return (
            f"{len(self)} answers: length {self.length}, repetition {self.repetition}; "
            f"{self.empty} empty, {sum(self.cut)} cut"
        )

    @property
    def questions(self) -> tuple[str, ...]:
        """The words of the last turn of each prompt."""
        return tuple(example.messages[-1].content for example in self.asked)

    @property
    def tokens(self) -> Int[np.ndarray, " answer"]:
        """How many tokens each answer has."""
        return np.array([len(row) for row in self.ids])

    @property
    def empty(self) -> int:
        """How many answers say nothing."""
        return sum(not text.strip() for text in self.texts)

    @property
    def length(self) -> Estimate:
        """The mean number of tokens. Cut answers would have been longer."""
        return self.estimate("length")

    @property
    def repetition(self) -> Estimate:
        """The mean share of 4-grams of tokens that occurred before in their answer."""
        return self.estimate("repetition")

    def distinct(self, n: int = 2) -> Estimate:
        """Different n-grams of tokens over all n-grams, of all answers together.

        Raises:
            InputError: no answer has n tokens.
        """
        return distinct([list(row) for row in self.ids], n, self.groups)

    @property
    def groups(self) -> np.ndarray:
        """The group of each prompt; a prompt without one is its own."""
        return np.array([one.group or f"prompt {i}" for i, one in enumerate(self.asked)])

    @property
    def keys(self) -> Sequence[Any]:
        """What has to agree for a comparison."""
        settings = repr(sorted(self.settings.items()))
        return tuple((example.messages, example.group, settings) for example in self.asked)

    def items(self, what: str = "length") -> Float[np.ndarray, " answer"]:
        """One value an answer.

        Args:
            what: `length` in tokens, or `repetition` of 4-grams of tokens.
        """
        if what == "length":
            return self.tokens.astype(np.float64)
        if what == "repetition":
            return np.array([repetition(list(row)) for row in self.ids])
        raise unknown("measure", what, self.measures)

    def estimate(self, what: str = "length") -> Estimate:
        """The mean over answers, resampled by group."""
        return mean(self.items(what), self.groups)

    def examples(self) -> list[Example]:
        """Each prompt with its answer, as an example to be read; empty answers are left out.

        Raises:
            InputError: all answers are empty.
        """
        found = []
        for example, text in zip(self.asked, self.texts, strict=True):
            if not text.strip():
                continue
            if example.is_chat:
                messages = (*example.messages, Message("assistant", text))
            else:
                messages = (Message("text", example.messages[0].content + text),)
            found.append(replace(example, messages=messages))
        if not found:
            raise InputError(f"All {len(self)} answers are empty: there is nothing to read.")
        return found

    def shown(self, index: int = 0) -> str:
        """The exact prompt and the answer, as text."""
        end = "… (cut off)" if self.cut[index] else ""
        return f"{self.prompts[index]}→ {self.texts[index]}{end}"

    def to_json(self) -> dict[str, Any]:
        """As plain data, with a row for each answer."""
        return {
            **dict(self.origin),
            "settings": {name: _plain(value) for name, value in self.settings.items()},
            **{name: self.estimate(name).to_json() for name in self.measures},
            "empty": self.empty,
            "cut": sum(self.cut),
            "answers": [
                {"prompt": prompt, "group": group, "text": text, "tokens": len(ids), "cut": cut}
                for prompt, group, text, ids, cut in zip(
                    self.prompts, self.groups.tolist(), self.texts, self.ids, self.cut, strict=True
                )
            ],
        }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)
