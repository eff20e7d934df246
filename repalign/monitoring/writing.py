"""Writing: answers that the model writes, as tokens with their scores."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import torch

from repalign.models import LanguageModel
from repalign.monitoring import generating
from repalign.monitoring.decoding import Decoder
from repalign.monitoring.lockstep import lockstep
from repalign.monitoring.recording import Step
from repalign.monitoring.watched import TokenScore
from repalign.readouts import Readout
from repalign.spans import Reading
from repalign.tokens import Tokens


def streamed(
    model: LanguageModel,
    readout: Readout,
    prompt: Reading,
    options: Mapping[str, Any],
    *,
    thoughts: bool,
) -> Generator[TokenScore, None, None]:
    """Answer one prompt and yield each token as soon as it has a score.

    Args:
        model: the model.
        readout: what scores.
        prompt: as the model reads it.
        options: as `generating.watchable` completes them, and `seed`.
        thoughts: whether thoughts count.
    """
    options, seed = _parted(options)
    decoder = Decoder(model.tokenizer, prompt, generating.ends(model, options), thoughts)
    tokens = Tokens.pad([prompt.ids], model.pad_id, side="left")

    def produce(give: Callable[[TokenScore], None]) -> None:
        def step(read: Step) -> None:
            # In one piece: every look at a tensor waits for the device.
            numbers = [part.to(read.scores.dtype) for part in read]
            number, score, probability = torch.cat(numbers).tolist()
            text, counted = decoder.add(int(number))
            give(TokenScore(int(number), text, score, probability, counted))

        _seed(seed)
        generating.run(model, readout, tokens, options, step)

    return lockstep(produce, model.device)


def written(
    model: LanguageModel,
    readout: Readout,
    prompts: Sequence[Reading],
    options: Mapping[str, Any],
    *,
    thoughts: bool,
    batch_size: int,
) -> Iterator[list[TokenScore]]:
    """Answer prompts, several at once, padded on the left; arguments are those of `streamed`."""
    options, seed = _parted(options)
    ends = generating.ends(model, options)
    size = 1 if generating.one_by_one(options) else batch_size
    _seed(seed)
    for start in range(0, len(prompts), size):
        batch = prompts[start : start + size]
        tokens = Tokens.pad([one.ids for one in batch], model.pad_id, side="left")
        found = generating.run(model, readout, tokens, options)
        for row, prompt in enumerate(batch):
            decoder = Decoder(model.tokenizer, prompt, ends, thoughts)
            yield _row(found, row, decoder, ends)


def _row(
    found: generating.Generated, row: int, decoder: Decoder, ends: Sequence[int]
) -> list[TokenScore]:
    """The tokens of one row of a batch, to the one that ends it; padding follows."""
    tokens: list[TokenScore] = []
    parts = (part[row].tolist() for part in found)
    for number, score, probability in zip(*parts, strict=True):
        text, counted = decoder.add(number)
        tokens.append(TokenScore(number, text, score, probability, counted))
        if number in ends:
            break
    return tokens


def _parted(options: Mapping[str, Any]) -> tuple[dict[str, Any], int | None]:
    """Options of `generate`, and the seed, which is none of them."""
    return {k: v for k, v in options.items() if k != "seed"}, options.get("seed")


def _seed(seed: int | None) -> None:
    if seed is not None:
        torch.manual_seed(seed)
