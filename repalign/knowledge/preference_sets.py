"""Preference sets in two stages: honest first, then honest and good (HonestLLM, 2406.00380).

Rows are in TRL's conversational format with an explicit prompt, for DPO; the authors add a loss on
the chosen answer and merge the first stage before the second. The paper says which answers are
chosen and rejected, not how they are paired: here each answer of a prompt is used at most once, in
an order drawn by chance.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from repalign.errors import InputError, unknown
from repalign.examples import Example, Message
from repalign.knowledge.training_sets import Row
from repalign.knowledge.training_sets import save as save

STAGES = ("honest", "quality", "direct")
MOST = 1000
"""Rows of a stage, as in the authors' settings."""
THRESHOLD = 6.0
"""The authors tried 5, 6 and 7; which is best was not said where we looked, so it is ours."""
Prompt = tuple[Message, ...]


@dataclass(frozen=True)
class Rated:
    """An answer with what judges said of it."""

    prompt: Example
    """Without the answer."""
    answer: str
    honest: float | None
    """The ruling by the rubric `admits`, 1 or 0; None where there is none."""
    quality: float | None = None
    """The ruling by the rubric `h2`, 1 to 10; None where there is none."""


def preferences(
    rated: Sequence[Rated],
    stage: str,
    *,
    threshold: float | int = THRESHOLD,
    most: int = MOST,
    seed: int = 0,
) -> list[Row]:
    """Make pairs of a chosen and a rejected answer to the same prompt.

    - `honest`, the first stage: an honest answer is chosen over one that is not.
    - `quality`, the second: of honest answers, one of at least the threshold over one below.
    - `direct`, a baseline: both together.

    Args:
        rated: answers, several to a prompt; of equal ones to a prompt the first counts.
        stage: one of these.
        threshold: of the second stage.
        most: rows of each stage at most, drawn by chance.
        seed: of pairing and drawing.

    Returns:
        Rows with `prompt`, `chosen` and `rejected`, for `save`; prompts in their order.

    Raises:
        InputError: no answers, a stage that does not exist or has no pair, or a number out of
            range.

    Example:
        >>> asked = Example.of_chat("Open the window.")
        >>> some = [Rated(asked, "I have no hands.", 1.0), Rated(asked, "It is open.", 0.0)]
        >>> preferences(some, "honest")[0]["chosen"]
        [{'role': 'assistant', 'content': 'I have no hands.'}]
    """
    if not rated:
        raise InputError("No answers were given.")
    if stage not in STAGES:
        raise unknown("stage", stage, STAGES)
    if not 1 < threshold <= 10 or most < 1:
        raise InputError(
            f"Quality is from 1 to 10, so a threshold is above 1 and at most 10, and a stage has "
            f"one row or more; {threshold} and {most} were given."
        )
    generator = np.random.default_rng(seed)
    by_prompt = _by_prompt(rated)
    return [
        row
        for one in (STAGES[:2] if stage == "direct" else (stage,))
        for row in _stage(one, by_prompt, float(threshold), most, generator)
    ]


def _by_prompt(rated: Sequence[Rated]) -> dict[Prompt, list[Rated]]:
    found: dict[Prompt, dict[str, Rated]] = {}
    for one in rated:
        found.setdefault(one.prompt.messages, {}).setdefault(one.answer.strip(), one)
    return {prompt: list(answers.values()) for prompt, answers in found.items()}


def _stage(
    stage: str,
    by_prompt: dict[Prompt, list[Rated]],
    threshold: float,
    most: int,
    generator: np.random.Generator,
) -> list[Row]:
    pairs: list[Row] = []
    totals = np.zeros(3, dtype=int)
    for prompt, answers in by_prompt.items():
        sides = [_side(one, stage, threshold) for one in answers]
        good, bad = (_drawn(answers, sides, side, generator) for side in (True, False))
        totals += len(good), len(bad), len(answers)
        pairs += [_row(prompt, one, two) for one, two in zip(good, bad, strict=False)]
    if not pairs:
        chosen, rejected, every = totals.tolist()
        kinds = {
            "honest": ("honest", "not"),
            "quality": (f"honest and of quality {threshold:g} or more", "honest and below"),
        }[stage]
        raise InputError(
            f"Stage {stage!r} has no pair. Of {every} answers to {len(by_prompt)} prompts {chosen} "
            f"are {kinds[0]}, {rejected} are {kinds[1]}, and {every - chosen - rejected} are "
            "neither or have no ruling; no prompt has one of each. Sample more answers to each"
            + ("." if stage == "honest" else ", or move the threshold.")
        )
    kept = sorted(generator.permutation(len(pairs))[:most].tolist())
    return [pairs[place] for place in kept]


def _side(one: Rated, stage: str, threshold: float) -> bool | None:
    """Whether an answer would be chosen or rejected; None where it is of no use."""
    if one.honest is None or not one.answer.strip():
        return None
    if stage == "honest":
        return one.honest > 0.5
    if one.honest <= 0.5 or one.quality is None:
        return None
    return one.quality >= threshold


def _drawn(
    answers: Sequence[Rated],
    sides: Iterable[bool | None],
    side: bool,
    generator: np.random.Generator,
) -> list[str]:
    of = [one.answer for one, where in zip(answers, sides, strict=True) if where is side]
    return [of[place] for place in generator.permutation(len(of))]


def _row(prompt: Prompt, chosen: str, rejected: str) -> Row:
    return {
        "prompt": [{"role": turn.role, "content": turn.content} for turn in prompt],
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
    }
