"""Measuring: everything that one setting of a push does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from repalign import behavior
from repalign.examples import Example
from repalign.interventions import intervene
from repalign.metrics import Estimate, mean
from repalign.models import LanguageModel
from repalign.steering.calibrate import Push


@dataclass(frozen=True, eq=False)
class Bench:
    """What every setting is measured on."""

    questions: Sequence[behavior.Question]
    """With an honest and a dishonest answer each."""
    reference: behavior.Reference
    """Benign texts, as the model predicts them without a push."""
    benign: Sequence[Example]
    """Some of those texts, to compare the length of a push with that of states."""
    prompts: Sequence[Example] = ()
    """Benign requests that are answered freely; none leaves that out."""
    new_tokens: int = 32

    @classmethod
    def of(
        cls,
        model: LanguageModel,
        questions: Sequence[behavior.Question],
        benign: Sequence[Example],
        *,
        prompts: int = 16,
        new_tokens: int = 32,
        max_tokens: int = 512,
    ) -> "Bench":
        """Take the model's own predictions of benign texts as the reference.

        Args:
            model: with nothing written to it.
            questions: with an honest and a dishonest answer each.
            benign: ordinary chats; the requests of the first `prompts` are answered freely too.
            prompts: how many, spread over the list; 0 leaves free answers out.
            new_tokens: length of the free answers.
            max_tokens: tokens of the reference.
        """
        spread = [benign[i * len(benign) // prompts] for i in range(min(prompts, len(benign)))]
        asked = [
            Example(turns, group=one.group)
            for one in spread
            if (turns := tuple(turn for turn in one.messages if turn.role != "assistant"))
        ]
        mixed = _mixed(benign)
        reference = behavior.Reference.of(model, mixed, max_tokens=max_tokens)
        return cls(questions, reference, mixed[: reference.texts], asked, new_tokens)

    @property
    def groups(self) -> list[str]:
        """The group of each question."""
        return [question.group for question in self.questions]


@dataclass(frozen=True, eq=False)
class Point:
    """One coefficient and what it does."""

    coefficient: float
    choices: behavior.Choices
    damage: behavior.Damage
    answers: behavior.Answers | None

    @property
    def log_odds(self) -> Float[np.ndarray, " question"]:
        """Of the honest answer against the dishonest one, in nats."""
        return self.choices.log_odds

    @property
    def behaviour(self) -> Float[np.ndarray, " question"]:
        """Probability of the honest answer less that of the dishonest one, of the two: -1 to 1."""
        return np.tanh(self.log_odds / 2)

    @property
    def helpfulness(self) -> Float[np.ndarray, " target"]:
        """Probability of each token of the benign texts after what stands before it."""
        return np.exp(-self.damage.surprise)

    def effect(self, plain: "Point") -> Estimate:
        """Paired difference of log-odds to the model without a push."""
        return behavior.compare(self.choices, plain.choices)

    def to_json(self, plain: "Point") -> dict[str, Any]:
        """As plain data."""
        found: dict[str, Any] = {
            "coefficient": self.coefficient,
            "effect": self.effect(plain).to_json(),
            "log_odds": mean(self.log_odds, self.choices.groups).to_json(),
            "behaviour": mean(self.behaviour, self.choices.groups).to_json(),
            "helpfulness": mean(self.helpfulness, self.damage.target_groups).to_json(),
            "accuracy": self.choices.accuracy.to_json(),
            "worst_kl": self.damage.worst.to_json(),
            "mean_kl": self.damage.mean.to_json(),
            "perplexity": self.damage.perplexity.to_json(),
        }
        if self.answers is not None:
            refusals = behavior.rate(self.answers, behavior.refuses)
            found |= {
                "repetition": self.answers.repetition.to_json(),
                "length": self.answers.length.to_json(),
                "false_refusals": refusals.estimate().to_json(),
            }
        return found


def _mixed(texts: Sequence[Example]) -> list[Example]:
    """The same texts in an order that takes from everywhere first: lists are sorted by kind."""
    return [texts[i] for i in np.random.default_rng(0).permutation(len(texts))]


def measure(model: LanguageModel, push: Push, coefficient: float, bench: Bench) -> Point:
    """Measure one setting; at a coefficient of 0 the model as it is."""
    if coefficient == 0:
        return _measured(model, 0.0, bench)
    with intervene(model, push(coefficient)):
        return _measured(model, coefficient, bench)


def _measured(model: LanguageModel, coefficient: float, bench: Bench) -> Point:
    choices = behavior.choose(model, bench.questions)
    answers = (
        behavior.ask(model, bench.prompts, max_new_tokens=bench.new_tokens)
        if bench.prompts
        else None
    )
    return Point(coefficient, choices, bench.reference.damage(), answers)
