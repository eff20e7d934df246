"""Trie: the distinct prefixes of a set of texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from jaxtyping import Int

from repalign.errors import InputError


@dataclass(frozen=True)
class Trie:
    """Token sequences as a forest; a node is a distinct prefix, named by its last token.

    A causal model's state at a token depends on the tokens up to it and on nothing else, so it has
    to be computed once per node. Nodes are numbered in preorder: a parent comes before its
    children, and the nodes below `i` are `i + 1` to `end[i] - 1`.

    Example:
        >>> trie = Trie.of([[7, 8, 9], [7, 8], [7, 5]], [[2], [1], [0, 1]])
        >>> trie.token.tolist(), trie.depth.tolist(), trie.end.tolist()
        ([7, 5, 8, 9], [0, 1, 1, 2], [4, 2, 4, 4])
        >>> trie.wanted.tolist()
        [3, 2, 0, 1]
    """

    token: Int[np.ndarray, " node"]
    depth: Int[np.ndarray, " node"]
    """Place of the token in its text, from 0."""
    parent: Int[np.ndarray, " node"]
    """-1 at the first token of a text."""
    end: Int[np.ndarray, " node"]
    """One past the last node of the subtree."""
    wanted: Int[np.ndarray, " entry"]
    """The node of every position that is read: text after text, positions in their order."""

    def __len__(self) -> int:
        """The number of distinct prefixes."""
        return len(self.token)

    @classmethod
    def of(
        cls,
        texts: Sequence[Sequence[int]],
        positions: Sequence[Sequence[int]],
        *,
        share: bool = True,
    ) -> "Trie":
        """Build the trie of texts, as far as they are read.

        What stands after the last position read of a text cannot change what is read in a causal
        model, and is left out; without sharing nothing is left out.

        Args:
            texts: token ids of each text.
            positions: ascending positions that are read of each text, none empty.
            share: False gives every text a branch of its own.

        Raises:
            InputError: a text of which no position, or one outside it, is read.
        """
        for index, (text, kept) in enumerate(zip(texts, positions, strict=True)):
            if not kept or not 0 <= kept[0] <= kept[-1] < len(text):
                raise InputError(
                    f"Text {index} has {len(text)} tokens; positions {list(kept)[:5]} cannot be "
                    "read of it."
                )
        trimmed = list(texts)
        if share:
            trimmed = [text[: kept[-1] + 1] for text, kept in zip(texts, positions, strict=True)]
        order = in_order(trimmed) if share else range(len(texts))
        token: list[int] = []
        depth: list[int] = []
        parent: list[int] = []
        end: list[int] = []
        path: list[int] = []
        before: Sequence[int] = ()
        nodes: list[list[int]] = [[] for _ in trimmed]
        for index in order:
            text = trimmed[index]
            common = common_prefix(before, text) if share else 0
            for node in path[common:]:
                end[node] = len(token)
            del path[common:]
            for place in range(common, len(text)):
                parent.append(path[-1] if path else -1)
                path.append(len(token))
                token.append(text[place])
                depth.append(place)
                end.append(-1)
            nodes[index] = [path[place] for place in positions[index]]
            before = text
        for node in path:
            end[node] = len(token)
        wanted = [node for kept in nodes for node in kept]
        return cls(
            *(np.array(part, dtype=np.int64) for part in (token, depth, parent, end, wanted))
        )

    def above(self, node: int, depth: int) -> list[int]:
        """A node and its ancestors from `depth` on, the highest first."""
        path = []
        while node >= 0 and self.depth[node] >= depth:
            path.append(node)
            node = int(self.parent[node])
        return path[::-1]


def in_order(texts: Sequence[Sequence[int]]) -> list[int]:
    """Indices of texts in the order of their tokens, so that texts with one beginning meet."""
    # Lists and arrays of integers compare token by token; their common type does not promise it.
    return sorted(range(len(texts)), key=cast(Any, texts).__getitem__)


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """Number of tokens that two texts share at their beginning."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
