"""Plan: which forward passes compute every node of a trie once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from repalign.errors import InputError
from repalign.prefixes.trie import Trie

ROWS = (96, 112, 128)
"""Nodes in one row of a batch: wide enough to repeat little of what its nodes share, narrow enough
that attention, which grows with the square of it, costs little. What fits best depends on where the
branches end, so each is tried."""
# A row that has to repeat many ancestors grows to this many times their number.
_STRETCH = 4
# A row may end this share before its limit, where the next one then repeats fewer ancestors.
_EARLY = 0.75
# What a pass costs beyond its tokens, as a share of the largest pass. Measured on two CPU cores: a
# pass of 28 tokens takes as long as 75 in a full one of 512.
_OVERHEAD = 1 / 12


@dataclass(frozen=True)
class Pass:
    """One forward pass: rows of nodes behind a common trunk."""

    rows: tuple[np.ndarray, ...]
    """The nodes of each row, ascending, so that parents stand before children. A node's parent is
    in its row or is the trunk's last node."""
    trunk: int | None
    """Index of the pass whose cached state stands before the rows."""
    before: int
    """Number of tokens of that state."""
    kept: bool
    """Whether later passes stand on this one; it then has a single row, an unbranched path."""

    @property
    def width(self) -> int:
        """The longest row."""
        return max(len(row) for row in self.rows)

    @property
    def positions(self) -> int:
        """Positions computed, padding included."""
        return len(self.rows) * self.width


@dataclass(frozen=True)
class Plan:
    """The passes that compute a trie, in an order in which a trunk comes before what needs it."""

    trie: Trie
    passes: tuple[Pass, ...]

    @property
    def positions(self) -> int:
        """Positions computed in all passes, repeated ancestors and padding included."""
        return sum(step.positions for step in self.passes)

    @classmethod
    def of(
        cls, trie: Trie, max_tokens: int, *, row: int | None = None, overhead: float | None = None
    ) -> "Plan":
        """Plan the passes of a trie.

        Nodes are laid out in rows: pieces of the preorder, each with the ancestors that its nodes
        need. Where many rows would repeat a long common beginning, that beginning becomes a trunk:
        it is computed once, its state is cached, and the rows of its subtree stand behind it.

        Args:
            trie: what to compute.
            max_tokens: positions of one pass, padding included; a longer text gets a pass alone.
            row: nodes of a row; None plans with each of `ROWS` and takes the cheapest plan.
            overhead: what a pass costs beyond its tokens, in tokens; None takes 1/12 of
                `max_tokens`.

        Raises:
            InputError: limits below one.
        """
        if max_tokens < 1 or (row is not None and row < 1):
            raise InputError(f"max_tokens={max_tokens} and row={row} have to be at least 1.")
        cost = max_tokens * _OVERHEAD if overhead is None else overhead
        plans = []
        for width in dict.fromkeys(
            min(one, max_tokens) for one in (ROWS if row is None else [row])
        ):
            planner = _Planner(trie, max_tokens, width, cost)
            planner.subtree(np.arange(len(trie)), None, 0)
            plans.append(cls(trie, tuple(planner.passes)))
        return min(plans, key=lambda plan: plan.positions + cost * len(plan.passes))

    @classmethod
    def whole(cls, trie: Trie, max_tokens: int) -> "Plan":
        """Plan a pass over whole texts, for models whose state cannot be shared.

        Args:
            trie: built with `share=False`.
            max_tokens: positions of one pass, padding included.
        """
        starts = np.flatnonzero(trie.parent < 0)
        rows = [np.arange(start, trie.end[start]) for start in starts]
        planner = _Planner(trie, max_tokens, ROWS[-1], 0.0)
        planner.batch(rows, None, 0)
        return cls(trie, tuple(planner.passes))


