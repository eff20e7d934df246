"""Rendering: an example as the text a model reads, and where each turn's words stand in it.

Chat templates trim what they are given, add system prompts and empty thoughts, fold the system
turn into the user's, drop earlier thoughts. So a turn is never looked for by its words, which may
also occur elsewhere. Instead the conversation is rendered twice, as it is and with a placeholder
in place of one turn; what stands before and after the placeholder marks the turn off.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, cast

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from repalign.errors import InputError
from repalign.examples import Example, Message

# A generation prompt may open a thought, or open and close it at once. The text of a finished
# answer often lacks it or spells it otherwise, so it is not compared.
_OPENED_THOUGHT = re.compile(r"<think>\s*(?:</think>\s*)?\Z")


class Part(NamedTuple):
    """Where the words of one turn stand in the rendered text: characters `start` to `end`."""

    role: str
    start: int
    end: int


@dataclass(frozen=True)
class Rendered:
    """The text that is read, with the places of its turns. All ranges count characters."""

    text: str
    """A chat that ends in an answer stops with the answer's last character: the template's closing
    tokens are left out, so that the last token is the answer's own. A chat that ends in a prompt
    goes on to the header after which the model would answer."""
    parts: tuple[Part, ...]
    """Words of each turn, without the template around them; blank turns have none."""
    prompt_end: int
    """Where the last turn's answer begins. Everything before it is prompt, also an empty thought
    that the template puts in. The length of the text if no answer follows, 0 in a plain text."""
    thinks: tuple[tuple[int, int], ...]
    """Thoughts of the assistant, `<think>` and `</think>` included."""
    is_chat: bool

    @property
    def has_answer(self) -> bool:
        """Whether it is a chat that ends in an answer of the assistant."""
        return self.is_chat and self.prompt_end < len(self.text)

    @property
    def words(self) -> str:
        """What the turns say, without the template, joined by a line break: for messages."""
        return "\n".join(self.text[part.start : part.end] for part in self.parts)


def render(tokenizer: PreTrainedTokenizerBase, example: Example) -> Rendered:
    """Write the example out as the model reads it, with the tokenizer's own chat template.

    A text of role `text` is taken verbatim. A chat that ends in a user turn gets the header of
    the answer appended (`add_generation_prompt=True`).

    Raises:
        InputError: the tokenizer has no chat template; the template refuses the conversation,
            leaves a turn out, alters its words or drops the last answer's thought; its prompt is
            not the beginning of the same chat with an answer; the last turn is an empty answer.
    """
    if not example.is_chat:
        text = example.messages[0].content
        return Rendered(text, (Part("text", 0, len(text)),), 0, _thoughts(text, 0), False)
    if tokenizer.chat_template is None:
        raise InputError(
            f"The tokenizer {tokenizer.name_or_path!r} has no chat template, but the example "
            f"{quoted(example.text)} is a conversation. Take a chat model, set "
            "tokenizer.chat_template, or write the whole text yourself as one message of role "
            "'text' (Example.of_text)."
        )
    turns = example.messages
    ends_in_answer = turns[-1].role == "assistant"
    if ends_in_answer and not turns[-1].content.strip():
        raise InputError(
            f"The last turn of the example {quoted(example.text)} is an empty answer. Leave the "
            "turn out to read the prompt."
        )
    full = _apply(tokenizer, turns, prompt=not ends_in_answer)
    parts = tuple(
        _locate(tokenizer, turns, index, full)
        for index, message in enumerate(turns)
        if message.content.strip()
    )
    if ends_in_answer:
        _check_prompt(tokenizer, turns, full, parts[-1])
    thinks = [
        thought
        for part in parts
        if part.role == "assistant"
        for thought in _thoughts(full[part.start : part.end], part.start, may_begin_inside=True)
    ]
    text = full[: parts[-1].end] if ends_in_answer else full
    prompt_end = parts[-1].start if ends_in_answer else len(full)
    # Blank parts are thoughts that the template dropped, with no words after them.
    kept = tuple(part for part in parts if part.end > part.start)
    return Rendered(text, kept, prompt_end, tuple(thinks), True)


def quoted(text: str) -> str:
    """Return the beginning of a text in quotes, enough to know it by in a message."""
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _apply(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Message], *, prompt: bool) -> str:
    """Render a conversation to text, without tokens."""
    return _written(tokenizer, str(tokenizer.chat_template), tuple(turns), prompt)


# Texts of one data set share turns, so what marks them off is rendered once for many of them.
@lru_cache(maxsize=1024)
def _written(
    tokenizer: PreTrainedTokenizerBase, _template: str, turns: tuple[Message, ...], prompt: bool
) -> str:
    conversation = [{"role": turn.role, "content": turn.content} for turn in turns]
    try:
        text = tokenizer.apply_chat_template(
            conversation, tokenize=False, add_generation_prompt=prompt
        )
    except (TemplateError, ValueError) as error:
        raise InputError(
            f"The chat template of {tokenizer.name_or_path!r} refuses a conversation with the "
            f"turns {', '.join(turn.role for turn in turns)}: {error}. Change the turns to what it "
            "takes; words for a system turn can stand at the beginning of the user's."
        ) from error
    return cast(str, text)


def _locate(
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[Message], index: int, full: str
) -> Part:
    """Find one turn's words in the rendered text by rendering with a placeholder instead of them.

    A thought that begins an answer is kept before the placeholder, because templates treat
    answers with and without one differently.
    """
    role, content = turns[index]
    kept, rest = _split_thought(content) if role == "assistant" else ("", content)
    mark = "placeholder"
    while any(mark in turn.content for turn in turns) or mark in full:
        mark += "x"
    marked = _apply(
        tokenizer,
        [*turns[:index], Message(role, kept + mark), *turns[index + 1 :]],
        prompt=turns[-1].role != "assistant",
    )
    count = marked.count(mark)
    if count != 1:
        raise _problem(
            tokenizer, turns, index, "leaves it out" if count == 0 else f"repeats it {count} times"
        )
    before, after = marked.split(mark)
    if not rest.strip() and not full.startswith(before):
        # Nothing but a thought: the white space that would set off an answer is missing.
        before = before.rstrip()
    start, end = len(before), len(full) - len(after)
    if not (full.startswith(before) and full.endswith(after) and start <= end):
        raise _problem(tokenizer, turns, index, "changes the rest of the chat with its words")
    if _letters(full[start:end]) != _letters(rest):
        raise _problem(tokenizer, turns, index, "alters its words")
    thought = _thought_start(before, kept)
    if thought is not None:
        start = thought
    elif _letters(kept) not in ("", "</think>", "<think></think>") and index == len(turns) - 1:
        raise _problem(
            tokenizer,
            turns,
            index,
            "drops its thought (take <think>…</think> out of the turn to read it without)",
        )
    return Part(role, start, end)


def _check_prompt(
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[Message], full: str, answer: Part
) -> None:
    """Check that the answer stands where the model would begin to answer the turns before it."""
    if len(turns) == 1:
        return
    prompt = _OPENED_THOUGHT.sub("", _apply(tokenizer, turns[:-1], prompt=True))
    if not full[: answer.start].startswith(prompt):
        raise InputError(
            f"The chat template of {tokenizer.name_or_path!r} is not prefix-preserving: the "
            "prompt that it writes for the model to answer is not the beginning of the same chat "
            f"with the answer. The prompt ends in {prompt[-30:]!r}, the answer follows "
            f"{full[: answer.start][-30:]!r}; the model would not answer from there. Set another "
            "tokenizer.chat_template, or write the whole text yourself as one message of role "
            "'text' (Example.of_text)."
        )


def _split_thought(content: str) -> tuple[str, str]:
    """Split an answer after the thought that begins it; an unclosed thought after its opening.

    The opening tag may be missing: reasoning models write only the closing one when their
    generation prompt holds the other.
    """
    lead, closing, rest = content.partition("</think>")
    opened = lead.lstrip().startswith("<think>")
    if closing and (opened or "<think>" not in lead):
        blank = len(rest) - len(rest.lstrip()) if rest.strip() else 0
        cut = len(lead) + len(closing) + blank
    elif opened and not closing:
        cut = content.index("<think>") + len("<think>")
    else:
        cut = 0
    return content[:cut], content[cut:]


def _thought_start(before: str, kept: str) -> int | None:
    """Return where the thought that begins an answer stands in the text before the answer.

    Returns:
        None if it is not there, or empty: an empty thought belongs to the header, for a template's
        own cannot be told from the user's.
    """
    inside, closing, _ = kept.partition("</think>")
    words = inside.strip().removeprefix("<think>").strip()
    if words:
        pattern = rf"(?:<think>\s*)?{re.escape(words)}\s*</think>\s*\Z"
    elif kept and not closing:
        pattern = r"<think>\s*\Z"
    else:
        return None
    match = re.search(pattern, before)
    return match.start() if match else None


def _thoughts(
    text: str, offset: int, *, may_begin_inside: bool = False
) -> tuple[tuple[int, int], ...]:
    """Return the ranges of `<think>…</think>` in a text that stands at `offset`.

    Args:
        text: the words of one part.
        offset: added to every range.
        may_begin_inside: whether a first `</think>` without an opening tag ends a thought too.
    """
    pattern = r"<think>.*?(?:</think>|\Z)"
    if may_begin_inside:
        pattern += r"|\A(?:(?!<think>).)*?</think>"
    found = re.finditer(pattern, text, re.DOTALL)
    return tuple((offset + match.start(), offset + match.end()) for match in found)


def _letters(text: str) -> str:
    """Return the text without white space, which templates trim at will."""
    return "".join(text.split())


def _problem(
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[Message], index: int, what: str
) -> InputError:
    """Build the error for a turn that cannot be found in what the template makes of it."""
    role, content = turns[index]
    return InputError(
        f"The {role} turn {quoted(content)} (number {index} of {len(turns)}, from 0) cannot be "
        f"placed: the chat template of {tokenizer.name_or_path!r} {what}. Reword the turn or "
        "leave it out, set another tokenizer.chat_template, or write the whole text yourself as "
        "one message of role 'text' (Example.of_text)."
    )
