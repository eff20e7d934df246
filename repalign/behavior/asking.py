"""ask(): answers in the model's own words."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch

from repalign import checks
from repalign.behavior.answers import Answers
from repalign.behavior.conditions import check_lengths, origin, refuse_by_row
from repalign.behavior.questions import turns
from repalign.errors import InputError
from repalign.examples import Example, Message
from repalign.models import LanguageModel
from repalign.models.modes import evaluating
from repalign.spans import render
from repalign.spans.encoding import encode_all
from repalign.tokens import Tokens

Prompt = str | Example | Sequence[Message | Mapping[str, str]]
_ROWS = 16
# With these a row of the batch is no longer one answer, or the length is set twice.
_REFUSED = ("num_return_sequences", "return_dict_in_generate", "max_length", "min_length")


def ask(
    model: LanguageModel,
    prompts: Iterable[Prompt],
    *,
    system: str | None = None,
    chat: bool | None = None,
    rows: int = _ROWS,
    seed: int = 0,
    **options: Any,
) -> Answers:
    """Let a model answer in its own words; greedily, unless asked otherwise.

    Prompts of similar length are answered together, padded on the left; the answers keep the
    order of the prompts. Rows of other lengths around a prompt move its logits by rounding, which
    can turn a near tie between two words; with `rows=1` nothing does.

    Within `intervene` it measures the model as it is written to.

    Args:
        model: the model; its first use runs its self-checks.
        prompts: texts, conversations or examples; a final answer of the assistant is left out.
        system: words in front of every prompt, such as a persona: a system turn.
        chat: put texts into a chat turn. None does so where the model has a chat template; without
            it the text is continued as it stands.
        rows: prompts in a batch.
        seed: of sampling, if it is asked for; other random numbers stay as they were.
        options: passed to the network's `generate`, such as `max_new_tokens` (64 unless given) or
            `do_sample=True`.

    Returns:
        The answers with the settings they were generated with.

    Raises:
        InputError: no prompts; a conversation without a chat template; a prompt that leaves no
            room for the new tokens; an option that would not give one answer a prompt; something
            is written by rows.
        CheckError: the model fails a self-check.
    """
    refused = [name for name in _REFUSED if name in options]
    if refused:
        raise InputError(
            f"ask() gives one answer a prompt and sets lengths by max_new_tokens and "
            f"min_new_tokens; leave out {', '.join(refused)}."
        )
    if rows < 1:
        raise InputError(f"A batch has at least one row; rows={rows} was given.")
    refuse_by_row(model)
    checks.ensure(model)
    templated = model.tokenizer.chat_template is not None
    asked = [_asked(one, system, templated if chat is None else chat) for one in prompts]
    if not asked:
        raise InputError("No prompts were given to ask.")
    settings = {"do_sample": False, "max_new_tokens": 64, **options}
    rendered = [render(model.tokenizer, example) for example in asked]
    texts = [tokens.ids for tokens in encode_all(model.tokenizer, rendered)]
    names = [f"Prompt {i} ({one.text[:40]!r})" for i, one in enumerate(asked)]
    check_lengths(model, texts, names, more=settings["max_new_tokens"])
    found = _all_generated(model, texts, rows, settings, seed)
    ids = [_without_end(model, found[index], settings) for index in range(len(texts))]
    return Answers(
        asked=tuple(asked),
        prompts=tuple(one.text for one in rendered),
        texts=tuple(
            text_of(model, prompt, answer, one.is_chat)
            for prompt, answer, one in zip(texts, ids, rendered, strict=True)
        ),
        ids=tuple(map(tuple, ids)),
        cut=tuple(len(answer) >= settings["max_new_tokens"] for answer in ids),
        settings=MappingProxyType(
            {**settings, **({"seed": seed} if settings["do_sample"] else {})}
        ),
        origin=MappingProxyType(origin(model)),
    )


def _asked(prompt: Prompt, system: str | None, chat: bool) -> Example:
    """One prompt as an example without an answer."""
    if isinstance(prompt, Example):
        example = prompt
    elif isinstance(prompt, str):
        example = Example((Message("user" if chat else "text", prompt),))
    else:
        example = Example(turns(prompt))
    messages: Sequence[Message] = example.messages
    if len(messages) > 1 and messages[-1].role == "assistant":
        messages = messages[:-1]
    last = messages[len(messages) - 1]
    if last.role not in ("user", "text"):
        raise InputError(
            f"The prompt {example.text[:60]!r} ends in a turn of role {last.role!r}; there "
            "is no user's turn to answer."
        )
    if system is not None and not example.is_chat:
        raise InputError(
            f"The prompt {example.text[:60]!r} is a plain text and cannot have a system turn; put "
            "the words in front of it."
        )
    before = () if system is None else (Message("system", system),)
    return replace(example, messages=(*before, *messages))


def _all_generated(
    model: LanguageModel,
    texts: Sequence[Sequence[int]],
    rows: int,
    settings: Mapping[str, Any],
    seed: int,
) -> dict[int, list[int]]:
    """The new tokens after each text, by its index."""
    found: dict[int, list[int]] = {}
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    with ExitStack() as stack:
        stack.enter_context(evaluating(model.network))
        if settings["do_sample"]:
            devices = range(torch.cuda.device_count())
            stack.enter_context(torch.random.fork_rng(devices=devices))
            torch.manual_seed(seed)
        for start in range(0, len(order), rows):
            batch = order[start : start + rows]
            found |= zip(batch, _generated(model, [texts[i] for i in batch], settings), strict=True)
    return found


def _generated(
    model: LanguageModel, texts: Sequence[Sequence[int]], settings: Mapping[str, Any]
) -> list[list[int]]:
    tokens = Tokens.pad(texts, model.pad_id, side="left").to(model.device)
    with torch.no_grad():
        out = model.network.generate(
            input_ids=tokens.ids,
            attention_mask=tokens.attended.long(),
            **{"pad_token_id": model.pad_id, **settings},
        )
    return out[:, tokens.ids.shape[1] :].tolist()


def _without_end(model: LanguageModel, ids: list[int], settings: Mapping[str, Any]) -> list[int]:
    """The tokens of an answer, without the one that ended it and what fills up the row."""
    given = settings.get("generation_config") or model.network.generation_config
    ends = settings.get("eos_token_id", given.eos_token_id)
    ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    stop = next((place for place, token in enumerate(ids) if token in ends), None)
    if stop is not None:
        return ids[:stop]
    if "stop_strings" in settings or "stopping_criteria" in settings:
        # Such answers end without a token of their own.
        pad = settings.get("pad_token_id", model.pad_id)
        while ids and ids[-1] == pad:
            ids = ids[:-1]
    return ids


def text_of(model: LanguageModel, prompt: list[int], answer: list[int], is_chat: bool) -> str:
    """The words of an answer.

    Args:
        model: whose tokenizer spells them.
        prompt: token ids before the answer.
        answer: its token ids, without one that ended it.
        is_chat: whether it is an answer, or a text that goes on.
    """
    decode = model.tokenizer.decode
    if is_chat:
        return str(decode(answer, skip_special_tokens=True))
    # Some tokenizers drop the space before a first word; a text that goes on needs it.
    before, whole = (
        str(decode(ids, skip_special_tokens=True)) for ids in (prompt, prompt + answer)
    )
    return (
        whole[len(before) :]
        if whole.startswith(before)
        else str(decode(answer, skip_special_tokens=True))
    )
