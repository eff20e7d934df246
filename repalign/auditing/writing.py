"""Writing: what training did to ordinary text, and to answers in the models' own words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from repalign.auditing.shift import Shift, of_means
from repalign.behavior import Answers, Reference, ask
from repalign.behavior.damage import perplexity_of
from repalign.examples import Example
from repalign.metrics import Estimate, cluster_codes
from repalign.metrics.estimate import bootstrapped
from repalign.models import LanguageModel

PROMPTS = 16
LONGEST = 48
"""Tokens of a free answer."""
TOKENS = 512
"""Of benign text."""


@dataclass(frozen=True)
class Writing:
    """Prices that have nothing to do with honesty."""

    kl: Estimate
    """KL(trained ‖ frozen) of the next token of benign text, in nats a token. Its tokens are the
    text's and not the model's own."""
    kl_worst: Estimate
    """Of the 5% of tokens that are hit hardest."""
    perplexity: Shift
    length: Shift
    """Tokens of a free answer, of which there are at most a fixed number."""
    repetition: Shift
    """Share of 4-grams of tokens that came before in their answer."""
    samples: tuple[tuple[str, str, str], ...]
    """Prompt, answer before and answer after."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        shifts = ("perplexity", "length", "repetition")
        return {
            "kl": self.kl.to_json(),
            "kl_worst": self.kl_worst.to_json(),
            **{name: getattr(self, name).to_json() for name in shifts},
            "samples": [list(sample) for sample in self.samples],
        }


def free_answers(model: LanguageModel, prompts: Sequence[str | Example]) -> Answers:
    """What a model answers, greedily."""
    return ask(model, prompts, max_new_tokens=LONGEST)


def write(
    before: LanguageModel,
    after: LanguageModel,
    benign: Sequence[Example],
    first: Answers,
    second: Answers,
    shown: int = 4,
) -> Writing:
    """Measure divergence and perplexity on benign text, and compare free answers.

    Args:
        before: the frozen model.
        after: the trained one.
        benign: ordinary texts.
        first: free answers of the frozen model.
        second: those of the trained one to the same prompts.
        shown: how many answers are kept to be shown.
    """
    # Damage is KL(reference ‖ other): with the trained model as reference, of tokens it would take.
    found = Reference.of(after, benign, max_tokens=TOKENS).damage(before)
    groups = found.target_groups
    asked = zip(first.questions, first.texts, second.texts, strict=True)
    return Writing(
        found.mean,
        found.worst,
        _perplexity(found.surprise, found.surprise_before, groups),
        of_means(first.items("length"), second.items("length"), first.groups),
        of_means(first.items("repetition"), second.items("repetition"), first.groups),
        tuple((prompt, one, two) for prompt, one, two in list(asked)[:shown]),
    )


def pairs_of(first: Answers, second: Answers) -> list[tuple[Example, Example]]:
    """The answers of both models to each prompt as texts to be read; empty ones are left out."""
    found = []
    for place in range(len(first)):
        both = [side.texts[place] for side in (first, second)]
        if all(text.strip() for text in both):
            found.append((_read(first, place), _read(second, place)))
    return found


def _read(answers: Answers, place: int) -> Example:
    asked = Answers(
        (answers.asked[place],),
        (answers.prompts[place],),
        (answers.texts[place],),
        (answers.ids[place],),
        (answers.cut[place],),
        answers.settings,
    )
    found = asked.examples()[0]
    return Example(found.messages, group=found.group or f"prompt {place}")


def _perplexity(before: np.ndarray, after: np.ndarray, groups: np.ndarray) -> Shift:
    codes = cluster_codes(groups, len(before))

    def statistic(weights: np.ndarray) -> np.ndarray:
        total = weights.sum(axis=1)
        return np.exp(weights @ after / total) - np.exp(weights @ before / total)

    return Shift(
        perplexity_of(before, groups), perplexity_of(after, groups), bootstrapped(statistic, codes)
    )
