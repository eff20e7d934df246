"""Gaps: does a state that lacks honesty, or heed of the text, give a wrong answer away?"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from repalign.answering import Settings
from repalign.evaluation.asking import LONGEST, Answered
from repalign.evaluation.judging import judged, judged_by, lacking
from repalign.evaluation.outcome import Item, Outcome
from repalign.evaluation.passages import (
    IGNORED,
    PROMPTS,
    Passage,
    answered,
    mean_states,
    passages,
    sites_of,
)
from repalign.evaluation.setting import Setting
from repalign.evaluation.uncertainty import Ranked, ranking_of
from repalign.knowledge import Asked
from repalign.metrics import Estimate, auroc, mean
from repalign.metrics.rejection import prr
from repalign.metrics.uncertainty import g_nll, perplexity_score
from repalign.probing.gaps import ENSEMBLE, VARIANTS, Gaps
from repalign.sites import Site
from repalign.verdicts import verdict, without_thought

PARTS = (0.35, 0.3)
"""Shares of the groups that directions are fitted on, and that choose; the rest is reported."""
_SCORES = (*PROMPTS, ENSEMBLE)
_PLAIN = ("perplexity", "g-nll")
_DRAWS = 20
LEAST = 4
"""Right and wrong answers, of each, among those that choose and those that are reported."""


@dataclass(frozen=True, eq=False)
class _Claim:
    """A question on a text, with an answer that is right or wrong."""

    passage: Passage
    answered: Answered

    @property
    def right(self) -> float:
        """1 for a right answer, else 0."""
        return float(self.answered.verdict is not None and self.answered.verdict.kind == "correct")

    @property
    def answer(self) -> str:
        """Its words."""
        return without_thought(self.answered.reply.text or "")


def evaluate(setting: Setting) -> Outcome:
    """Answer questions on texts, and score each answer by what its states lack.

    Directions are fitted on some items, layers, signs and weights chosen on others, and others
    again are reported.

    Raises:
        InputError: the model is behind a server, or the data cannot be read.
    """
    setting.local("gaps")  # a server is refused before it is asked anything
    named = [(source, one) for source in setting.data or ("passages",) for one in passages(source)]
    kept = {one.group for one in setting.limited([one.prompt() for _, one in named])}
    named = [(source, one) for source, one in named if one.group in kept]
    found = _answered(setting, named)
    claims = [
        _Claim(passage, one)
        for (_, passage), one in zip(named, found, strict=True)
        if one.verdict is not None and one.verdict.kind in ("correct", "wrong")
    ]
    parts = _parts(claims, setting.seed)
    reported = [claims[place] for place in parts[2]]
    why = _too_few(claims, parts)
    read = None if why else _Read.of(setting, claims, parts)
    scores, where = ({}, ()) if read is None else _scores(read, setting.seed)
    for name, of in zip(_PLAIN, (perplexity_score, g_nll), strict=True):
        if all(one.answered.reply.logprobs for one in reported):
            scores[name] = [of(np.minimum(one.answered.reply.logprobs, 0)) for one in reported]
    figures: dict[str, Estimate | None] = {
        "accuracy": mean([one.right == 1 for one in claims], [one.passage.group for one in claims])
        if claims
        else None
    }
    missing = {} if claims else {"accuracy": "no answer is right or wrong"}
    for name in [*_PLAIN, *_names(VARIANTS[:-1])]:
        ranked = _ranked(scores.get(name, []), reported)
        told = ranking_of(name, ranked, "no log-probabilities came" if name in _PLAIN else why)
        figures |= told.figures
        missing |= told.missing
    controls = _random(read, reported, setting.seed)
    missing |= {name: why for name, one in controls.items() if one is None}
    return Outcome(
        figures,
        _items(named, found, reported, scores),
        controls,
        missing,
        {
            **dict(zip(("fitted on", "choosing", "reported"), map(len, parts), strict=True)),
            **lacking(found),
            "idk": sum(one.verdict is not None and one.verdict.kind == "idk" for one in found),
        },
        judged_by(setting),
        (*_notes(), *where),
    )


def _answered(setting: Setting, named: Sequence[tuple[str, Passage]]) -> list[Answered]:
    replies = setting.ask(
        [one.prompt() for _, one in named], "gaps", Settings(max_new_tokens=LONGEST)
    )
    found = [
        Answered(
            Asked(one.prompt(), one.right),
            source,
            reply,
            None if reply.text is None else verdict(reply.text, one.right, one.question),
        )
        for (source, one), (reply,) in zip(named, replies, strict=True)
    ]
    return judged(setting, found, "gaps")


def _parts(claims: Sequence[_Claim], seed: int) -> list[np.ndarray]:
    """Places of the answers to fit on, to choose by and to report; groups stay whole."""
    names = sorted({one.passage.group for one in claims})
    drawn = sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    ends = [round(len(names) * share) for share in np.cumsum(PARTS)]
    place = {name: int(np.searchsorted(ends, i, side="right")) for i, name in enumerate(drawn)}
    part = np.array([place[one.passage.group] for one in claims], dtype=int)
    return [np.flatnonzero(part == number) for number in range(3)]


def _too_few(claims: Sequence[_Claim], parts: Sequence[np.ndarray]) -> str:
    """Why nothing can be chosen or reported; empty where it can."""
    for part, what in zip(parts[1:], ("choose", "are reported"), strict=True):
        right = sum(claims[place].right for place in part)
        rarer = int(min(right, len(part) - right))
        if rarer < LEAST:
            return (
                f"of the answers that {what}, {rarer} are the rarer of right and wrong; {LEAST} "
                "are needed"
            )
    return ""


@dataclass(frozen=True, eq=False)
class _Read:
    """What was read of the model, and which of it is for what."""

    differences: Mapping[str, np.ndarray]
    chooses: np.ndarray
    """Plain states `[item layer d_model]` of the answers that choose."""
    wrong: np.ndarray
    """Which of them are wrong."""
    reported: np.ndarray
    """Plain states of the answers that are reported."""
    sites: Sequence[Site]

    @classmethod
    def of(cls, setting: Setting, claims: Sequence[_Claim], parts: Sequence[np.ndarray]) -> "_Read":
        """Read every answer under the plain prompt, and those fitted on under all of them."""
        sites = sites_of(setting.local("gaps"))
        differences, plain = _states(setting, claims, parts, sites)
        wrong = np.array([1 - one.right for one in claims], dtype=bool)
        return cls(differences, plain[parts[1]], wrong[parts[1]], plain[parts[2]], sites)

    def gaps(self, variant: str, seed: int) -> Gaps:
        """Directions, layers, signs and weights."""
        return Gaps.fit(self.differences, self.chooses, self.wrong, variant, seed)


def _scores(read: _Read, seed: int) -> tuple[dict[str, list[float]], tuple[str, ...]]:
    """Scores of what is reported by variant and feature, and at which layers they were found."""
    found: dict[str, list[float]] = {}
    where = []
    for variant in VARIANTS[:-1]:
        gaps = read.gaps(variant, seed)
        for name, values in gaps.scores(read.reported).items():
            found[f"{variant}: {name}"] = values.tolist()
        places = ", ".join(
            f"{name} at {read.sites[layer]}"
            for name, layer in zip(PROMPTS, gaps.layers, strict=True)
        )
        where.append(f"{variant}: {places}.")
    return found, tuple(where)


def _random(
    read: _Read | None, reported: Sequence[_Claim], seed: int
) -> dict[str, Estimate | None]:
    """What random directions reach whose layers, signs and weights are chosen in the same way.

    A single draw may reach much by luck; the mean is over draws, and so is its interval.
    """
    names = _names(VARIANTS[-1:])
    controls: dict[str, Estimate | None] = {
        f"{what}: {name}": None for name in names for what in ("PRR", "AUROC")
    }
    if read is None:
        return controls
    quality = [one.right for one in reported]
    wrong = [int(1 - value) for value in quality]
    drawn = [
        read.gaps("random", seed + 10_000 * draw).scores(read.reported) for draw in range(_DRAWS)
    ]
    for name, of in zip(names, _SCORES, strict=True):
        values = [one[of] for one in drawn]
        controls[f"PRR: {name}"] = mean([prr(one, quality, resamples=0).value for one in values])
        controls[f"AUROC: {name}"] = mean([auroc(wrong, one, resamples=0).value for one in values])
    return controls


def _states(
    setting: Setting, claims: Sequence[_Claim], parts: Sequence[np.ndarray], sites: Sequence[Site]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """For each feature the differences of what is fitted on, and every answer's plain states."""
    model = setting.local("gaps")
    texts = [answered(one.passage.prompt(), one.answer) for one in claims]
    for feature in PROMPTS:
        for place in parts[0]:
            texts += claims[place].passage.pair(feature, claims[place].answer)
    distinct = {text.messages: text for text in texts}
    with setting.progress(f"gaps: states of {model.name}") as progress:
        read = mean_states(model, list(distinct.values()), sites, progress)
    row = {messages: place for place, messages in enumerate(distinct)}
    states = read[[row[text.messages] for text in texts]]
    differences, start = {}, len(claims)
    for feature in PROMPTS:
        end = start + 2 * len(parts[0])
        differences[feature] = states[start:end:2] - states[start + 1 : end : 2]
        start = end
    return differences, states[: len(claims)]