class _Planner:
    """The passes found so far."""

    def __init__(self, trie: Trie, max_tokens: int, row: int, overhead: float) -> None:
        self.trie, self.max_tokens, self.row, self.overhead = trie, max_tokens, row, overhead
        self.passes: list[Pass] = []
        children = np.bincount(trie.parent[trie.parent >= 0], minlength=len(trie))
        self.branching = children > 1

    def subtree(self, nodes: np.ndarray, trunk: int | None, before: int) -> None:
        """Plan nodes that stand behind a trunk of `before` tokens."""
        while (node := self._best_trunk(nodes, before)) is not None:
            path = np.array(self.trie.above(node, before))
            self.passes.append(Pass((path,), trunk, before, True))
            inside = (nodes > node) & (nodes < self.trie.end[node])
            self.subtree(nodes[inside], len(self.passes) - 1, int(self.trie.depth[node]) + 1)
            nodes = nodes[~inside & ~np.isin(nodes, path)]
        self.batch(list(self._rows(nodes, before)), trunk, before)

    def _best_trunk(self, nodes: np.ndarray, before: int) -> int | None:
        """The node whose path is most worth caching, if any is."""
        places = np.flatnonzero(self.branching[nodes])
        if not len(places):
            return None
        found = nodes[places]
        below = np.searchsorted(nodes, self.trie.end[found]) - places - 1
        path = self.trie.depth[found] + 1 - before
        stretched = np.minimum(_STRETCH * path, self.max_tokens)
        rows = np.ceil(below / np.maximum(np.maximum(self.row, stretched) - path, 1))
        # Without the trunk every row repeats the path; with it there are two more, smaller passes.
        gain = path * (rows - 1) - 2 * self.overhead
        best = int(np.argmax(gain))
        return int(found[best]) if gain[best] > 0 else None

    def _limit(self, repeated: int) -> int:
        """Nodes of a row that repeats some ancestors."""
        return max(self.row, min(_STRETCH * repeated, self.max_tokens))

    def _rows(self, nodes: np.ndarray, before: int) -> Iterator[np.ndarray]:
        """Cut a preorder into rows and add the ancestors that each needs.

        Rows are cut only where a branch begins: a cut within a path would repeat all of it.
        """
        parents = self.trie.parent[nodes]
        starts = np.flatnonzero(np.r_[True, parents[1:] != nodes[:-1]]) if len(nodes) else nodes
        bounds = [*starts.tolist(), len(nodes)]
        repeated = (self.trie.depth[nodes[starts]] - before).tolist()
        first = 0
        while first < len(starts):
            limit = self._limit(repeated[first])
            left = len(nodes) - bounds[first]
            # Rows of even length, since the shortest one of a pass is padded to the longest.
            even = repeated[first] + -(-left // -(-left // limit))
            row: set[int] = set()
            fills: list[int] = []
            last = first
            while last < len(starts):
                piece = nodes[bounds[last] : bounds[last + 1]].tolist()
                missing = self._missing(piece[0], row, before)
                length = len(row) + len(missing) + len(piece)
                if row and (len(row) >= even or length > limit):
                    break
                fills.append(len(row))
                row.update(missing, piece)
                last += 1
            if last < len(starts):
                enough = _EARLY * len(row)
                early = [k for k in range(first + 1, last) if fills[k - first] >= enough]
                cut = min([last, *reversed(early)], key=repeated.__getitem__)
                if cut < last:
                    gone = set(nodes[bounds[cut] : bounds[last]].tolist())
                    row = self._closed(row - gone, nodes[bounds[first] : bounds[cut]], before)
                last = cut
            yield np.array(sorted(row))
            first = last

    def _missing(self, node: int, row: set[int], before: int) -> list[int]:
        """Ancestors of a node that are neither in its row nor in the trunk."""
        found = []
        parent = int(self.trie.parent[node])
        while parent >= 0 and self.trie.depth[parent] >= before and parent not in row:
            found.append(parent)
            parent = int(self.trie.parent[parent])
        return found

    def _closed(self, row: set[int], nodes: np.ndarray, before: int) -> set[int]:
        """Of a row's nodes those that `nodes` need: themselves and their ancestors."""
        needed: set[int] = set()
        for node in nodes.tolist():
            needed.add(node)
            needed.update(self._missing(node, needed, before))
        return needed & row

    def batch(self, rows: list[np.ndarray], trunk: int | None, before: int) -> None:
        """Group rows of similar length into passes; the longest come first, so that memory that
        does not suffice shows at once."""
        rows = sorted(rows, key=lambda row: (-len(row), int(row[0])))
        group: list[np.ndarray] = []
        for row in rows:
            if group and (len(group) + 1) * len(group[0]) > self.max_tokens:
                self.passes.append(Pass(tuple(group), trunk, before, False))
                group = []
            group.append(row)
        if group:
            self.passes.append(Pass(tuple(group), trunk, before, False))
