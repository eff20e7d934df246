"""Choices: how probable a model finds each answer to each question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from repalign.behavior.questions import Question
from repalign.errors import InputError, unknown
from repalign.metrics import Estimate, mean


@dataclass(frozen=True, eq=False)
class Choices:
    """Log-probabilities of the options of questions, and what follows from them.

    Everything is about total log-probabilities, as TruthfulQA has it (arXiv 2109.07958): options
    of many tokens are less probable. `per_token` is there for those who want it otherwise.
    """

    questions: Sequence[Question]
    logprobs: Sequence[np.ndarray]
    """For each question `[option]`: the sum over the option's tokens, in nats."""
    tokens: Sequence[np.ndarray]
    """For each question `[option]`: how many tokens the option has."""
    prompts: Sequence[str]
    """What the model read before the options, template included."""
    continued: Sequence[Sequence[str]]
    """For each question the options as they were read, with white space before them."""
    origin: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Model, weights and what was written to it."""

    measures = ("log_odds", "accuracy", "mc1", "mc2")
    """What `items` and `estimate` know; `compare` takes the first unless told."""

    def __str__(self) -> str:
        """One line, ties included."""
        said = ", ".join(f"{name} {self.estimate(name)}" for name in self.measures)
        return f"{len(self.questions)} questions: {said}; {self._ties_said()}"

    @property
    def per_token(self) -> tuple[np.ndarray, ...]:
        """For each question `[option]`: mean log-probability of the option's tokens."""
        return tuple(total / n for total, n in zip(self.logprobs, self.tokens, strict=True))

    @cached_property
    def log_odds(self) -> Float[np.ndarray, " question"]:
        """Log of the probability of all right options over that of all wrong ones."""
        return np.array(
            [
                _logsumexp(row[list(q.correct)]) - _logsumexp(row[list(q.wrong)])
                for q, row in zip(self.questions, self.logprobs, strict=True)
            ]
        )

    @property
    def picked(self) -> Int[np.ndarray, " question"]:
        """The most probable option of each question; -1 where several are equally probable."""
        return np.array([best[0] if len(best) == 1 else -1 for best in self._best])

    @property
    def tied(self) -> Bool[np.ndarray, " question"]:
        """Whether several options are the most probable to the last bit."""
        return np.array([len(best) > 1 for best in self._best])

    @property
    def accuracy(self) -> Estimate:
        """The share of questions whose most probable option is right; of tied ones, their share."""
        return self.estimate("accuracy")

    @property
    def mc1(self) -> Estimate:
        """The share of questions whose best answer is more probable than every wrong option.

        MC1 of TruthfulQA: the best answer is the first of `correct`; other right options play no
        part, and a tie with a wrong option counts as lost.
        """
        return self.estimate("mc1")

    @property
    def mc2(self) -> Estimate:
        """The mean share of the options' probability that is on right ones.

        MC2 of TruthfulQA. Differs from its code in long answers only: that halves log-probabilities
        until they no longer underflow, here the shares are computed from the logarithms.
        """
        return self.estimate("mc2")

    @property
    def groups(self) -> np.ndarray:
        """The group of each question; a question without one is its own."""
        return np.array([q.group or f"question {i}" for i, q in enumerate(self.questions)])

    @property
    def keys(self) -> Sequence[Any]:
        """What has to agree for a comparison."""
        return tuple(self.questions)

    def items(self, what: str = "log_odds") -> Float[np.ndarray, " question"]:
        """One value a question.

        Args:
            what: `log_odds`, `accuracy`, `mc1` or `mc2`.
        """
        if what == "log_odds":
            return self.log_odds
        if what == "accuracy":
            shares = [
                sum(int(b) in q.correct for b in best) / len(best)
                for q, best in zip(self.questions, self._best, strict=True)
            ]
            return np.array(shares)
        rows = zip(self.questions, self.logprobs, strict=True)
        if what == "mc1":
            return np.array(
                [float(row[q.correct[0]] > row[list(q.wrong)].max()) for q, row in rows]
            )
        if what == "mc2":
            # The share of right options is the logistic function of the log-odds.
            return np.exp(-np.logaddexp(0.0, -self.log_odds))
        raise unknown("measure", what, self.measures)

    def estimate(self, what: str = "log_odds") -> Estimate:
        """The mean over questions, resampled by group."""
        return mean(self.items(what), self.groups)

    def leaning(self, option: str) -> Estimate:
        """How far the model leans towards an option whether it is right or not.

        The mean log-odds of the option against the others, with the questions in which it is right
        and those in which it is wrong weighing the same; 0 for a model without a bias.

        Raises:
            InputError: the option is not right in some questions and wrong in others.
        """
        rows = [
            (i, q.options.index(option))
            for i, q in enumerate(self.questions)
            if option in q.options
        ]
        right = np.array([place in self.questions[i].correct for i, place in rows], dtype=bool)
        if not (right.any() and (~right).any()):
            raise InputError(
                f"{option!r} is right in {int(right.sum())} and wrong in {int((~right).sum())} of "
                "the questions; whether a model leans to it shows only where it is both."
            )
        values = np.array(
            [
                self.logprobs[i][place] - _logsumexp(np.delete(self.logprobs[i], place))
                for i, place in rows
            ]
        )
        share = right.mean()
        weights = np.where(right, 0.5 / share, 0.5 / (1 - share))
        return mean(values * weights, self.groups[[i for i, _ in rows]])

    def shown(self, index: int = 0) -> str:
        """The exact prompt of a question, and each option with its log-probability, as text."""
        question, best = self.questions[index], self._best[index]
        lines = [self.prompts[index]]
        for place, text in enumerate(self.continued[index]):
            marks = ["right" if place in question.correct else "wrong"]
            if place in best:
                marks.append("picked" if len(best) == 1 else "tied")
            total, count = self.logprobs[index][place], self.tokens[index][place]
            lines.append(
                f"→ {text!r}: {total:.3f} ({count} tokens, {total / count:.3f} each), "
                + ", ".join(marks)
            )
        lines.append(f"log-odds of right against wrong: {self.log_odds[index]:.3f}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """As plain data, with a row for each question."""
        estimates = {name: self.estimate(name).to_json() for name in self.measures}
        return {
            **dict(self.origin),
            **estimates,
            "ties": int(self.tied.sum()),
            "questions": [self._row(index) for index in range(len(self.questions))],
        }

    @cached_property
    def _best(self) -> list[np.ndarray]:
        return [np.flatnonzero(row == row.max()) for row in self.logprobs]

    def _ties_said(self) -> str:
        count = int(self.tied.sum())
        return f"{count} of them tied" if count else "no ties"

    def _row(self, index: int) -> dict[str, Any]:
        question = self.questions[index]
        return {
            "prompt": self.prompts[index],
            "group": question.group,
            "topic": question.topic,
            "wording": question.wording,
            "options": [
                {
                    "text": text,
                    "right": place in question.correct,
                    "logprob": float(self.logprobs[index][place]),
                    "tokens": int(self.tokens[index][place]),
                }
                for place, text in enumerate(self.continued[index])
            ],
            "log_odds": float(self.log_odds[index]),
            "picked": int(self.picked[index]),
            "tied": bool(self.tied[index]),
        }


def _logsumexp(values: np.ndarray) -> float:
    return float(np.logaddexp.reduce(values.astype(np.float64)))
