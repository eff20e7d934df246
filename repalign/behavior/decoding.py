"""decode(): answers of a model to prompts, each distinct beginning computed once."""

from collections.abc import Collection, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from repalign import checks
from repalign.behavior.branching import Branches, beginning
from repalign.behavior.conditions import check_lengths, refuse_by_row
from repalign.behavior.drawing import Answer, Draws
from repalign.errors import InputError
from repalign.models import LanguageModel, passes
from repalign.models.hooking import writings
from repalign.models.modes import evaluating
from repalign.tokens import Tokens

AT_ONCE = 12_000
"""Tokens whose state may be held at once; those of a prompt count for each of its answers."""
_WORTH_A_PASS = 4
# What the settings that come with a model may ask of generate() is not asked here.
_PLAIN: dict[str, Any] = {
    "do_sample": False,
    "num_beams": 1,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "min_length": 0,
    "renormalize_logits": False,
    "remove_invalid_values": False,
    "bad_words_ids": None,
    "begin_suppress_tokens": None,
    "exponential_decay_length_penalty": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "guidance_scale": None,
    "min_new_tokens": None,
    "sequence_bias": None,
    "suppress_tokens": None,
    "watermarking_config": None,
}


class Decoded(NamedTuple):
    """The answers to one prompt."""

    prompt: int
    """Its place in the list."""
    answers: list[Answer]


def ends(model: LanguageModel) -> list[int]:
    """The tokens that end an answer of this model."""
    found = model.network.generation_config.eos_token_id
    return [] if found is None else [found] if isinstance(found, int) else list(found)


def decode(
    model: LanguageModel,
    texts: Sequence[Sequence[int]],
    *,
    samples: int = 1,
    temperature: float = 0.0,
    max_new_tokens: int = 64,
    seed: int = 0,
    skip: Collection[int] = (),
    names: Sequence[str] | None = None,
    at_once: int = AT_ONCE,
) -> Iterator[list[Decoded]]:
    """Let a model answer prompts, several times each.

    Tokens are drawn from the whole distribution: no top-k, no top-p, and none of the penalties that
    the model's own generation settings may name. Numbers that decide an answer belong to its
    prompt's place and its own number alone, so it is the same whatever else is answered and
    however batches fall, but for rounding, which can turn a near tie between two tokens.

    Prompts of like length are read together, what all of a batch begin with once. Answers that have
    drawn the same tokens so far are one row of the batch; it becomes several when they part, and
    none when all of them have ended. Where the state of the model is no key-value cache, or
    something is written to the model, each answer is a row of the network's own `generate` all the
    way, with the same numbers.

    Args:
        model: the model; its first use runs its self-checks.
        texts: token ids of each prompt.
        samples: answers to each.
        temperature: divides the logits; 0 takes the likeliest token.
        max_new_tokens: the longest length of an answer.
        seed: of the sampling; other random numbers stay as they were.
        skip: places of prompts that are not to be answered.
        names: what messages call each prompt.
        at_once: bounds memory: prompts and answers that are read together have no more tokens,
            those of a prompt counted for each of its answers.

    Yields:
        The answers to some prompts; each that is not skipped comes once.

    Raises:
        InputError: no prompts, numbers out of range, a prompt that leaves no room for an answer,
            logits that are no distribution, or something is written by rows.
        CheckError: the model fails a self-check.
    """
    if not texts or samples < 1 or max_new_tokens < 1 or not temperature >= 0 or at_once < 1:
        raise InputError(
            "Decoding needs prompts, one sample or more, of one token or more, at a temperature of "
            f"0 or above, and room; {len(texts)} prompts, samples={samples}, max_new_tokens="
            f"{max_new_tokens}, temperature={temperature} and at_once={at_once} were given."
        )
    refuse_by_row(model)
    checks.ensure(model)
    names = names or [f"Prompt {index}" for index in range(len(texts))]
    check_lengths(model, texts, names, more=max_new_tokens)
    lengths = {i: len(text) + max_new_tokens for i, text in enumerate(texts) if i not in skip}
    found: dict[int, list[Answer]] = {place: [] for place in lengths}
    for batch in _batches(lengths, samples, at_once):
        draws = Draws(
            batch, seed=seed, temperature=temperature, ends=ends(model), steps=max_new_tokens
        )
        with torch.no_grad(), evaluating(model.network):
            # Asked for each batch, since a generator can go on within another `with`.
            refuse_by_row(model)
            (_branching if _shares(model) else _apart)(model, texts, batch, draws)
        for (place, _), answer in zip(batch, draws.answers(), strict=True):
            found[place].append(answer)
        places = dict.fromkeys(place for place, _ in batch)
        whole = [place for place in places if len(found[place]) == samples]
        if whole:
            yield [Decoded(place, found.pop(place)) for place in whole]


