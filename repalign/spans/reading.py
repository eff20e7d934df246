"""Reading: the tokens of one example and which of them are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from repalign.examples import Example
from repalign.spans.encoding import encode_all
from repalign.spans.rendering import render
from repalign.spans.span import Span

_TOGETHER = 256
"""Texts in one call of the tokenizer."""


@dataclass(frozen=True)
class Reading:
    """One example as the model gets it, and the positions that a span keeps."""

    ids: list[int]
    positions: list[int]
    """Ascending indices into `ids`, never empty."""
    offsets: list[tuple[int, int]] | None
    """Characters of `text` that each token covers; None with a slow tokenizer."""
    text: str
    """The text as rendered, template included."""


class Piece(NamedTuple):
    """The text of one token, and whether the token is read."""

    text: str
    kept: bool


def read(tokenizer: PreTrainedTokenizerBase, example: Example, span: Span) -> Reading:
    """Render and encode an example, and find the tokens of a span in it.

    Raises:
        InputError: see `render` and `Span.positions`.
    """
    return read_all(tokenizer, [example], span)[0]


def read_all(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], span: Span
) -> list[Reading]:
    """Render and encode examples and find the tokens of a span in each; faster than one by one.

    Raises:
        InputError: see `render` and `Span.positions`.
    """
    readings = []
    for start in range(0, len(examples), _TOGETHER):
        rendered = [render(tokenizer, one) for one in examples[start : start + _TOGETHER]]
        encoded = encode_all(tokenizer, rendered)
        readings += [
            Reading(tokens.ids, span.positions(text, tokens), tokens.offsets, text.text)
            for text, tokens in zip(rendered, encoded, strict=True)
        ]
    return readings


def pieces(tokenizer: PreTrainedTokenizerBase, reading: Reading) -> list[Piece]:
    """Cut the text into its tokens, to show which of them are read.

    Returns:
        One piece a token, in order. Their texts joined give the text exactly: white space that
        no token covers goes to the token after it (at the end, to the last), a character of
        several tokens to the last of them, and tokens that the tokenizer added have no text. A
        slow tokenizer cannot tell, and each piece is its token decoded by itself.
    """
    kept = set(reading.positions)
    if reading.offsets is None:
        texts = [str(tokenizer.decode([token])) for token in reading.ids]
    else:
        texts = _cut(reading.text, reading.offsets)
    return [Piece(text, index in kept) for index, text in enumerate(texts)]


def _cut(text: str, offsets: list[tuple[int, int]]) -> list[str]:
    """Cut a text at the ends of its tokens."""
    real = [index for index, (start, end) in enumerate(offsets) if end > start]
    cuts = [""] * len(offsets)
    cursor = 0
    for here, after in zip(real, [*real[1:], None], strict=True):
        # Tokens of one character share its range: the last of them gets the character.
        end = len(text) if after is None else min(offsets[here][1], offsets[after][0])
        cuts[here] = text[cursor : max(cursor, end)]
        cursor = max(cursor, end)
    return cuts
