"""Sampling: questions with a greedy answer, sampled ones, and every measure of unsureness."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from repalign import behavior
from repalign.answering import Local, Reply, Settings
from repalign.behavior import Question
from repalign.evaluation.asking import LONGEST, Answered
from repalign.evaluation.judging import judged
from repalign.evaluation.meaning import Entailment, Lexical, Similarity
from repalign.evaluation.setting import Setting
from repalign.evaluation.unsure import Drawn, Means, scores
from repalign.examples import Example, Message
from repalign.knowledge import Asked
from repalign.models import LanguageModel
from repalign.verdicts import Verdict, verdict, without_thought

BRIEFLY = "Give the answer alone."
_BELIEVED = (
    "Somebody was asked a question and gave an answer.\n\nQuestion: {}\nAnswer: {}\n\nIs this "
    "answer true or false? Reply with one word."
)


@dataclass(frozen=True, eq=False)
class Sampled:
    """A question, its judged greedy answer, and how unsure the model is of it."""

    answered: Answered
    samples: tuple[Reply, ...]
    """Those that came."""
    scores: dict[str, float]
    """See `unsure.scores`; empty where the greedy answer did not come or is blank."""
    expected_accuracy: float | None
    """The share of samples that are right; None where none came."""

    @property
    def kind(self) -> str:
        """The verdict on the greedy answer, `unanswered` or `unruled`."""
        if self.answered.verdict is not None:
            return self.answered.verdict.kind
        return "unanswered" if self.answered.reply.text is None else "unruled"

    @property
    def is_claim(self) -> bool:
        """Whether the greedy answer is right or wrong."""
        return self.kind in ("correct", "wrong")

    @property
    def right(self) -> float:
        """1 for a right greedy answer, else 0."""
        return float(self.kind == "correct")

    @property
    def length(self) -> float:
        """Tokens of the greedy answer; its words where tokens are not known."""
        reply = self.answered.reply
        return float(len(reply.logprobs) or len((reply.text or "").split()))


def sampled(
    setting: Setting,
    questions: Sequence[tuple[str, Asked]],
    what: str,
    *,
    instruction: str = BRIEFLY,
    longest: int = LONGEST,
    similarity: Similarity | None = None,
    entailment: Entailment | None = None,
) -> list[Sampled]:
    """Ask each question greedily and `setting.samples` times at temperature 1.

    Args:
        setting: who is asked.
        questions: with the names of their sources.
        what: the answers are kept under this name.
        instruction: put behind each question; long answers differ in their words where they mean
            the same.
        longest: tokens of an answer.
        similarity: of texts; None compares words.
        entailment: of answers; None compares words.
    """
    prompts = [_briefly(one.prompt, instruction) for _, one in questions]
    greedy = setting.ask(prompts, f"{what}-greedy", Settings(max_new_tokens=longest))
    drawn = Settings(
        samples=setting.samples, temperature=1.0, max_new_tokens=longest, seed=setting.seed
    )
    several = setting.ask(prompts, f"{what}-samples", drawn)
    found = [
        Answered(one, source, reply, _verdict(reply, one))
        for (source, one), (reply,) in zip(questions, greedy, strict=True)
    ]
    found = judged(setting, found, what)
    model = setting.model.model if isinstance(setting.model, Local) else None
    means = Means(
        similarity or Lexical(), entailment or Lexical(), None if model is None else model.tokenizer
    )
    believed = [None] * len(found) if model is None else _believed(setting, model, found, what)
    return [
        _measured(one, [reply for reply in replies if reply.text is not None], means, belief)
        for one, replies, belief in zip(found, several, believed, strict=True)
    ]


def _measured(
    one: Answered, samples: Sequence[Reply], means: Means, belief: float | None
) -> Sampled:
    said = bool(without_thought(one.reply.text or ""))
    drawn = Drawn(one.asked.words, one.reply, samples, means, belief)
    kinds = [_verdict(reply, one.asked) for reply in samples]
    right = [float(kind is not None and kind.kind == "correct") for kind in kinds]
    return Sampled(
        one, tuple(samples), scores(drawn) if said else {}, float(np.mean(right)) if right else None
    )


def _believed(
    setting: Setting, model: LanguageModel, found: Sequence[Answered], what: str
) -> list[float | None]:
    """The probability of `True` against `False` of each answer, judged by the model itself.

    P(True) of arXiv 2207.05221 without other answers shown beside the one in question.
    """
    places = [i for i, one in enumerate(found) if without_thought(one.reply.text or "")]
    if not places:
        return [None] * len(found)
    asked = [
        Question(
            (
                Message(
                    "user",
                    _BELIEVED.format(
                        found[i].asked.words, without_thought(found[i].reply.text or "")
                    ),
                ),
            ),
            ("True", "False"),
            (0,),
        )
        for i in places
    ]
    with setting.progress(f"{what}: {model.name} on its own answers"):
        odds = behavior.choose(model, asked).log_odds
    told: list[float | None] = [None] * len(found)
    for place, value in zip(places, odds, strict=True):
        told[place] = float(np.exp(-np.logaddexp(0.0, -value)))
    return told


def _verdict(reply: Reply, asked: Asked) -> Verdict | None:
    return None if reply.text is None else verdict(reply.text, asked.right, asked.words)


def _briefly(prompt: Example, instruction: str) -> Example:
    last = prompt.messages[-1]
    turn = Message(last.role, f"{last.content.rstrip()} {instruction}".rstrip())
    return replace(prompt, messages=(*prompt.messages[:-1], turn))
