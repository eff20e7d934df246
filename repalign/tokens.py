"""Tokens: a padded batch of token ids, and which of its positions are real."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from repalign.errors import InputError


@dataclass(frozen=True, eq=False)
class Tokens:
    """A batch of token ids, ragged rows filled up with padding.

    Which positions a role, an answer or a pattern covers is a *position mask*, a Bool
    `[batch pos]` tensor beside the tokens; `mask` makes one from the positions of a span.

    Example:
        >>> tokens = Tokens.pad([[5, 6, 7], [8]], pad_id=0)
        >>> tokens.ids.tolist(), tokens.attended.tolist()
        ([[5, 6, 7], [8, 0, 0]], [[True, True, True], [True, False, False]])
        >>> tokens.mask([[2], [0]]).tolist()
        [[False, False, True], [True, False, False]]
    """

    ids: Int[Tensor, "batch pos"]
    """Token ids; what stands at padded positions is of no account."""
    attended: Bool[Tensor, "batch pos"]
    """True at real tokens. It is never derived from the ids: the padding token may occur in a
    text, and many models pad with their end-of-text token."""

    @classmethod
    def pad(
        cls,
        rows: Sequence[Sequence[int]],
        pad_id: int,
        side: Literal["right", "left"] = "right",
    ) -> "Tokens":
        """Build a batch as wide as its longest row.

        Args:
            rows: token ids, one sequence a text, none empty.
            pad_id: id that fills the rest; any valid id will do.
            side: where the padding goes. Right for reading; left for generating.

        Raises:
            InputError: no rows, an empty row, or a side that is neither right nor left.
        """
        if side not in ("right", "left"):
            raise InputError(f"Padding goes to the 'right' or the 'left', not to {side!r}.")
        if not rows:
            raise InputError("A batch needs at least one row of token ids; none was given.")
        empty = [index for index, row in enumerate(rows) if len(row) == 0]
        if empty:
            raise InputError(
                f"{len(empty)} of {len(rows)} rows have no tokens (the first is number "
                f"{empty[0]}); leave texts without tokens out of the batch."
            )
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
        attended = torch.zeros((len(rows), width), dtype=torch.bool)
        for index, row in enumerate(rows):
            start = width - len(row) if side == "left" else 0
            ids[index, start : start + len(row)] = torch.tensor(row, dtype=torch.long)
            attended[index, start : start + len(row)] = True
        return cls(ids, attended)

    @property
    def position_ids(self) -> Int[Tensor, "batch pos"]:
        """Places of the tokens in their own text, from 0; 0 at padding to the left.

        Models with learned absolute positions need them under left padding: without them a text
        would be read as if it began later.
        """
        return (self.attended.long().cumsum(-1) - 1).clamp(min=0)

    @property
    def lengths(self) -> Int[Tensor, " batch"]:
        """Number of real tokens in each row."""
        return self.attended.sum(-1)

    def mask(self, positions: Sequence[Iterable[int]]) -> Bool[Tensor, "batch pos"]:
        """Return the position mask that is True at the given tokens of each row.

        Args:
            positions: for each row, indices into its own tokens, padding not counted, as
                `Span.positions` returns them.

        Raises:
            InputError: as many lists as rows are needed, and each index inside its row.
        """
        if len(positions) != len(self.ids):
            raise InputError(
                f"{len(positions)} lists of positions were given for a batch of "
                f"{len(self.ids)} rows; give one list for each row."
            )
        kept = torch.zeros_like(self.attended)
        for index, wanted in enumerate(positions):
            places = self.attended[index].nonzero().squeeze(-1).tolist()
            for position in wanted:
                if not 0 <= position < len(places):
                    raise InputError(
                        f"Position {position} lies outside row {index}, which has "
                        f"{len(places)} tokens (positions 0 to {len(places) - 1})."
                    )
                kept[index, places[position]] = True
        return kept

    def to(self, device: torch.device | str) -> "Tokens":
        """Return the same tokens on another device."""
        return Tokens(self.ids.to(device), self.attended.to(device))
