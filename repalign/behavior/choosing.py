"""choose(): the log-probability of each option after its question."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch

from repalign.behavior.choices import Choices
from repalign.behavior.conditions import check_lengths, origin, refuse_unlike_generation
from repalign.behavior.foretelling import foretell
from repalign.behavior.questions import Question
from repalign.errors import InputError
from repalign.examples import Example, Message
from repalign.models import LanguageModel
from repalign.spans import Encoded, Rendered, render
from repalign.spans.encoding import encode_all


@dataclass(frozen=True)
class _Row:
    """A question with one of its options, as it is read."""

    question: int
    ids: list[int]
    start: int
    """Where the option's tokens begin."""
    prompt: str
    option: str
    """With the white space before it."""


def choose(
    model: LanguageModel, questions: Sequence[Question], max_tokens: int | None = None
) -> Choices:
    """Ask a model to choose, by the log-probability that it gives each option after the question.

    A conversation is rendered with the model's chat template, each option as the assistant's
    answer, without what would end it. A plain text goes on with the option; a space is put between
    them unless one of them has white space there. `Choices.shown` prints what was read.

    Prompt and option are tokenised together, and spaces at the end of a prompt belong to the
    option, as they do in most tokenizers. Beginnings that questions and options share are computed
    once, where the model and what is written to it allow that.

    Within `intervene` it measures the model as it is written to.

    Args:
        model: the model; its first use runs its self-checks.
        questions: what to ask.
        max_tokens: positions in one pass, padding included; None takes what suits the machine.

    Returns:
        The choices, in the order of the questions.

    Raises:
        InputError: no questions; a conversation without a chat template; a tokenizer that reads
            the prompt's end otherwise with an option after it; a text longer than the context;
            something is written by where a prompt ends or by rows; values that are not finite.
        CheckError: the model fails a self-check.
    """
    if not questions:
        raise InputError("No questions were given to choose in.")
    refuse_unlike_generation(model)
    rows = _rows(model, questions)
    check_lengths(
        model, [row.ids for row in rows], [f"Question {r.question} with {r.option!r}" for r in rows]
    )
    totals = _totals(model, rows, max_tokens)
    counts = np.array([len(row.ids) - row.start for row in rows])
    ends = np.cumsum([len(question.options) for question in questions])
    pieces = [rows[end - len(q.options) : end] for end, q in zip(ends, questions, strict=True)]
    return Choices(
        questions=tuple(questions),
        logprobs=tuple(np.split(totals, ends[:-1])),
        tokens=tuple(np.split(counts, ends[:-1])),
        prompts=tuple(piece[0].prompt for piece in pieces),
        continued=tuple(tuple(row.option for row in piece) for piece in pieces),
        origin=MappingProxyType(origin(model)),
    )


def _totals(model: LanguageModel, rows: Sequence[_Row], max_tokens: int | None) -> np.ndarray:
    # A token is foretold by those before it; the last of an option foretells nothing asked for.
    texts = [row.ids[:-1] for row in rows]
    places = [range(row.start - 1, len(row.ids) - 1) for row in rows]
    targets = torch.tensor([token for row in rows for token in row.ids[row.start :]])
    single = np.zeros(len(targets))
    for found in foretell(model, texts, places, max_tokens):
        device = found.logprobs.device
        wanted = targets[found.entries].to(device)
        single[found.entries] = found.logprobs[
            torch.from_numpy(found.source).to(device), wanted
        ].cpu()
    counts = [len(row.ids) - row.start for row in rows]
    totals = np.add.reduceat(single, np.cumsum([0, *counts[:-1]]))
    bad = np.flatnonzero(~np.isfinite(totals))
    if len(bad):
        first = rows[int(bad[0])]
        raise InputError(
            f"{len(bad)} of {len(rows)} log-probabilities are NaN or infinite, first of "
            f"{first.option!r} after question {first.question} ({first.prompt[-60:]!r}). Load the "
            "model with dtype='float32' or 'bfloat16', and push less far where something is "
            "written."
        )
    return totals


def _rows(model: LanguageModel, questions: Sequence[Question]) -> list[_Row]:
    """Every question with every option, tokenised together."""
    texts: list[Rendered] = []
    prompts: list[Rendered] = []
    for number, question in enumerate(questions):
        joined = [_joined(model, question, option) for option in question.options]
        before = dict.fromkeys(text.text[:end] for text, end in joined)
        if len(before) > 1:
            raise InputError(
                f"The chat template of {model.name} writes different things before the options "
                f"of question {number}, {', '.join(map(repr, question.options))}. Reword the "
                "options, or ask in a plain text."
            )
        texts += [text for text, _ in joined]
        prompts.append(replace(joined[0][0], text=next(iter(before))))
    joined_tokens = iter(zip(texts, encode_all(model.tokenizer, texts), strict=True))
    begun = encode_all(model.tokenizer, prompts)
    return [
        _row(number, prompt.text, _real(beginning), *next(joined_tokens))
        for number, (prompt, beginning) in enumerate(zip(prompts, begun, strict=True))
        for _ in questions[number].options
    ]


def _joined(model: LanguageModel, question: Question, option: str) -> tuple[Rendered, int]:
    """A question with an option after it, and where the prompt ends, spaces left out."""
    asked = question.example
    if asked.is_chat:
        answered = Example((*asked.messages, Message("assistant", option)))
        rendered = render(model.tokenizer, answered)
        end = rendered.prompt_end
    else:
        prompt = asked.messages[0].content
        gap = "" if prompt[-1].isspace() or option[0].isspace() else " "
        rendered = render(model.tokenizer, Example.of_text(prompt + gap + option))
        end = len(prompt)
    return rendered, len(rendered.text[:end].rstrip(" "))


def _real(encoded: Encoded) -> list[int]:
    """The tokens of a text that goes on: without what a tokenizer adds at its end."""
    end = len(encoded.ids)
    while end and encoded.added[end - 1]:
        end -= 1
    return encoded.ids[:end]


def _row(number: int, prompt: str, beginning: list[int], text: Rendered, tokens: Encoded) -> _Row:
    ids, start, option = _real(tokens), len(beginning), text.text[len(prompt) :]
    straddles = tokens.offsets is not None and any(
        first < len(prompt) for first, last in tokens.offsets[start : len(ids)] if last > first
    )
    if ids[:start] != beginning or len(ids) == start or straddles:
        raise InputError(
            f"After question {number}, {option!r} cannot be told from the prompt: the tokenizer "
            f"reads the prompt's end, {prompt[-20:]!r}, otherwise with the option after it. End "
            "the prompt or begin the option at the end of a word or line."
        )
    return _Row(number, ids, start, prompt, option)