def _batches(
    lengths: dict[int, int], samples: int, at_once: int
) -> Iterator[list[tuple[int, int]]]:
    """Answers that are drawn together: place of the prompt, number of the answer to it."""
    order = sorted(lengths, key=lambda place: (-lengths[place], place))
    start = 0
    while start < len(order):
        rows = max(1, at_once // lengths[order[start]])
        prompts = order[start : start + max(1, rows // samples)]
        answers = list(product(prompts, range(samples)))
        yield from (answers[i : i + rows] for i in range(0, len(answers), rows))
        start += len(prompts)


def _shares(model: LanguageModel) -> bool:
    return (
        passes.obstacle(model) is None
        and checks.ensure(model).prefixes.passed
        and not writings(model.architecture)
    )


def _branching(
    model: LanguageModel,
    texts: Sequence[Sequence[int]],
    batch: Sequence[tuple[int, int]],
    draws: Draws,
) -> None:
    """Draw answers; a row is a distinct beginning."""
    places = list(dict.fromkeys(place for place, _ in batch))
    prompts = [list(texts[place]) for place in places]
    # The last token of each is read by itself, for what follows it.
    shared = min(_shared(prompts), min(map(len, prompts)) - 1)
    worth = len(prompts) > 1 and shared >= _WORTH_A_PASS
    common = beginning(model, prompts[0][:shared]) if worth else []
    branches = Branches(model, prompts, common, len(batch), draws.tokens.shape[1])
    where = {place: row for row, place in enumerate(places)}
    rows = np.array([where[place] for place, _ in batch])
    while True:
        rows, tokens = draws.step(branches.logits(), rows)
        if not len(rows):
            return
        distinct, group = np.unique(np.stack([rows, tokens]), axis=1, return_inverse=True)
        rows = branches.go_on(distinct[0], distinct[1])[group.reshape(-1)]


def _shared(texts: Sequence[list[int]]) -> int:
    """How many tokens all texts begin with: the first and last in order differ the soonest."""
    pairs = enumerate(zip(min(texts), max(texts), strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(map(len, texts)))


def _apart(
    model: LanguageModel,
    texts: Sequence[Sequence[int]],
    batch: Sequence[tuple[int, int]],
    draws: Draws,
) -> None:
    """Draw answers; each is a row of `generate`."""
    tokens = Tokens.pad([texts[place] for place, _ in batch], model.pad_id, side="left")
    tokens = tokens.to(model.device)
    model.network.generate(
        input_ids=tokens.ids,
        attention_mask=tokens.attended.long(),
        max_new_tokens=draws.tokens.shape[1],
        eos_token_id=ends(model) or None,
        pad_token_id=model.pad_id,
        logits_processor=LogitsProcessorList([_Decided(draws)]),
        **_PLAIN,
    )


class _Decided(LogitsProcessor):
    """Leaves generate() the one token that was drawn."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Draw from the scores, which are the logits."""
        live = self._draws.live
        self._draws.step(scores, live)
        drawn = self._draws.tokens[live, self._draws.lengths[live] - 1]
        decided = torch.full_like(scores, -torch.inf)
        decided[:, 0] = 0.0
        decided[torch.from_numpy(live), 0] = -torch.inf
        decided[torch.from_numpy(live), torch.from_numpy(drawn)] = 0.0
        return decided
