"""Contrast: per input, push along what two prompted copies of it differ by."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from repalign.errors import InputError
from repalign.interventions.passing import Passing


@dataclass(frozen=True)
class Contrast:
    """`h + coefficient · (h_honest − h_dishonest)`, the contrast vector of RepE (arXiv 2310.01405).

    It acts on batches of triples: rows 3i, 3i + 1 and 3i + 2 are a text, the same text after an
    honest instruction, and after a dishonest one, padded on the left so that their common end lies
    in the same columns. `triples` makes such batches. Each text is moved where all three rows have
    the same tokens up to the end; the instructed rows are never changed.

    As in RepE's code the two streams are those of the same pass. Differs from it: the common end is
    found from the tokens instead of being counted by the user.

    To generate, all three rows have to go on with the same tokens: those of the moved text.

        model.generate(tokens, logits_processor=[interventions.together])
    """

    coefficient: float = 0.25
    by_row = True

    def __call__(self, states: Tensor) -> Tensor:
        """Refuse to act without knowing the tokens."""
        raise InputError("Contrast acts within intervene(), where the tokens are known.")

    def at(
        self, states: Float[Tensor, "batch pos d_model"], passing: Passing
    ) -> Float[Tensor, "batch pos d_model"]:
        """Move the first row of each triple.

        Raises:
            InputError: rows that are no triples, or without a common end.
        """
        if passing.ids is None or len(states) % 3:
            raise InputError(
                f"Contrast needs token ids in triples of rows; this batch has {len(states)} rows. "
                "Build it with interventions.triples(...)."
            )
        common = _common_end(passing)
        if not bool(common.any(dim=1).all()):
            raise InputError(
                "A triple has no common end: its rows have to end in the same tokens, padded on "
                "the left."
            )
        plain, honest, dishonest = states.unflatten(0, (-1, 3)).unbind(dim=1)
        push = self.coefficient * (honest - dishonest)
        moved = torch.where(common.unsqueeze(-1), plain + push, plain)
        return torch.stack([moved, honest, dishonest], dim=1).flatten(0, 1)


def triples(
    plain: Sequence[Sequence[int]],
    honest: Sequence[Sequence[int]],
    dishonest: Sequence[Sequence[int]],
) -> list[Sequence[int]]:
    """Rows of token ids in the order that `Contrast` reads; pad them on the left.

    Raises:
        InputError: lists of different length.
    """
    if not len(plain) == len(honest) == len(dishonest):
        raise InputError(
            f"{len(plain)} texts, {len(honest)} honest and {len(dishonest)} dishonest ones were "
            "given; every text needs both."
        )
    return [row for three in zip(plain, honest, dishonest, strict=True) for row in three]


def together(_ids: Tensor, scores: Float[Tensor, "row vocab"]) -> Float[Tensor, "row vocab"]:
    """A logits processor: the rows of a triple choose the next token by the scores of the text."""
    return scores[::3].repeat_interleave(3, dim=0)


def _common_end(passing: Passing) -> Bool[Tensor, "triple pos"]:
    assert passing.ids is not None
    plain, honest, dishonest = passing.ids.unflatten(0, (-1, 3)).unbind(dim=1)
    real = passing.attended.unflatten(0, (-1, 3)).all(dim=1)
    same = (plain == honest) & (plain == dishonest) & real
    return same.flip(1).long().cumprod(dim=1).flip(1).bool()
