"""Choices: the answers in what a server sent."""

import json
from collections.abc import Mapping
from typing import Any

from repalign.answering.reply import Reply


def read(found: Any, used: tuple[int, int] | None) -> list[Reply]:
    """The answers in what a server sent; none where it holds none.

    Args:
        found: plain data.
        used: tokens that the call took; they stand with the first answer.
    """
    choices = found.get("choices") if isinstance(found, dict) else None
    if not isinstance(choices, list) or not all(isinstance(one, dict) for one in choices):
        return []
    return [
        _reply(choice, used if number == 0 and used is not None else (0, 0))
        for number, choice in enumerate(choices)
    ]


def usage(found: Any) -> tuple[int, int] | None:
    """The tokens of the prompt and of the answers that a server counted, if it did."""
    held = found.get("usage") if isinstance(found, dict) else None
    if not isinstance(held, dict):
        return None
    prompt, answers = held.get("prompt_tokens"), held.get("completion_tokens")
    return (prompt, answers) if isinstance(prompt, int) and isinstance(answers, int) else None


def _reply(choice: Mapping[str, Any], used: tuple[int, int]) -> Reply:
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    if text is None and isinstance(message, dict):
        text = message.get("refusal")  # where OpenAI puts a declined answer
    why = choice.get("finish_reason")
    if why == "content_filter":
        return Reply(None, error="A filter of the server held the answer back.", used=used)
    if text is None and why == "length":
        error = "The answer was cut before its first word; allow more tokens."
        return Reply(None, error=error, cut=True, used=used)
    if not isinstance(text, str):
        return Reply(None, error=f"An answer came without text: {begin(choice)}.", used=used)
    # Half of a pair of surrogates, which JSON can hold and a file cannot.
    text = text.encode("utf-8", "replace").decode()
    return Reply(text, cut=why == "length", used=used)


def begin(found: Any) -> str:
    """The first words of what a server sent."""
    said = json.dumps(found)
    return said if len(said) <= 200 else f"{said[:200]}…"
