"""Pieces: texts that share a beginning stay together, in pieces of bounded work and size."""

from collections.abc import Sequence
from itertools import pairwise

from repalign.prefixes.trie import common_prefix, in_order

# A piece may end this share before its limit, where that parts texts that share less.
_EARLY = 0.75


def cut_into_pieces(
    texts: Sequence[Sequence[int]],
    rows: Sequence[int],
    *,
    max_tokens: int,
    max_rows: int,
    pieces_wanted: int = 1,
    least_tokens: int = 1,
) -> list[list[int]]:
    """Sort texts by their tokens and cut the row of them where neighbours share least.

    The pieces depend on the texts and the limits alone, not on who computes them, so that a
    collection comes out the same however often it is interrupted and however many processes share
    it.

    Args:
        texts: token ids, up to the last position read.
        rows: positions read of each text.
        max_tokens: distinct prefixes in a piece.
        max_rows: positions read in a piece. A text beyond a limit is a piece by itself.
        pieces_wanted: where there are few texts, `max_tokens` is lowered to give about so many.
        least_tokens: but not below this.

    Returns:
        Indices of the texts of each piece, in trie order.

    Example:
        >>> cut_into_pieces([[1, 2], [3], [1, 4], [3, 5]], [1, 1, 1, 1], max_tokens=3, max_rows=9)
        [[0, 2], [1, 3]]
    """
    order = in_order(texts)
    shared = [0] + [common_prefix(texts[a], texts[b]) for a, b in pairwise(order)]
    if pieces_wanted > 1:
        distinct = sum(map(len, texts)) - sum(shared)
        max_tokens = max(least_tokens, min(max_tokens, distinct // pieces_wanted))
    pieces: list[list[int]] = []
    start = 0
    while start < len(order):
        tokens, kept, stop = len(texts[order[start]]), rows[order[start]], start + 1
        fills = [0.0]
        while stop < len(order):
            index = order[stop]
            more_tokens = tokens + len(texts[index]) - shared[stop]
            more_rows = kept + rows[index]
            if more_tokens > max_tokens or more_rows > max_rows:
                break
            # The cut would come before the text at `stop`.
            fills.append(max(tokens / max_tokens, kept / max_rows))
            tokens, kept, stop = more_tokens, more_rows, stop + 1
        if stop < len(order):
            early = [place for place in range(start + 1, stop) if fills[place - start] >= _EARLY]
            stop = min([stop, *reversed(early)], key=shared.__getitem__)
        pieces.append([order[place] for place in range(start, stop)])
        start = stop
    return pieces
