"""Boundary: what the model knows, by how many sampled answers are right (2312.07000)."""

from repalign.answering import Settings
from repalign.evaluation.asking import LONGEST, questions
from repalign.evaluation.outcome import Item, Outcome
from repalign.evaluation.setting import Setting
from repalign.knowledge import Known
from repalign.knowledge.boundary import TAU, of_replies


def evaluate(setting: Setting) -> Outcome:
    """Sample answers to each question, and ask each once more for the likeliest.

    Raises:
        InputError: no data, or nobody answers.
    """
    asked = questions(setting)
    prompts = [one.prompt for _, one in asked]
    drawn = Settings(setting.samples, 1.0, LONGEST, setting.seed)
    sampled = setting.ask(prompts, "boundary-samples", drawn)
    greedy = setting.ask(prompts, "boundary", Settings(max_new_tokens=LONGEST))
    found = of_replies([one for _, one in asked], sampled, greedy, TAU, {})
    return Outcome(
        {
            f"known at {TAU:g}": found.known,
            "surely known or not": found.sure,
            "expected accuracy": found.expected_accuracy,
            "greedy accuracy": found.greedy_accuracy,
        },
        tuple(_item(one) for one in found.questions),
        counts={"unanswered": found.unanswered},
        notes=(
            f"Known: at least {TAU:.0%} of {setting.samples} answers at temperature 1 are right. "
            "A model that guesses right counts as knowing, and few samples leave most questions "
            "near the edge unsure.",
        ),
    )


def _item(one: Known) -> Item:
    return Item(
        one.asked.words,
        one.asked.prompt.group,
        one.asked.words,
        one.greedy_text,
        {
            "expected accuracy": one.expected_accuracy.value,
            "greedy correct": float(one.greedy.kind == "correct"),
            "known": float(one.is_known(TAU)),
        },
        {"right": list(one.asked.right or ()), "samples": list(one.texts)},
    )
