"""Spans: which tokens of an example are read, and the proof of it.

An example is rendered (`render`), encoded (`encode`), and a `Span` picks positions in it;
`read` does the three, `pieces` shows what came of it.
"""

from repalign.spans.encoding import Encoded, encode
from repalign.spans.reading import Piece, Reading, pieces, read, read_all
from repalign.spans.rendering import Part, Rendered, render
from repalign.spans.span import Span

__all__ = [
    "Encoded",
    "Part",
    "Piece",
    "Reading",
    "Rendered",
    "Span",
    "encode",
    "pieces",
    "read",
    "read_all",
    "render",
]
