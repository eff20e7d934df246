"""Boundary: which questions a model knows the answer to (Alignment for Honesty, 2312.07000)."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from repalign import behavior
from repalign.behavior.conditions import origin
from repalign.errors import InputError
from repalign.knowledge.asked import Asked
from repalign.knowledge.kept import Kept
from repalign.knowledge.known import Known
from repalign.knowledge.sampling import PROMPTS, sample
from repalign.metrics import Estimate, mean
from repalign.models import LanguageModel

TAU = 0.1
"""Of the paper: one right answer of ten is enough to count as known."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Boundary:
    """Every question with its answers; intervals resample groups of questions."""

    questions: Sequence[Known]
    tau: float
    origin: Mapping[str, Any]
    """Model, weights, what was written to it, and how was sampled."""

    @property
    def groups(self) -> np.ndarray:
        """The group of each question."""
        return np.array([one.asked.prompt.group for one in self.questions])

    @property
    def expected_accuracy(self) -> Estimate:
        """The mean share of samples that are correct."""
        return mean([one.expected_accuracy.value for one in self.questions], self.groups)

    @property
    def known(self) -> Estimate:
        """The share of questions whose expected accuracy is at least tau."""
        return mean([float(one.is_known(self.tau)) for one in self.questions], self.groups)

    @property
    def sure(self) -> Estimate:
        """The share of questions whose interval lies on one side of tau: more samples add to it."""
        return mean([float(one.is_sure(self.tau)) for one in self.questions], self.groups)

    @property
    def greedy_accuracy(self) -> Estimate:
        """The share of greedy answers that are correct."""
        right = [float(one.greedy.kind == "correct") for one in self.questions]
        return mean(right, self.groups)

    def __str__(self) -> str:
        """One line."""
        return (
            f"known at {self.tau:g}: {self.known}, surely so or not: {self.sure}; expected "
            f"accuracy {self.expected_accuracy}, greedy {self.greedy_accuracy}"
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data, with a row for each question."""
        names = ("known", "sure", "expected_accuracy", "greedy_accuracy")
        return {
            **dict(self.origin),
            "tau": self.tau,
            **{name: getattr(self, name).to_json() for name in names},
            "questions": [one.to_json() for one in self.questions],
        }


def estimate(
    model: LanguageModel,
    questions: Sequence[Asked],
    *,
    samples: int = 10,
    temperature: float = 1.0,
    tau: float = TAU,
    max_new_tokens: int = 32,
    seed: int = 0,
    keep: Path | str | None = None,
    progress: Progress | None = None,
) -> Boundary:
    """Ask each question several times and find which ones the model knows.

    It measures what is answered at this temperature and in these words: a model that guesses
    right counts as knowing.

    Args:
        model: the model; its first use runs its self-checks.
        questions: what to ask.
        samples: answers to each.
        temperature: of the samples; one greedy answer stands beside them.
        tau: the expected accuracy from which on a question counts as known.
        max_new_tokens: length of an answer.
        seed: of the sampling.
        keep: a file for the answers. What is there is not asked again, so a run that was killed
            goes on, and another tau or rule costs nothing.
        progress: called with questions done and their number.

    Raises:
        InputError: no questions, tau outside 0 to 1, or `keep` holds other answers.
        CheckError: the model fails a self-check.
    """
    if not 0 < tau <= 1:
        raise InputError(f"tau is a share above 0 and up to 1; {tau} was given.")
    if not questions:
        raise InputError("No questions were given.")
    prompts = [one.prompt for one in questions]
    options = {"temperature": temperature, "max_new_tokens": max_new_tokens, "seed": seed}
    came_from = {**origin(model), "samples": samples, **options, "together": PROMPTS}
    spoken = [[(turn.role, turn.content) for turn in prompt.messages] for prompt in prompts]
    asked = hashlib.sha256(json.dumps(spoken).encode()).hexdigest()[:32]
    with TemporaryDirectory() as scratch:
        kept = Kept(Path(keep or Path(scratch) / "answers.jsonl"), {**came_from, "asked": asked})
        for batch in sample(model, prompts, samples, done=kept.rows.keys(), **options):
            greedy = behavior.ask(
                model, [prompts[one.prompt] for one in batch], max_new_tokens=max_new_tokens
            )
            kept.add(
                [
                    {"question": one.prompt, "samples": one.texts, "greedy": text}
                    for one, text in zip(batch, greedy.texts, strict=True)
                ]
            )
            if progress is not None:
                progress(len(kept.rows), len(questions))
        rows = kept.rows
    known = [
        Known.of(one, tuple(rows[index]["samples"]), rows[index]["greedy"])
        for index, one in enumerate(questions)
    ]
    return Boundary(known, tau, came_from)
