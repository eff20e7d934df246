"""draw(): the inverse of the cumulative distribution, at its edges too."""

import numpy as np
import pytest
import torch

from repalign.behavior.drawing import Draws, draw, uniforms

LAST = 1 - 2**-53
"""The largest number that is drawn."""


@pytest.mark.parametrize("words", [1, 5, 256, 257, 1000])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_a_token_is_where_the_cumulative_distribution_passes_the_number(
    words: int, temperature: float
) -> None:
    logits = torch.randn(4, words) * 3
    rows = np.arange(4).repeat(50)
    numbers = np.random.default_rng(0).random(200)
    tokens, logprobs = draw(logits, rows, numbers, temperature)
    chances = torch.softmax(logits.double() / temperature, dim=-1).cumsum(dim=-1).numpy()
    for row, number, token in zip(rows, numbers, tokens, strict=True):
        below = chances[row, token - 1] if token else 0.0
        assert below - 1e-5 <= number <= chances[row, token] + 1e-5
    expected = torch.log_softmax(logits.double(), dim=-1).numpy()[rows, tokens]
    np.testing.assert_allclose(logprobs, expected, atol=1e-5)


@pytest.mark.parametrize("possible", [[0], [255], [256], [700], [3, 300, 999], [999]])
def test_what_is_impossible_is_never_drawn(possible: list[int]) -> None:
    logits = torch.full((1, 1000), -torch.inf)
    logits[0, possible] = 0.0
    numbers = np.array([0.0, 1 / 3, 0.5, 2 / 3, LAST])
    tokens, logprobs = draw(logits, np.zeros(5, dtype=np.int64), numbers, 1.0)
    assert set(tokens) <= set(possible)
    assert tokens[0] == possible[0]
    assert tokens[-1] == possible[-1]
    np.testing.assert_allclose(logprobs, -np.log(len(possible)), atol=1e-6)


def test_logits_of_any_size_and_format_are_a_distribution() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        logits = torch.tensor([[30_000.0, 30_000.0, -60_000.0]], dtype=dtype)
        tokens, logprobs = draw(logits, np.zeros(2, dtype=np.int64), np.array([0.2, 0.8]), 1.0)
        assert list(tokens) == [0, 1]
        np.testing.assert_allclose(logprobs, np.log(0.5), atol=1e-6)


def test_temperature_0_takes_the_likeliest_with_its_log_probability() -> None:
    logits = torch.randn(3, 400)
    tokens, logprobs = draw(logits, np.arange(3), np.zeros(3), 0.0)
    expected = torch.log_softmax(logits, dim=-1).max(dim=-1)
    assert list(tokens) == expected.indices.tolist()
    np.testing.assert_allclose(logprobs, expected.values, atol=1e-5)


def test_numbers_belong_to_seed_place_and_sample_alone() -> None:
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0)]
    drawn = {tuple(uniforms(*key, 4)) for key in keys}
    assert len(drawn) == len(keys)
    assert list(uniforms(5, 6, 7, 3)) == list(uniforms(5, 6, 7, 9)[:3])


def test_an_answer_that_has_ended_draws_no_more() -> None:
    draws = Draws([(0, 0), (0, 1)], seed=0, temperature=0.0, ends=[2], steps=3)
    two_ends = torch.tensor([[0.0, 5.0, 0.0], [0.0, 0.0, 5.0]])
    rows, tokens = draws.step(two_ends, np.array([0, 1]))
    assert (rows.tolist(), tokens.tolist(), draws.live.tolist()) == ([0], [1], [0])
    for going in (1, 0):
        rows, _ = draws.step(two_ends[:1], np.array([0]))
        assert len(rows) == going
    first, second = draws.answers()
    assert (first.ids, first.cut) == ((1, 1, 1), True)
    assert (second.ids, second.cut) == ((2,), False)
