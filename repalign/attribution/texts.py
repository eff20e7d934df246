"""Texts: calibration examples as tokens, with the tokens of the response marked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from repalign import checks
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.models.memory import positions_per_pass
from repalign.spans import Span
from repalign.spans.reading import read_all

_CPU_TOKENS = 256


@dataclass(frozen=True)
class Text:
    """One example as the model reads it."""

    ids: list[int]
    response: list[int]
    """Ascending positions of the response's tokens, none of them the first of the text."""
    group: str


def texts_of(
    model: LanguageModel, examples: Sequence[Example], span: str, name: str = "examples"
) -> list[Text]:
    """Encode examples and find the tokens of their responses.

    The first token of a text has nothing before it that could predict it, so it is never counted.
    A chat is read up to its answer's last character: the template's closing tokens do not count.

    Args:
        model: its first use runs its self-checks.
        examples: chats that end in an answer, or whatever `span` reads.
        span: which tokens are the response, see `repalign.spans.Span`.
        name: what messages call the set.

    Raises:
        InputError: no examples, one without response tokens, or one beyond the model's context.
    """
    if not examples:
        raise InputError(f"The set {name!r} is empty; a calibration set needs examples.")
    checks.ensure(model)
    found = []
    readings = read_all(model.tokenizer, examples, Span.parse(span))
    context = model.architecture.context
    for number, (example, reading) in enumerate(zip(examples, readings, strict=True)):
        response = [position for position in reading.positions if position > 0]
        if not response:
            raise InputError(
                f"Example {number} of the set {name!r} has no response tokens: its span {span!r} "
                "holds only the first token of the text, which nothing predicts."
            )
        if context is not None and len(reading.ids) > context:
            raise InputError(
                f"Example {number} of the set {name!r} has {len(reading.ids)} tokens; {model.name} "
                f"reads {context}. Leave it out."
            )
        found.append(Text(reading.ids, response, example.group or f"{name} {number}"))
    return found


def batches(texts: Sequence[Text], max_tokens: int, by_row: bool) -> Iterator[list[int]]:
    """Put texts of like length together, at most `max_tokens` positions, padding included.

    Args:
        texts: whose indices are yielded.
        max_tokens: a longer text has a batch of its own.
        by_row: whether rows of a batch can be told apart; if not, each text is alone.
    """
    batch: list[int] = []
    for index in sorted(range(len(texts)), key=lambda index: len(texts[index].ids)):
        full = (len(batch) + 1) * len(texts[index].ids) > max_tokens or not by_row
        if batch and full:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def tokens_per_pass(model: LanguageModel) -> int:
    """Positions of a pass whose graph is kept, padding included: all layers' states, not one's."""
    if model.device.type != "cuda":
        return _CPU_TOKENS
    return max(_CPU_TOKENS, positions_per_pass(model) // model.n_layers)
