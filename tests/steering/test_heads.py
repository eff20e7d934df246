"""Heads: the one that tells the labels apart is found, and pushed alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import toy as toys

from repalign import collect
from repalign.activations import Activations
from repalign.errors import InputError
from repalign.interventions import intervene
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.steering import heads_push, select_heads
from repalign.tokens import Tokens

HEADS, SIZE = 4, toys.WIDTH // 4
PLANTED = (Site(2, "heads"), 3)


@pytest.fixture
def read(toy: LanguageModel) -> Activations:
    """States of all heads, noise everywhere but in one head, where the label is."""
    found = collect(toy, toys.statements(), toy.sites("heads")[1:3])
    values = np.random.default_rng(0).normal(size=found.values.shape).astype(np.float32)
    column, number = found.sites.index(PLANTED[0]), PLANTED[1]
    values[:, column, number * SIZE] += 3.0 * (2 * found.labels - 1)
    return replace(found, values=values)


@pytest.mark.parametrize("kind", ["probe", "mean_difference"])
def test_the_planted_head_comes_first_and_its_direction_points_to_honest(
    toy: LanguageModel, read: Activations, kind: str
) -> None:
    best, *rest = select_heads(toy, read, count=8, kind=kind)  # pyright: ignore[reportArgumentType]
    assert (best.site, best.number) == PLANTED
    assert best.accuracy > 0.95
    assert all(head.accuracy < 0.8 for head in rest)
    assert best.direction[0] > 0.7
    start = best.number * SIZE
    rows = read.at(best.site)[:, start : start + SIZE]
    assert best.spread == pytest.approx((rows @ best.direction).std(), rel=1e-5)


def test_only_the_chosen_heads_are_pushed_by_their_spread(
    toy: LanguageModel, read: Activations
) -> None:
    chosen = select_heads(toy, read, count=1)
    push = heads_push(chosen, toy, coefficient=2.0)
    assert list(push) == [PLANTED[0]]
    start = PLANTED[1] * SIZE
    wanted = np.zeros(toys.WIDTH, dtype=np.float32)
    wanted[start : start + SIZE] = 2.0 * chosen[0].spread * chosen[0].direction
    assert push[PLANTED[0]].push == pytest.approx(wanted, rel=1e-5)
    # What attention adds to the stream moves by the projection of the push, at the last position of
    # each row and nowhere else.
    tokens = Tokens.pad([[7, 30, 12, 55], [8, 41]], 5)
    out = Site(2, "attn_out")
    plain = toy.capture(tokens, [out])[out]
    with intervene(toy, push, where="last"):
        toy.logits(tokens)
        moved = toy.capture(tokens, [out])[out] - plain
    moved_by = toy.architecture.projection(2).weight @ torch.from_numpy(wanted)
    assert torch.allclose(moved[0, 3], moved_by, atol=1e-5)
    assert torch.allclose(moved[1, 1], moved_by, atol=1e-5)
    assert moved[0, :3].abs().max() < 1e-6


@pytest.mark.parametrize("count", [0, 9])
def test_more_heads_than_there_are_cannot_be_chosen(
    toy: LanguageModel, read: Activations, count: int
) -> None:
    with pytest.raises(InputError, match="there are 8"):
        select_heads(toy, read, count)


def test_other_streams_and_single_classes_are_refused(
    toy: LanguageModel, read: Activations
) -> None:
    with pytest.raises(InputError, match="`heads` sites"):
        select_heads(toy, collect(toy, toys.statements(), [Site(1)]), 1)
    with pytest.raises(InputError, match="both labels"):
        select_heads(toy, replace(read, labels=np.ones_like(read.labels)), 1)
