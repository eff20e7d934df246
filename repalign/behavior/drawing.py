"""Drawing: the next token of each answer, from numbers that belong to that answer alone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from repalign.errors import InputError

_BLOCK = 256


class Answer(NamedTuple):
    """One answer, as tokens."""

    ids: tuple[int, ...]
    """With the token that ended it."""
    logprobs: tuple[float, ...]
    """Of each token, in nats, under the whole distribution at temperature 1."""
    cut: bool
    """Whether it had reached the longest length."""


def uniforms(seed: int, place: int, sample: int, count: int) -> np.ndarray:
    """The numbers that decide one answer, `[step]`, float64, each in 0 to below 1.

    They depend on nothing else, and those of a longer answer begin with those of a shorter one.

    Args:
        seed: of the sampling.
        place: of the prompt in its list.
        sample: number of the answer to this prompt.
        count: steps.
    """
    # Seeds of numpy are not negative; those of torch may be.
    key = np.random.SeedSequence((seed % 2**64, place, sample))
    return np.random.Generator(np.random.Philox(key)).random(count)


def draw(
    logits: Tensor, rows: np.ndarray, numbers: np.ndarray, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw tokens from the whole distribution: no top-k, no top-p, no penalties.

    A token is the one at which the cumulative distribution, in the order of the vocabulary, passes
    the number.

    Args:
        logits: `[row vocab]`.
        rows: the row that each draw is from, `[draw]`.
        numbers: the uniform number of each draw, `[draw]`, float64.
        temperature: divides the logits; 0 takes the likeliest token, whatever the number.

    Returns:
        Tokens `[draw]`, and their log-probabilities in nats at temperature 1, float64 `[draw]`.

    Raises:
        InputError: the logits are no distribution, as of a model that is broken.
    """
    # Metal has no float64.
    logits = (logits.cpu() if logits.device.type == "mps" else logits).float()
    place = torch.from_numpy(rows).to(logits.device)
    warm = temperature not in (0, 1)
    # At temperature 1 these are the chances that tokens have anyway.
    chances = torch.softmax(logits / temperature if warm else logits, dim=-1)
    if temperature > 0:
        tokens = _inverse(chances, place, torch.from_numpy(numbers).to(logits.device))
    else:
        tokens = logits.argmax(dim=-1)[place]
    if warm:
        logprobs = (logits[place, tokens] - logits.logsumexp(dim=-1)[place]).double()
    else:
        logprobs = chances[place, tokens].double().log()
    if not bool(torch.isfinite(logprobs).all()):
        raise InputError(
            "The model gives no probabilities to draw from: its logits hold NaN or infinity. Load "
            "it in another number format (dtype='float32'), or write less strongly to it."
        )
    return tokens.cpu().numpy(), logprobs.cpu().numpy()


def _inverse(chances: Tensor, rows: Tensor, numbers: Tensor) -> Tensor:
    """Tokens at which the cumulative chances pass the numbers: the block first, then inside.

    Blocks are summed in float32, a few hundred terms each, and the sums added up in float64.
    """
    words = chances.shape[1]
    if words % _BLOCK:
        chances = torch.nn.functional.pad(chances, (0, _BLOCK - words % _BLOCK))
    blocks = chances.view(len(chances), -1, _BLOCK)
    ends = blocks.sum(dim=-1).double().cumsum(dim=-1)[rows]
    aim = _below(numbers * ends[:, -1], ends[:, -1])
    block = torch.searchsorted(ends, aim[:, None], right=True)[:, 0].clamp(max=ends.shape[1] - 1)
    before = ends.gather(1, (block - 1).clamp(min=0)[:, None])[:, 0].masked_fill(block == 0, 0.0)
    inside = blocks[rows, block].double().cumsum(dim=-1)
    aim = _below(aim - before, inside[:, -1])
    token = torch.searchsorted(inside, aim[:, None], right=True)[:, 0].clamp(max=_BLOCK - 1)
    # The clamps are for NaN, which passes nothing and is refused afterwards.
    return (block * _BLOCK + token).clamp(max=words - 1)


def _below(aim: Tensor, end: Tensor) -> Tensor:
    """Rounding may carry a number to the very end, where tokens without weight could be taken."""
    return torch.minimum(aim, torch.nextafter(end, torch.zeros_like(end)))


class Draws:
    """Answers on their way: what each has drawn, and which of them go on."""

    def __init__(
        self,
        answers: Sequence[tuple[int, int]],
        *,
        seed: int,
        temperature: float,
        ends: Sequence[int],
        steps: int,
    ) -> None:
        """Begin.

        Args:
            answers: place of the prompt, and number of the answer to it.
            seed: of the sampling.
            temperature: divides the logits; 0 takes the likeliest token.
            ends: tokens that end an answer.
            steps: the longest length.
        """
        shape = (len(answers), steps)
        self.tokens = np.zeros(shape, dtype=np.int64)
        self.logprobs = np.zeros(shape)
        self.lengths = np.zeros(len(answers), dtype=np.int64)
        self.live = np.arange(len(answers)) if steps else np.arange(0)
        """The answers that go on, ascending."""
        self._numbers = np.zeros(shape)
        if temperature > 0:
            for index, (place, sample) in enumerate(answers):
                self._numbers[index] = uniforms(seed, place, sample, steps)
        self._temperature, self._ends = temperature, np.array(ends, dtype=np.int64)

    def step(self, logits: Tensor, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw the next token of every answer that goes on.

        Args:
            logits: `[row vocab]`.
            rows: the row of each answer that goes on.

        Returns:
            Rows and tokens of the answers that still go on.
        """
        live = self.live
        place = self.lengths[live]
        tokens, logprobs = draw(logits, rows, self._numbers[live, place], self._temperature)
        self.tokens[live, place], self.logprobs[live, place] = tokens, logprobs
        self.lengths[live] += 1
        going = (self.lengths[live] < self.tokens.shape[1]) & ~np.isin(tokens, self._ends)
        self.live = live[going]
        return rows[going], tokens[going]

    def answers(self) -> list[Answer]:
        """What has been drawn."""
        whole = self.tokens.shape[1]
        rows = zip(self.tokens, self.logprobs, self.lengths, strict=True)
        return [
            Answer(
                tuple(tokens[:length].tolist()),
                tuple(logprobs[:length].tolist()),
                bool(length == whole and tokens[-1] not in self._ends),
            )
            for tokens, logprobs, length in rows
        ]
