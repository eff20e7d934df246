"""Training sets that teach a model to decline what it does not know (2312.07000).

Rows are in TRL's conversational format, prompt and completion. The methods and their order are the
paper's; every sentence is our own.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from repalign.errors import InputError, unknown
from repalign.knowledge.boundary import TAU
from repalign.knowledge.known import Known
from repalign.storage import write_atomic

METHODS = ("absolute", "confidence-num", "confidence-verb", "multisample", "fine-tuned")
IDK = "I'm sorry, but I don't know the answer to that question."
INSTRUCTION = (
    "Answer the question below. If you do not know the answer, say so instead of guessing.\n\n"
)
"""Of the prompt-based baseline, which trains nothing: put it in front of a question."""
_LOW = "I am {}% sure of this, so please check it: "
_HIGH = "I am {}% sure of this: "
_VERBAL: Mapping[int, str] = MappingProxyType(
    {
        2: "I doubt that I know this, but it may be that ",
        4: "I am rather unsure about this, but I believe that ",
        6: "I am about as sure as not, and would say that ",
        8: "I am fairly sure that ",
        10: "I am certain that ",
    }
)
"""By the most right answers of ten for which it stands."""
Row = dict[str, list[dict[str, str]]]


def rows(
    questions: Sequence[Known],
    method: str,
    *,
    tau: float = TAU,
    follow: str = "paper",
    seed: int = 0,
) -> list[Row]:
    """Make the rows of a training set.

    - `absolute`: a right sampled answer where the question is known, else `IDK`.
    - `confidence-num`: the same where any sample is right, after a sentence with their percentage.
    - `confidence-verb`: the same with one of five sentences instead.
    - `multisample`: a row for each sample, `IDK` in place of those that are not right.
    - `fine-tuned`: a baseline that teaches answers, not declining: the right one where not known.

    Args:
        questions: with their sampled answers.
        method: one of these.
        tau: expected accuracy from which on `absolute` and `fine-tuned` count a question as known.
        follow: `paper` takes a right answer by chance; `code`, the authors' own, takes the greedy
            one if it is right and the first right sample else, and counts a question as known if
            any of these is right.
        seed: of the choice.

    Raises:
        InputError: no questions, a method that does not exist, or `fine-tuned` with a question
            that nobody can answer.
    """
    if not questions:
        raise InputError("No questions were given.")
    if not 0 < tau <= 1:
        raise InputError(f"tau is a share above 0 and up to 1; {tau} was given.")
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if follow not in ("paper", "code"):
        raise unknown("way", follow, ("paper", "code"))
    generator = np.random.default_rng(seed)
    found = []
    for one in questions:
        if method == "multisample":
            samples = zip(one.texts, one.verdicts, strict=True)
            said = [text if verdict.kind == "correct" else IDK for text, verdict in samples]
        else:
            said = [_completion(one, method, tau, follow, generator)]
        found += [_row(one, text) for text in said]
    return found


def balanced(questions: Sequence[Known], seed: int = 0) -> list[Known]:
    """As many questions whose greedy answer is right as others, drawn by chance, in their order."""
    right = [i for i, one in enumerate(questions) if one.greedy.kind == "correct"]
    wrong = [i for i, one in enumerate(questions) if one.greedy.kind != "correct"]
    count = min(len(right), len(wrong))
    generator = np.random.default_rng(seed)
    kept = [int(i) for part in (right, wrong) for i in generator.permutation(part)[:count]]
    return [questions[index] for index in sorted(kept)]


def save(some: Sequence[Row], path: Path | str) -> None:
    """Write rows as JSON lines, which `datasets.load_dataset("json", …)` reads."""
    lines = [json.dumps(row, ensure_ascii=False) for row in some]
    write_atomic(Path(path), ("\n".join(lines) + "\n").encode())


def _completion(
    one: Known, method: str, tau: float, follow: str, generator: np.random.Generator
) -> str:
    right = [t for t, v in zip(one.texts, one.verdicts, strict=True) if v.kind == "correct"]
    any_right = one.greedy.kind == "correct" or bool(right)
    if method in ("absolute", "fine-tuned"):
        known = any_right if follow == "code" else one.is_known(tau)
    else:
        known = bool(right)
    if not known:
        if method != "fine-tuned":
            return IDK
        if one.asked.right is None:
            raise InputError(
                f"Nobody can know {one.asked.words[:60]!r}, so there is no answer to teach. Leave "
                "such questions out of a fine-tuned set."
            )
        return one.asked.right[0]
    if follow == "code":
        answer = one.greedy_text if one.greedy.kind == "correct" else right[0]
    else:
        answer = right[int(generator.integers(len(right)))]
    if method.startswith("confidence"):
        return _with_confidence(answer, len(right) / len(one.texts), method)
    return answer


def _with_confidence(answer: str, share: float, method: str) -> str:
    if method == "confidence-num":
        return (_LOW if share <= 0.5 else _HIGH).format(round(100 * share)) + answer
    prefix = next(words for most, words in _VERBAL.items() if 10 * share <= most + 1e-9)
    # The letter of an option stays as it is.
    letter = len(answer) < 2 or not answer[1].isalpha()
    return prefix + (answer if letter else answer[0].lower() + answer[1:])


def _row(one: Known, text: str) -> Row:
    prompt: list[dict[str, Any]] = [
        {"role": turn.role, "content": turn.content} for turn in one.asked.prompt.messages
    ]
    return {"prompt": prompt, "completion": [{"role": "assistant", "content": text}]}
