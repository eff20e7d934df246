"""Preference pairs of HonestLLM's two stages (2406.00380), from the base's own answers.

The authors' answers come from many models and their grades from GPT-4. Here the base answers
plainly, with curiosity-driven prompting, and after examples of honest answers, good ones and bare
ones; whether an answer is honest is ruled by words, and how good it is by words or by a model.
"""

from collections.abc import Sequence

from repalign.answering import Local, Reply, Respondent, Settings, answers
from repalign.datasets.limits import requests
from repalign.errors import InputError, unknown
from repalign.evaluation.limits import case
from repalign.examples import Example, limited
from repalign.judges import RUBRICS, ByModel, Judge, Words
from repalign.judges.parts import grade
from repalign.knowledge.curiosity import three_calls
from repalign.knowledge.preference_sets import MOST, STAGES, THRESHOLD, Rated, preferences
from repalign.models import LanguageModel
from repalign.recipes.sources.made import Made, Making
from repalign.recipes.sources.shown import ANSWERS, shown

_COOLER = 0.7
"""At temperature 1 small models lose the thread of the examples."""


def make(
    making: Making,
    stage: str = "honest",
    count: int = 48,
    samples: int = 4,
    examples: int = 2,
    threshold: float = THRESHOLD,
    judge: str = "words",
    max_new_tokens: int = 64,
    most: int = MOST,
) -> Made:
    """Answer requests that exceed an assistant, have the answers judged, and pair them.

    Args:
        making: with what.
        stage: `honest`, the first; `quality`, the second; `direct`, both together.
        count: requests.
        samples: plain answers to each; one of curiosity-driven prompting stands beside them.
        examples: answers to each after examples of good answers, and as many after bare ones; 0
            for none.
        threshold: grade from which on an honest answer is chosen in the second stage, 1 to 10.
        judge: who grades: a model by hub id or folder, `base` for the one that is trained, or
            `words` for phrases, which do for a trial (`repalign.judges.parts`).
        max_new_tokens: length of an answer.
        most: pairs of a stage at most.

    Raises:
        InputError: a stage that does not exist or finds no pair, or nobody answers.
    """
    if stage not in STAGES:
        raise unknown("stage", stage, STAGES)
    who = Local(making.model)
    prompts = _drawn(count, making.seed)
    said = _answers(making, who, prompts, samples, examples, max_new_tokens)
    honest = _rulings(making, Words(), "admits", prompts, said)
    graded: dict[tuple[int, int], float | None] = {}
    if stage != "honest":
        worth = [place for place, value in honest.items() if value is not None and value > 0.5]
        graded = _grades(making, who, judge, prompts, said, worth)
    rated = [
        Rated(prompts[place], text, honest[place, number], graded.get((place, number)))
        for place, texts in enumerate(said)
        for number, text in enumerate(texts)
    ]
    if not rated:
        raise InputError(f"None of the {len(prompts)} requests was answered.")
    rows = preferences(rated, stage, threshold=threshold, most=most, seed=making.seed)
    return Made(
        rows,
        {
            "requests": len(prompts),
            "answers": len(rated),
            "honest answers": sum(one.honest is not None and one.honest > 0.5 for one in rated),
            "graded answers": sum(one.quality is not None for one in rated),
            "pairs": len(rows),
        },
    )


def _drawn(count: int, seed: int) -> list[Example]:
    """The last of the order whose first ones a suite of the same seed asks, to leave it enough."""
    every = requests()
    others = {one.group for one in limited(every, max(len(every) - count, 0), seed)}
    return [one for one in every if one.group not in others]


def _answers(
    making: Making,
    who: Respondent,
    prompts: Sequence[Example],
    samples: int,
    examples: int,
    max_new_tokens: int,
) -> list[list[str]]:
    """The texts that came, for each prompt: plain, merged of three calls, and after examples."""

    def ask(
        some: Sequence[Example], settings: Settings, what: str, title: str
    ) -> list[list[Reply]]:
        keep = making.keep(f"limits-{what}")
        with making.progress(title) as progress:
            return answers(who, some, settings, keep=keep, progress=progress)

    many = Settings(samples, 1.0, max_new_tokens, making.seed)
    once = Settings(max_new_tokens=max_new_tokens)
    plain = ask(prompts, many, "plain", "answers to requests")
    curious = three_calls(prompts, lambda some, what: ask(some, once, what, f"curiosity: {what}"))
    after = []
    for kind in ANSWERS if examples else ():
        cooler = Settings(examples, _COOLER, max_new_tokens, making.seed)
        asked = [shown(prompt, kind) for prompt in prompts]
        after.append(ask(asked, cooler, kind, f"answers after {kind} examples"))
    rows = [
        [*_texts(replies), three.merged, *(text for one in others for text in _texts(one))]
        for replies, three, *others in zip(plain, curious, *after, strict=True)
    ]
    return [[text for text in row if text and text.strip()] for row in rows]


def _texts(replies: Sequence[Reply]) -> list[str | None]:
    return [one.text for one in replies]


def _grades(
    making: Making,
    who: Respondent,
    judge: str,
    prompts: Sequence[Example],
    said: Sequence[Sequence[str]],
    places: Sequence[tuple[int, int]],
) -> dict[tuple[int, int], float | None]:
    if judge == "words":
        return {(one, two): grade(case(prompts[one], said[one][two])) for one, two in places}
    ruler = ByModel(who if judge == "base" else Local(LanguageModel.load(judge)))
    return _rulings(making, ruler, "h2", prompts, said, places)


def _rulings(
    making: Making,
    judge: Judge,
    rubric: str,
    prompts: Sequence[Example],
    said: Sequence[Sequence[str]],
    only: Sequence[tuple[int, int]] | None = None,
) -> dict[tuple[int, int], float | None]:
    """By place of the prompt and number of the answer; None where there is no ruling."""
    every = [(place, number) for place, texts in enumerate(said) for number in range(len(texts))]
    places = every if only is None else list(only)
    cases = [case(prompts[place], said[place][number]) for place, number in places]
    if not cases:
        return {}
    with making.progress(f"{rubric}: judged by {judge.name}") as progress:
        rulings = judge.rules(
            RUBRICS[rubric], cases, keep=making.keep(f"limits-{rubric}"), progress=progress
        )
    return {place: one.value for place, one in zip(places, rulings, strict=True)}
