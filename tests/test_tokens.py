"""Tokens: padding is told apart from text by what was given, never by the ids."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from repalign.errors import InputError
from repalign.tokens import Tokens

ragged = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=5)
sides = st.sampled_from(["left", "right"])


@given(ragged, sides, st.integers(0, 5))
def test_the_attended_ids_are_the_rows(rows: list[list[int]], side: Any, pad_id: int) -> None:
    # The padding id occurs in the rows too: a mask made from the ids would lose those tokens.
    tokens = Tokens.pad(rows, pad_id, side)
    for index, row in enumerate(rows):
        assert tokens.ids[index][tokens.attended[index]].tolist() == row
        assert (tokens.ids[index][~tokens.attended[index]] == pad_id).all()
    assert tokens.lengths.tolist() == [len(row) for row in rows]
    assert tokens.ids.shape[1] == max(map(len, rows))


@given(ragged, sides)
def test_each_row_counts_its_own_positions(rows: list[list[int]], side: Any) -> None:
    tokens = Tokens.pad(rows, 0, side)
    for index, row in enumerate(rows):
        places = tokens.position_ids[index]
        assert places[tokens.attended[index]].tolist() == list(range(len(row)))
    assert (tokens.position_ids >= 0).all()


def test_padding_goes_to_the_side_asked_for() -> None:
    rows = [[7, 8, 9], [5]]
    assert Tokens.pad(rows, 0).ids.tolist() == [[7, 8, 9], [5, 0, 0]]
    left = Tokens.pad(rows, 0, side="left")
    assert left.ids.tolist() == [[7, 8, 9], [0, 0, 5]]
    assert left.position_ids.tolist() == [[0, 1, 2], [0, 0, 0]]


@given(ragged, sides, st.data())
def test_a_mask_picks_the_same_tokens_on_either_side(
    rows: list[list[int]], side: Any, data: st.DataObject
) -> None:
    chosen = [sorted(data.draw(st.sets(st.integers(0, len(row) - 1)))) for row in rows]
    tokens = Tokens.pad(rows, 0, side)
    mask = tokens.mask(chosen)
    assert not (mask & ~tokens.attended).any()
    for index, (row, kept) in enumerate(zip(rows, chosen, strict=True)):
        assert tokens.ids[index][mask[index]].tolist() == [row[position] for position in kept]


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ([[0]], "1 lists of positions were given for a batch of 2 rows"),
        ([[0], [1]], r"Position 1 lies outside row 1, which has 1 tokens"),
        ([[-1], [0]], "Position -1 lies outside row 0"),
    ],
)
def test_a_mask_refuses_positions_that_are_not_there(
    positions: Sequence[Iterable[int]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Tokens.pad([[7, 8, 9], [5]], 0).mask(positions)


@pytest.mark.parametrize(
    ("rows", "message"),
    [([], "at least one row"), ([[1], [], []], r"2 of 3 rows .*first is number 1")],
)
def test_empty_input_is_refused(rows: list[list[int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Tokens.pad(rows, 0)


def test_tokens_move_together() -> None:
    moved = Tokens.pad([[1, 2], [3]], 0).to("meta")
    assert moved.ids.device == moved.attended.device == torch.device("meta")
    assert moved.position_ids.device == torch.device("meta")
