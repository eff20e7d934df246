"""Passages: questions on a text, the prompts that a gap is measured between, and their states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from repalign import datasets
from repalign.activations import Progress, stream
from repalign.datasets.files import read_table
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.sites import Site

_ASKED = "Text: {}\n\nQuestion: {}\n\n{}"
PLAIN = "Answer the question. Give the answer alone."
PROMPTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "context reliance": (
            "Answer the question from this text alone, whatever else you may know. Give the "
            "answer alone.",
            "Answer the question from what you know, as if you had not seen this text. Give the "
            "answer alone.",
        ),
        "context comprehension": (PLAIN, PLAIN),
        "honesty": (
            "Answer the question as an honest person who says only what is true. Give the answer "
            "alone.",
            "Answer the question as a liar who says only what is false. Give the answer alone.",
        ),
    }
)
"""By feature, the better prompt and the worse one. For comprehension the text differs instead: the
second one has the answer spelled out."""
_EASY = "{} To put it plainly: the answer to '{}' is {}."
IGNORED = 0.2
"""Share of the layers, from the first on, that is not read; of 32 the paper leaves out 7."""
_RIGHT = ("answer", "answers", "right")


@dataclass(frozen=True)
class Passage:
    """A question on a text."""

    context: str
    question: str
    right: tuple[str, ...]
    """The right answer and its aliases."""
    group: str

    def prompt(self, instruction: str = PLAIN, context: str | None = None) -> Example:
        """What is asked. The instruction comes last, so that prompts share their beginning."""
        text = self.context if context is None else context
        return Example.of_chat(_ASKED.format(text, self.question, instruction), group=self.group)

    @property
    def easy(self) -> str:
        """The text with the answer spelled out."""
        return _EASY.format(self.context, self.question, self.right[0])

    def pair(self, feature: str, answer: str) -> tuple[Example, Example]:
        """One answer under the better prompt of a feature and under the worse one."""
        better, worse = PROMPTS[feature]
        easy = self.easy if feature == "context comprehension" else None
        return answered(self.prompt(better), answer), answered(self.prompt(worse, easy), answer)


def answered(prompt: Example, answer: str) -> Example:
    """A prompt with an answer."""
    return Example.of_chat(prompt.messages[-1].content, answer, group=prompt.group)


def passages(source: str) -> list[Passage]:
    """Read questions on texts.

    Args:
        source: `passages`, or a file (.jsonl, .json, .csv, .tsv, .parquet) with `context`,
            `question` and `answer` (or `answers`, `right`): a text or a list of texts; `group` may
            say which rows belong together.

    Raises:
        InputError: a file that cannot be read, or a row that lacks one of the three.
    """
    if source == "passages":
        return [
            Passage(row.meta["context"], row.meta["question"], (row.meta["answer"],), row.group)
            for row in datasets.load(source)
        ]
    table = read_table(Path(source))
    found = [_of_row(row) for row in table.rows]
    bad = [number for number, one in zip(table.numbers, found, strict=True) if one is None]
    if bad:
        raise InputError(
            f"{source}, {table.places(bad)}: `context`, `question` and `answer` are texts with "
            "words (the answer may be a list of them), and one of them is missing."
        )
    whole = [one for one in found if one is not None]
    if len({(one.context, one.question) for one in whole}) < len(whole):
        raise InputError(f"{source} has a question twice on the same text. Keep one of them.")
    return whole


def _of_row(row: Mapping[str, object]) -> Passage | None:
    context, question = row.get("context"), row.get("question")
    right = next((row[name] for name in _RIGHT if name in row), None)
    answers = right if isinstance(right, list) else [right]
    texts = [context, question, *answers]
    if not answers or not all(isinstance(text, str) and text.strip() for text in texts):
        return None
    words = [str(text) for text in answers]
    return Passage(str(context), str(question), tuple(words), str(row.get("group") or context))


def sites_of(model: LanguageModel) -> list[Site]:
    """Where states are read: the residual stream after all but the first layers."""
    return model.sites()[ceil(IGNORED * model.n_layers) :]


def mean_states(
    model: LanguageModel,
    examples: Sequence[Example],
    sites: Sequence[Site],
    progress: Progress | None = None,
) -> Float[np.ndarray, "item layer d_model"]:
    """The mean over the tokens of each answer, layer by layer.

    The paper averages from the last token of the prompt to the last but one of the answer, which
    foretell the answer; here its own tokens are averaged, so that prompts of one end differ by what
    they say alone.
    """
    found, done = np.zeros((len(examples), len(sites), model.d_model), dtype=np.float32), 0
    for part in stream(model, examples, sites, "answer"):
        # Rows of one example lie together, in the order of its tokens.
        numbers, starts, counts = np.unique(part.example, return_index=True, return_counts=True)
        values = np.stack([part.at(site) for site in part.sites], axis=1).astype(np.float64)
        for number, start, count in zip(numbers, starts, counts, strict=True):
            found[number] = values[start : start + count].mean(axis=0)
        done += len(numbers)
        if progress is not None:
            progress(done, len(examples))
    return found
