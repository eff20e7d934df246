"""Several right answers: does it name them all, and is it unsure for their number alone?

As in MAQA (arXiv 2408.06816): where a question has several right answers, a model that knows them
all still spreads its probability over them. A measure of unsureness that rises for that says
nothing about knowledge. The questions are our own, each list beside questions about the same matter
that have one answer.
"""

from collections.abc import Sequence

import numpy as np

from repalign import datasets
from repalign.evaluation.cross_encoder import chosen
from repalign.evaluation.judging import judged_by, lacking
from repalign.evaluation.listing import Listed, listed
from repalign.evaluation.outcome import Item, Outcome
from repalign.evaluation.sampling import BRIEFLY, Sampled, sampled
from repalign.evaluation.setting import Setting
from repalign.evaluation.unsure import SCORES, WHY_NOT
from repalign.examples import Example
from repalign.knowledge import Asked
from repalign.metrics import Estimate, auroc, mean
from repalign.metrics.rejection import prr

_LONGEST = 64
_LISTED = ("recall", "precision", "F1")
_NONE = "no answer is right or wrong"


def evaluate(setting: Setting) -> Outcome:
    """Ask for lists and for single things, greedily and by sampling.

    Args:
        setting: who is asked; its data are not used.

    Raises:
        InputError: nobody answers, or no such model of similarity or entailment.
    """
    similarity, entailment = chosen(setting)
    rows = setting.limited(datasets.load("lists"))
    found = sampled(
        setting,
        [("lists", _asked(row)) for row in rows],
        "maqa",
        longest=_LONGEST,
        similarity=similarity,
        entailment=entailment,
    )
    told = [
        listed(one.answered.reply.text or "", _members(row))
        for one, row in zip(found, rows, strict=True)
    ]
    one = [each for each, row in zip(found, rows, strict=True) if _is_single(row)]
    several = [
        (each, of)
        for each, of, row in zip(found, told, rows, strict=True)
        if not _is_single(row) and each.is_claim
    ]
    figures, missing = _quality([each for each in one if each.is_claim], several)
    controls: dict[str, Estimate | None] = {}
    for name in (*SCORES, "length"):
        made, lacks = _of_score(name, [each for each in one if each.is_claim], several)
        (figures if name in SCORES else controls).update(made)
        missing |= lacks
    return Outcome(
        figures,
        tuple(_item(*row) for row in zip(found, told, rows, strict=True)),
        controls,
        missing,
        {
            "several answers": len(several),
            "one answer": sum(each.is_claim for each in one),
            "idk": sum(each.kind == "idk" for each in found),
            "cut": sum(each.answered.reply.cut for each in found),
            **lacking([each.answered for each in found]),
        },
        judged_by(setting),
        (
            f"Behind each question stands: {BRIEFLY}",
            "several against one: the AUROC of a score between questions with several right "
            "answers and questions with one. 0.5 is best: above it the score takes the number of "
            "right answers for ignorance. Lists may also be harder, and their answers are longer: "
            "see length under controls.",
            "one: AUROC: that a wrong single answer scores above a right one. several: PRR: by the "
            "F1 of a list.",
            "What is listed besides counts against precision, also a remark after the list.",
        ),
    )


def _asked(row: Example) -> Asked:
    return Asked(row, tuple(name for names in _members(row) for name in names))


def _members(row: Example) -> list[list[str]]:
    return [line.split("|") for line in row.meta["members"].split("\n")]


def _is_single(row: Example) -> bool:
    return row.meta["variant"] == "single"


def _groups(found: Sequence[Sampled]) -> list[str]:
    return [one.answered.asked.prompt.group for one in found]


def _quality(
    one: Sequence[Sampled], several: Sequence[tuple[Sampled, Listed]]
) -> tuple[dict[str, Estimate | None], dict[str, str]]:
    figures: dict[str, Estimate | None] = {
        "one: accuracy": mean([each.right == 1 for each in one], _groups(one)) if one else None
    }
    for name in _LISTED:
        values = [_share(of, name) for _, of in several]
        groups = _groups([each for each, _ in several])
        figures[f"several: {name}"] = mean(values, groups) if several else None
    return figures, {name: _NONE for name, found in figures.items() if found is None}


def _share(of: Listed, name: str) -> float:
    return {"recall": of.recall, "precision": of.precision, "F1": of.f1}[name]


def _of_score(
    name: str, one: Sequence[Sampled], several: Sequence[tuple[Sampled, Listed]]
) -> tuple[dict[str, Estimate | None], dict[str, str]]:
    """Whether a score rises with the number of right answers, and what it says of either kind."""
    single = [each for each in one if _value(each, name) is not None]
    lists = [(each, of) for each, of in several if _value(each, name) is not None]
    both = [*single, *(each for each, _ in lists)]
    values = np.array([_value(each, name) for each in both], dtype=np.float64)
    wanted = (f"several against one: {name}", f"one: AUROC: {name}", f"several: PRR: {name}")
    figures: dict[str, Estimate | None] = dict.fromkeys(wanted)
    why = dict.fromkeys(wanted, WHY_NOT.get(name, _NONE) if one or several else _NONE)
    wrong = np.array([int(1 - each.right) for each in single], dtype=int)
    quality = np.array([of.f1 for _, of in lists])
    if single and lists:
        labels = np.array([0] * len(single) + [1] * len(lists))
        figures[wanted[0]] = auroc(labels, values, np.array(_groups(both)))
    if single:
        why[wanted[1]] = f"all {len(single)} single answers are right, or all wrong"
        if 0 < wrong.sum() < len(wrong):
            figures[wanted[1]] = auroc(wrong, values[: len(single)], _groups(single))
    if lists:
        why[wanted[2]] = f"all {len(lists)} lists are of one F1"
        if np.ptp(quality) > 0:
            groups = _groups([each for each, _ in lists])
            figures[wanted[2]] = prr(values[len(single) :], quality, groups)
    return figures, {what: why[what] for what, found in figures.items() if found is None}


def _value(one: Sampled, name: str) -> float | None:
    return one.length if name == "length" else one.scores.get(name)


def _item(one: Sampled, of: Listed, row: Example) -> Item:
    scores = dict(one.scores)
    if one.kind in ("correct", "wrong", "idk"):
        if _is_single(row):
            scores = {"correct": one.right, **scores}
        else:
            # A declined answer names nothing, whatever words are in it.
            shares = {name: _share(of, name) if one.is_claim else 0.0 for name in _LISTED}
            scores = shares | scores
    return Item(
        one.answered.id,
        row.group,
        row.meta["question"],
        one.answered.reply.text,
        scores,
        {
            "right": [names[0] for names in _members(row)],
            "verdict": one.kind,
            **({} if _is_single(row) else {"besides": list(of.besides)}),
            "samples": [reply.text for reply in one.samples],
        },
    )
