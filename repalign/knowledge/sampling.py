"""sample(): several answers to each question, the prompt computed once for all of them."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from transformers.cache_utils import DynamicCache

from repalign import checks
from repalign.behavior.conditions import check_lengths, refuse_by_row
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel, passes
from repalign.models.hooking import writings
from repalign.models.modes import evaluating
from repalign.spans import render
from repalign.spans.encoding import encode_all
from repalign.tokens import Tokens

PROMPTS = 16
"""Questions answered together. Part of what determines the samples."""


class Sampled(NamedTuple):
    """The answers to one question."""

    prompt: int
    """Its place in the list."""
    texts: list[str]


def sample(
    model: LanguageModel,
    prompts: Sequence[Example],
    samples: int = 10,
    *,
    temperature: float = 1.0,
    max_new_tokens: int = 32,
    seed: int = 0,
    done: Collection[int] = (),
) -> Iterator[list[Sampled]]:
    """Sample answers from the whole distribution: no top-k and no top-p.

    Questions of like length are answered together; a prompt is computed once and its state handed
    to all of its answers, where the model and what is written to it allow that. A batch is seeded
    by its place, so answers do not depend on which batches ran before.

    Args:
        model: the model; its first use runs its self-checks.
        prompts: conversations or texts without an answer.
        samples: answers to each.
        temperature: divides the logits.
        max_new_tokens: length of an answer.
        seed: of the sampling; other random numbers stay as they were.
        done: prompts that are answered already; their batches are left out.

    Yields:
        The answers to each prompt of a batch.

    Raises:
        InputError: no prompts, a temperature or number that is not positive, a prompt that leaves
            no room, or something is written by rows.
        CheckError: the model fails a self-check.
    """
    if not prompts or samples < 1 or not temperature > 0:
        raise InputError(
            f"Sampling needs prompts, one sample or more and a temperature above 0; "
            f"{len(prompts)}, {samples} and {temperature} were given."
        )
    refuse_by_row(model)
    report = checks.ensure(model)
    rendered = [render(model.tokenizer, prompt) for prompt in prompts]
    texts = [found.ids for found in encode_all(model.tokenizer, rendered)]
    names = [f"Question {i} ({one.text[:40]!r})" for i, one in enumerate(prompts)]
    check_lengths(model, texts, names, more=max_new_tokens)
    sharing = (
        passes.obstacle(model) is None
        and report.prefixes.passed
        and not writings(model.architecture)
    )
    options = {
        "do_sample": True,
        "temperature": temperature,
        "top_k": 0,
        "top_p": 1.0,
        "max_new_tokens": max_new_tokens,
        "pad_token_id": model.pad_id,
    }
    order = sorted(range(len(texts)), key=lambda index: (-len(texts[index]), index))
    devices = range(torch.cuda.device_count())
    for start in range(0, len(order), PROMPTS):
        batch = order[start : start + PROMPTS]
        if all(index in done for index in batch):
            continue
        with torch.random.fork_rng(devices=devices), evaluating(model.network):
            torch.manual_seed((seed << 20) + start)
            found = _answers(model, [texts[index] for index in batch], samples, options, sharing)
        yield [Sampled(*one) for one in zip(batch, found, strict=True)]


def _answers(
    model: LanguageModel,
    texts: Sequence[Sequence[int]],
    samples: int,
    options: dict[str, Any],
    sharing: bool,
) -> list[list[str]]:
    tokens = Tokens.pad(texts, model.pad_id, side="left").to(model.device)
    ids = tokens.ids.repeat_interleave(samples, dim=0)
    attended = tokens.attended.repeat_interleave(samples, dim=0).long()
    with torch.no_grad():
        if sharing and tokens.ids.shape[1] > 1:
            options = {**options, "past_key_values": _prompts_state(model, tokens, samples)}
        out = model.network.generate(input_ids=ids, attention_mask=attended, **options)
    words = model.tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)
    return [words[start : start + samples] for start in range(0, len(words), samples)]


def _prompts_state(model: LanguageModel, tokens: Tokens, samples: int) -> DynamicCache:
    """The state of all but the last token of each prompt, once for each sample."""
    # As generate() makes it: layers that look back a window only keep no more.
    cache = DynamicCache(config=model.network.config.get_text_config(decoder=True))
    before = tokens.attended[:, :-1].long()
    inputs: dict[str, Any] = {"attention_mask": before, "past_key_values": cache}
    if "position_ids" in model.architecture.forward_names:
        inputs["position_ids"] = (before.cumsum(dim=1) - 1).clamp(min=0)
    model.network.get_decoder()(input_ids=tokens.ids[:, :-1], use_cache=True, **inputs)
    cache.batch_repeat_interleave(samples)
    return cache
