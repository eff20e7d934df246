"""Tokens: a text with the score of each of its tokens as a colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from repalign.reports.numbers import plain, printable

Piece = Sequence[Any]
"""The token's text, whether it was read, and its score or None."""

# Blue and vermilion, as `drawing.HIGH` and `drawing.LOW`, thin enough for text in either theme.
_HIGH, _LOW, _STRONGEST = "0,114,179", "213,94,1", 0.6
_READ = "outline:1.5px solid currentColor;outline-offset:-1.5px;border-radius:2px;"
_BLOCK = (
    "white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;line-height:1.9;"
    "font-family:ui-monospace,Menlo,Consolas,monospace"
)
_VISIBLE = str.maketrans({"\n": "↵\n", "\r": "␍", "\t": "⇥\t"})


@dataclass(frozen=True)
class TokenView:
    """A text whose tokens are coloured by score; a notebook shows it when a cell returns it.

    Example:
        >>> view = TokenView("capitals", [["Paris", False, -0.5], [".", True, 2.0]])
        >>> view.limit
        2.0
    """

    title: str
    pieces: Sequence[Piece]
    """For each token its text, whether it was read, and its score or None."""
    scale: float | None = None
    """The score of full colour; the largest of the tokens read without it."""

    @property
    def limit(self) -> float:
        """The score of full colour: give several texts the same to compare them."""
        return full_colour(self.pieces) if self.scale is None else self.scale

    def _repr_html_(self) -> str:
        tokens = tokens_html(self.pieces, self.limit)
        return f"<div><p>{escape(printable(self.title))}</p>{tokens}</div>"


def tokens_html(pieces: Sequence[Piece], limit: float | None = None) -> str:
    """Markup of a text with its tokens coloured: blue above zero, vermilion below.

    Args:
        pieces: for each token its text, whether it was read, and its score or None.
        limit: the score of full colour; the largest of the tokens read without it.

    Returns:
        A `div` that needs no style sheet; every text in it is escaped. Tokens that were read have
        an outline, and pointing at a token shows its score.

    Example:
        >>> "&lt;b&gt;" in tokens_html([["<b>", True, 0.25]])
        True
    """
    limit = full_colour(pieces) if limit is None else limit
    inside = "".join(_token(str(text), bool(read), score, limit) for text, read, score in pieces)
    return f'<div class="tokens" dir="auto" style="{_BLOCK}">{inside}</div>'


def full_colour(pieces: Sequence[Piece]) -> float:
    """The largest absolute score among the tokens that were read; 0 when no token has a score.

    Only where no token was read do the others count: the first token of a text is an attention sink
    in many models, and its score, a hundred times the others', would leave them without colour.
    """
    scored = [(bool(piece[1]), abs(float(piece[2]))) for piece in pieces if piece[2] is not None]
    read = [score for kept, score in scored if kept]
    return max(read or [score for _, score in scored], default=0.0)


def colour(score: float, limit: float) -> str:
    """The background of a token of this score, as CSS."""
    share = min(1.0, abs(score) / limit) if limit > 0 else 0.0
    return f"rgba({_HIGH if score >= 0 else _LOW},{_STRONGEST * share:.2f})"


def _token(text: str, read: bool, score: float | None, limit: float) -> str:
    shown = escape(printable(text).translate(_VISIBLE))
    how = "read" if read else "not read"
    if score is None:
        style, title = "", f"no score, {how}"
    else:
        style, title = f"background:{colour(float(score), limit)};", f"{plain(score)}, {how}"
    style += _READ if read else ""
    name = "token read" if read else "token"
    return f'<span class="{name}" style="{style}" title="{title}">{shown}</span>'
