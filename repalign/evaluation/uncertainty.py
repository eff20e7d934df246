"""Uncertainty: does the model know when it is wrong?

Every measure of how unsure a model is of its greedy answer, against whether that is wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from repalign.evaluation.asking import questions
from repalign.evaluation.cross_encoder import chosen
from repalign.evaluation.judging import judged_by, lacking
from repalign.evaluation.meaning import Entailment, Lexical, Similarity
from repalign.evaluation.outcome import Item, Outcome
from repalign.evaluation.sampling import BRIEFLY, Sampled, sampled
from repalign.evaluation.setting import Setting
from repalign.evaluation.unsure import QUANTILE, SCORES, WHY_NOT
from repalign.metrics import Estimate, auroc, mean
from repalign.metrics.deferral import deferral_area
from repalign.metrics.rejection import prr
from repalign.metrics.reliability import calibration_error

CONFIDENCES: dict[str, Callable[[float], float]] = {
    "p(true)": lambda unsure: 1 - unsure,
    "g-nll": lambda unsure: float(np.exp(-unsure)),
    "disagreement": lambda unsure: 1 - unsure,
}
"""Scores that stand for a probability of being right, and that probability."""
DEFERRED = ("g-nll", "perplexity", "token quantile")
"""By which a cascade hands answers over (arXiv 2404.10136)."""
_DRAWS = 20
_NONE = "no answer is right or wrong"


def evaluate(setting: Setting) -> Outcome:
    """Ask questions greedily and by sampling, and see which scores are high where it is wrong.

    Args:
        setting: who is asked, on what.

    Raises:
        InputError: no data, nobody answers, or no such model of similarity or entailment.
    """
    similarity, entailment = chosen(setting)
    found = sampled(
        setting,
        questions(setting),
        "uncertainty",
        similarity=similarity,
        entailment=entailment,
    )
    claims = [one for one in found if one.is_claim]
    groups = [one.answered.asked.prompt.group for one in claims]
    figures: dict[str, Estimate | None] = {
        "accuracy": mean([one.right == 1 for one in claims], groups) if claims else None
    }
    missing = {} if claims else {"accuracy": _NONE}
    drawn = [one for one in found if one.expected_accuracy is not None]
    if drawn:
        figures["expected accuracy"] = mean(
            [float(one.expected_accuracy or 0.0) for one in drawn],
            [one.answered.asked.prompt.group for one in drawn],
        )
    for name in SCORES:
        have = [one for one in claims if name in one.scores]
        told = figures_of(
            name,
            Ranked.of(have, [one.scores[name] for one in have]),
            WHY_NOT[name] if claims else _NONE,
        )
        figures |= told.figures
        missing |= told.missing
    length = ranking_of("length", Ranked.of(claims, [one.length for one in claims]), _NONE)
    chance = by_chance("chance", Ranked.of(claims, [0.0] * len(claims)), setting.seed)
    controls = {**length.figures, **chance.figures}
    missing |= length.missing | chance.missing
    return Outcome(
        figures,
        tuple(_item(one) for one in found),
        controls,
        missing,
        _counts(found),
        judged_by(setting),
        notes(similarity, entailment),
    )


@dataclass(frozen=True)
class Ranked:
    """One score of some answers, beside whether they are right."""

    values: Sequence[float]
    right: Sequence[float]
    groups: Sequence[str]

    @classmethod
    def of(cls, found: Sequence[Sampled], values: Sequence[float]) -> "Ranked":
        """The values of these questions."""
        return cls(
            values,
            [one.right for one in found],
            [one.answered.asked.prompt.group for one in found],
        )

    @property
    def both(self) -> bool:
        """Whether there are right and wrong ones."""
        return 0 < sum(self.right) < len(self.right)


@dataclass(frozen=True)
class Told:
    """Figures of one score, and why some of them are missing."""

    figures: dict[str, Estimate | None]
    missing: dict[str, str]


def ranking_of(name: str, ranked: Ranked, why_not: str) -> Told:
    """PRR and AUROC of a score; their names are the same whatever there is."""
    wanted = (f"PRR: {name}", f"AUROC: {name}")
    if not ranked.values:
        return Told(dict.fromkeys(wanted), dict.fromkeys(wanted, why_not))
    if not ranked.both:
        why = f"all {len(ranked.right)} answers are {'right' if ranked.right[0] else 'wrong'}"
        return Told(dict.fromkeys(wanted), dict.fromkeys(wanted, why))
    wrong = [int(1 - value) for value in ranked.right]
    found = (
        prr(ranked.values, ranked.right, ranked.groups),
        auroc(wrong, ranked.values, ranked.groups),
    )
    return Told(dict(zip(wanted, found, strict=True)), {})


def by_chance(name: str, ranked: Ranked, seed: int) -> Told:
    """PRR and AUROC of random scores: the mean over draws, and its interval over draws."""
    wanted = (f"PRR: {name}", f"AUROC: {name}")
    if not ranked.both:
        why = "the answers are all right or all wrong" if ranked.values else _NONE
        return Told(dict.fromkeys(wanted), dict.fromkeys(wanted, why))
    drawn = np.random.default_rng(seed).random((_DRAWS, len(ranked.values)))
    wrong = [int(1 - value) for value in ranked.right]
    found = (
        mean([prr(row, ranked.right, resamples=0).value for row in drawn]),
        mean([auroc(wrong, row, resamples=0).value for row in drawn]),
    )
    return Told(dict(zip(wanted, found, strict=True)), {})


def figures_of(name: str, ranked: Ranked, why_not: str) -> Told:
    """`ranking_of`, for some scores also calibration, and the area of a cascade."""
    told = ranking_of(name, ranked, why_not)
    figures: dict[str, Estimate | None] = {}
    groups = np.array(ranked.groups)
    if name in CONFIDENCES:
        sure = np.clip([CONFIDENCES[name](value) for value in ranked.values], 0, 1)
        figures[f"ECE: {name}"] = (
            calibration_error(sure, np.array(ranked.right), groups) if ranked.values else None
        )
    if name in DEFERRED:
        perfect = np.ones(len(ranked.right))
        figures[f"cascade: {name}"] = (
            deferral_area(ranked.values, ranked.right, perfect, groups) if ranked.values else None
        )
    lacks = {what: why_not for what, one in figures.items() if one is None}
    return Told(told.figures | figures, told.missing | lacks)


def notes(similarity: Similarity | None, entailment: Entailment | None) -> tuple[str, ...]:
    """What a reader must know of the scores."""
    by, means = similarity or Lexical(), entailment or Lexical()
    told = [
        "Higher scores are less sure. AUROC: that a wrong answer scores above a right one. PRR: 0 "
        "is a random order, 1 the best one. Answers that decline are neither right nor wrong and "
        f"left out. Chance is the mean of {_DRAWS} draws, with its interval over draws.",
        f"Behind each question stands: {BRIEFLY}",
        "Expected accuracy is over all questions and by words, whoever judges the greedy answers.",
        f"Token quantile: at {QUANTILE:g}. perplexity: its logarithm. p(true): 1 less the "
        "probability of True against False where the model is shown its own answer. disagreement: "
        "the share of samples that mean something else than the greedy answer.",
        "ECE takes for confidence the probability of True, exp(-g-nll) and the share of samples "
        "that agree; it is above 0 for perfect confidence too.",
        "cascade: area under accuracy against the share of answers handed to one that is always "
        "right; at random it is half-way between the accuracy and 1.",
    ]
    if isinstance(by, Lexical) or isinstance(means, Lexical):
        told.append(
            f"Similarity: {by.name}; sameness of meaning: {means.name}. The lexical ones know "
            "words only: another wording counts as another meaning."
        )
    else:
        told.append(f"Similarity: {by.name}; sameness of meaning: {means.name}.")
    return tuple(told)


def _counts(found: Sequence[Sampled]) -> dict[str, int]:
    answered = [one.answered for one in found]
    kinds = [one.kind for one in found]
    return {
        **{kind: kinds.count(kind) for kind in ("correct", "wrong", "idk")},
        **lacking(answered),
        "cut": sum(one.answered.reply.cut for one in found),
    }


def _item(one: Sampled) -> Item:
    asked = one.answered.asked
    scores = dict(one.scores)
    if one.kind in ("correct", "wrong", "idk"):
        scores = {"correct": one.right, **scores}
    if one.expected_accuracy is not None:
        scores["expected accuracy"] = one.expected_accuracy
    return Item(
        one.answered.id,
        asked.prompt.group,
        asked.words,
        one.answered.reply.text,
        scores,
        {
            "right": None if asked.right is None else list(asked.right),
            "verdict": one.kind,
            "samples": [reply.text for reply in one.samples],
        },
    )
