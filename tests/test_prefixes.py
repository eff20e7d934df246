"""Prefixes: every distinct prefix is planned once, with its ancestors in front of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repalign.errors import InputError
from repalign.prefixes import Pass, Plan, Trie, cut_into_pieces

# Few tokens, so that texts share beginnings, equal each other and begin each other.
texts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=30)
limits = st.integers(1, 60)


def _all(rows: list[list[int]]) -> list[range]:
    return [range(len(row)) for row in rows]


def _prefix(trie: Trie, node: int) -> tuple[int, ...]:
    return tuple(int(trie.token[n]) for n in trie.above(node, 0))


@given(texts)
def test_a_node_is_a_distinct_prefix(rows: list[list[int]]) -> None:
    trie = Trie.of(rows, _all(rows))
    prefixes = [_prefix(trie, node) for node in range(len(trie))]
    assert len(set(prefixes)) == len(prefixes)
    assert set(prefixes) == {tuple(row[: n + 1]) for row in rows for n in range(len(row))}
    wanted = [tuple(row[: n + 1]) for row in rows for n in range(len(row))]
    assert [prefixes[node] for node in trie.wanted] == wanted
    assert [len(prefix) - 1 for prefix in prefixes] == trie.depth.tolist()
    for node in range(len(trie)):
        below = {
            n for n in range(len(trie)) if prefixes[n][: len(prefixes[node])] == prefixes[node]
        }
        assert below == set(range(node, trie.end[node]))


@given(texts)
def test_without_sharing_every_text_is_a_branch_of_its_own(rows: list[list[int]]) -> None:
    trie = Trie.of(rows, _all(rows), share=False)
    assert len(trie) == sum(map(len, rows))
    assert len(set(trie.wanted.tolist())) == len(trie)
    assert (trie.parent < 0).sum() == len(rows)


def test_what_stands_after_the_last_position_read_is_left_out() -> None:
    trie = Trie.of([[5, 6, 7, 8], [5, 6, 9]], [[0, 1], [1]])
    assert trie.token.tolist() == [5, 6]
    assert trie.wanted.tolist() == [0, 1, 1]


@pytest.mark.parametrize("kept", [[], [3], [-1]])
def test_positions_outside_a_text_are_refused(kept: list[int]) -> None:
    with pytest.raises(InputError, match="Text 0 has 3 tokens"):
        Trie.of([[5, 6, 7]], [kept])


def _check(plan: Plan, max_tokens: int) -> None:
    """Every node is computed, and where it is computed, all of its ancestors are seen."""
    trie, computed = plan.trie, set()
    paths: dict[int | None, list[int]] = {None: []}
    for index, step in enumerate(plan.passes):
        trunk = paths[step.trunk]
        assert step.before == len(trunk)
        for row in step.rows:
            assert (np.diff(row) > 0).all()
            held = set(row.tolist())
            assert not held & set(trunk)
            for node in row.tolist():
                assert set(trie.above(node, 0)) <= held | set(trunk)
            computed |= held
        if step.kept:
            assert len(step.rows) == 1
            paths[index] = trunk + step.rows[0].tolist()
            assert paths[index] == trie.above(paths[index][-1], 0)
        assert step.positions <= max(max_tokens, int(trie.depth.max()) + 1)
    assert computed == set(range(len(trie)))


@given(texts, limits, st.integers(1, 20), st.integers(0, 5))
def test_every_node_is_computed_behind_its_ancestors(
    rows: list[list[int]], max_tokens: int, row: int, overhead: int
) -> None:
    _check(
        Plan.of(Trie.of(rows, _all(rows)), max_tokens, row=row, overhead=float(overhead)),
        max_tokens,
    )


@given(texts, limits)
def test_whole_texts_are_rows_of_their_own(rows: list[list[int]], max_tokens: int) -> None:
    plan = Plan.whole(Trie.of(rows, _all(rows), share=False), max_tokens)
    _check(plan, max_tokens)
    lengths = [len(row) for step in plan.passes for row in step.rows]
    assert lengths == sorted(map(len, rows), reverse=True)
    assert all(step.trunk is None and not step.kept for step in plan.passes)


def test_a_long_common_beginning_is_computed_once() -> None:
    beginning = list(range(100, 160))
    rows = [[*beginning, n, n + 1, n + 2] for n in range(200, 1100, 3)]
    plan = Plan.of(Trie.of(rows, [[62]] * 300), 512)
    trunk = plan.passes[0]
    assert trunk.kept
    assert trunk.rows[0].tolist() == list(range(60))
    assert all(step.before == 60 and step.trunk == 0 for step in plan.passes[1:])
    # 60 + 300 × 3 distinct prefixes; padding is what may come on top.
    assert plan.positions <= 1.05 * 960


@pytest.mark.parametrize(("shared", "own"), [(400, 10), (2000, 50), (100, 3)])
def test_rows_that_repeat_much_stay_within_a_pass(shared: int, own: int) -> None:
    start = list(range(10_000, 10_000 + shared))
    rows = [[*start, *range(n * own, (n + 1) * own)] for n in range(100)]
    plan = Plan.of(Trie.of(rows, _all(rows)), 512)
    assert max(step.positions for step in plan.passes) <= max(512, shared + own)
    assert plan.positions <= 1.25 * (shared + 100 * own)


def test_a_trunk_that_saves_less_than_a_pass_costs_is_not_cached() -> None:
    rows = [[1, 2, n, n + 1, n + 2] for n in range(10, 100, 3)]
    assert [step.kept for step in Plan.of(Trie.of(rows, [[4]] * 30), 512).passes] == [False]


def test_trunks_stand_on_trunks() -> None:
    start, one, other = list(range(60)), list(range(100, 160)), list(range(200, 260))
    ends = [[n, n + 1, n + 2] for n in range(300, 900, 3)]
    rows = [start + middle + end for middle in (one, other) for end in ends]
    plan = Plan.of(Trie.of(rows, [[122]] * len(rows)), 512)
    assert [(step.trunk, step.before) for step in plan.passes if step.kept] == [
        (None, 0),
        (0, 60),
        (0, 60),
    ]
    assert plan.positions <= 1.05 * (60 + 2 * 60 + 2 * 200 * 3)


def test_prefixes_of_one_text_cost_no_more_than_the_text() -> None:
    rows = [list(range(n)) for n in range(1, 101)]
    plan = Plan.of(Trie.of(rows, [[n - 1] for n in range(1, 101)]), 512)
    assert plan.positions == 100


@given(texts, limits, limits)
def test_pieces_hold_each_text_once_and_no_more_than_asked(
    rows: list[list[int]], max_tokens: int, max_rows: int
) -> None:
    counts = [len(row) for row in rows]
    pieces = cut_into_pieces(rows, counts, max_tokens=max_tokens, max_rows=max_rows)
    order = [index for piece in pieces for index in piece]
    assert sorted(order) == list(range(len(rows)))
    assert [rows[index] for index in order] == sorted(rows)
    for piece in pieces:
        part = [rows[index] for index in piece]
        if len(piece) > 1:
            assert len(Trie.of(part, _all(part))) <= max_tokens
            assert sum(map(len, part)) <= max_rows


def test_a_piece_ends_where_neighbours_share_least() -> None:
    one = [[1, 1, n] for n in range(4)]
    other = [[2, 2, n] for n in range(4)]
    # Five fit; a cut after four fills more than three quarters and parts what shares nothing.
    assert cut_into_pieces(one + other, [1] * 8, max_tokens=100, max_rows=5) == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
    ]


def test_a_plan_needs_room_for_a_token() -> None:
    with pytest.raises(InputError, match="max_tokens=0"):
        Plan.of(Trie.of([[1]], [[0]]), 0)


def test_width_and_positions_count_padding() -> None:
    step = Pass((np.array([0, 1, 2]), np.array([3])), None, 0, False)
    assert (step.width, step.positions) == (3, 6)
