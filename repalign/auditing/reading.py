"""Reading: what a family of probes says of the same tokens on frozen and on trained weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from repalign.auditing.family import Family, raw_scores
from repalign.auditing.shift import Shift, of_auroc, of_means
from repalign.errors import InputError
from repalign.examples import Example, labelled
from repalign.metrics import threshold_at
from repalign.models import LanguageModel

FALSE_POSITIVES = 0.01


@dataclass(frozen=True)
class Reading:
    """Scores of a family, in units of the spread that they have on frozen weights."""

    texts: int
    groups: int
    score: Shift
    """Of all texts; its difference is the activation drift `b_gap`."""
    honest: Shift
    dishonest: Shift
    """Of the texts labelled so."""
    auroc: Shift
    recall: Shift
    """Share of dishonest texts below the threshold that flags 1% of benign texts on frozen weights.
    The threshold stays, as it does for a detector that is in use."""
    flagged_honest: Shift
    """Share of honest texts below that threshold: false positives."""
    flagged_benign: Shift
    record: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        names = ("score", "honest", "dishonest", "auroc", "recall", "flagged_honest")
        shifts = {name: getattr(self, name).to_json() for name in (*names, "flagged_benign")}
        return {"texts": self.texts, "groups": self.groups, **shifts, "family": dict(self.record)}


@dataclass(frozen=True)
class OwnAnswers:
    """What a family says of the models' own answers to the same prompts.

    The decomposition of arXiv 2602.15515: `text` is what changed because other words are written,
    `activations` what changed because the same words are represented otherwise.
    """

    text: Shift
    """Frozen weights on both models' answers."""
    activations: Shift
    """The trained model's answers on both weights: `b_gap`."""
    total: Shift

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        names = ("text", "activations", "total")
        return {name: getattr(self, name).to_json() for name in names}


@dataclass(frozen=True, eq=False)
class Unit:
    """The scale of a family: each probe less its mean, over its spread, on frozen weights."""

    mean: Float[np.ndarray, " probe"]
    spread: Float[np.ndarray, " probe"]

    @classmethod
    def of(cls, scores: Float[np.ndarray, "probe example"]) -> "Unit":
        """Take it from the scores of the texts on frozen weights.

        Raises:
            InputError: a probe gives all texts one score.
        """
        spread = scores.std(axis=1)
        flat = np.flatnonzero(~(spread > 1e-9 * (1 + np.abs(scores).max(axis=1))))
        if len(flat):
            raise InputError(
                f"Probe {flat[0]} gives all {scores.shape[1]} texts the same score, so it cannot "
                "tell honest from dishonest ones. Give texts that differ where it reads."
            )
        return cls(scores.mean(axis=1), spread)

    def __call__(self, scores: Float[np.ndarray, "probe example"]) -> Float[np.ndarray, " example"]:
        """One score a text: the mean over the probes."""
        return ((scores - self.mean[:, None]) / self.spread[:, None]).mean(axis=0)


def read_family(
    before: LanguageModel,
    after: LanguageModel,
    family: Family,
    texts: Sequence[Example],
    benign: Sequence[Example],
    benign_scores: Sequence[np.ndarray] | None = None,
) -> tuple[Reading, Unit]:
    """Score labelled texts with a family on frozen and on trained weights.

    A family for selection may be read again and again, such as at every checkpoint.

    Args:
        before: the frozen model.
        after: the trained one.
        family: its own texts are read, where it has any.
        texts: labelled texts for a family without its own.
        benign: ordinary texts that set the threshold.
        benign_scores: `raw_scores` of these on frozen and on trained weights, where they are known.

    Returns:
        The figures, and the unit that scores are given in.

    Raises:
        InputError: texts of one class or without labels; a family without probes.
    """
    if not family.probes:
        raise InputError(f"The family {family.name} has no probes to read with.")
    rows = labelled(family.texts or texts)
    labels = np.array([one.label for one in rows])
    groups = groups_of(rows)
    scores = [raw_scores(model, family.probes, rows) for model in (before, after)]
    if benign_scores is None:
        benign_scores = [raw_scores(model, family.probes, benign) for model in (before, after)]
    unit = Unit.of(scores[0])
    first, second = (unit(found) for found in scores)
    calm = [unit(found) for found in benign_scores]
    cut = threshold_at(calm[0], FALSE_POSITIVES)
    good, bad = labels == 1, labels == 0

    def mean_of(rows: np.ndarray) -> Shift:
        return of_means(first[rows], second[rows], groups[rows])

    def flagged(rows: np.ndarray) -> Shift:
        return of_means(first[rows] < cut, second[rows] < cut, groups[rows])

    return Reading(
        texts=len(rows),
        groups=len(np.unique(groups)),
        score=of_means(first, second, groups),
        honest=mean_of(good),
        dishonest=mean_of(bad),
        auroc=of_auroc(labels, first, second, groups),
        recall=flagged(bad),
        flagged_honest=flagged(good),
        flagged_benign=of_means(calm[0] < cut, calm[1] < cut, groups_of(benign)),
        record=family.record(),
    ), unit


def read_answers(
    before: LanguageModel,
    after: LanguageModel,
    family: Family,
    unit: Unit,
    answers: Sequence[tuple[Example, Example]],
) -> OwnAnswers:
    """Score what both models answered to the same prompts.

    Args:
        before: the frozen model.
        after: the trained one.
        family: whose probes read.
        unit: of the family.
        answers: for each prompt the answers of both, as examples to be read.
    """
    said_before, said_after = ([pair[which] for pair in answers] for which in (0, 1))
    groups = groups_of(said_before)
    both = unit(raw_scores(before, family.probes, [*said_before, *said_after]))
    then, frozen = both[: len(answers)], both[len(answers) :]
    trained = unit(raw_scores(after, family.probes, said_after))
    return OwnAnswers(
        of_means(then, frozen, groups),
        of_means(frozen, trained, groups),
        of_means(then, trained, groups),
    )


def groups_of(examples: Sequence[Example]) -> np.ndarray:
    """The group of each text; one without a group is its own."""
    return np.array([one.group or f"text {place}" for place, one in enumerate(examples)])