def _ranked(values: Sequence[float], reported: Sequence[_Claim]) -> Ranked:
    have = reported if values else []
    return Ranked(values, [one.right for one in have], [one.passage.group for one in have])


def _names(variants: Sequence[str]) -> list[str]:
    return [f"{variant}: {name}" for variant in variants for name in _SCORES]


def _items(
    named: Sequence[tuple[str, Passage]],
    found: Sequence[Answered],
    reported: Sequence[_Claim],
    scores: dict[str, list[float]],
) -> tuple[Item, ...]:
    places = {id(one.answered): place for place, one in enumerate(reported)}
    items = []
    for (source, passage), one in zip(named, found, strict=True):
        kind = one.verdict.kind if one.verdict is not None else "unanswered"
        told = {"correct": float(kind == "correct")} if kind in ("correct", "wrong", "idk") else {}
        place = places.get(id(one))
        if place is not None:
            told |= {name: float(values[place]) for name, values in scores.items()}
        items.append(
            Item(
                _id(source, passage),
                passage.group,
                passage.question,
                one.reply.text,
                told,
                {"context": passage.context, "right": list(passage.right), "verdict": kind},
            )
        )
    return tuple(items)


def _notes() -> tuple[str, ...]:
    return (
        "Higher scores are less sure. PRR: 0 is a random order of the answers, 1 the best one. "
        "AUROC: that a wrong answer scores above a right one.",
        "Directions are fitted on some items; layer and sign of each feature and the weights of "
        "the ensemble are chosen on others by which answers are wrong there; the figures are of "
        "others again. Under controls stands what random directions reach for which the same is "
        f"chosen: the mean of {_DRAWS} draws, and its interval over draws.",
        f"The first {IGNORED:.0%} of the layers are not read.",
        "paper: the first principal component of the differences about their mean. "
        "sign-randomised: of differences turned round by chance. mean-difference: their mean.",
    )


def _id(source: str, passage: Passage) -> str:
    """Of one text and one question; a group may ask the same of two texts."""
    text = hashlib.sha256(passage.context.encode()).hexdigest()[:8]
    return f"{source}: {passage.group}: {text}: {passage.question}"
