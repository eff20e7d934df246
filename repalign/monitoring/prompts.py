"""Prompts: what a model is asked, as token ids and as files hold it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from repalign.activations import readable
from repalign.errors import InputError
from repalign.examples import Example, Message
from repalign.models import LanguageModel
from repalign.spans import Reading, Span

Prompt = str | Example | Sequence[Message] | Sequence[Mapping[str, str]]
"""Words of a user, or a conversation that ends before the answer; a plain text to be continued is
given as `Example.of_text`."""


def as_example(prompt: Prompt) -> Example:
    """Make an example of a prompt.

    Raises:
        InputError: an empty prompt, or messages without role and content.
    """
    if isinstance(prompt, Example):
        return prompt
    if isinstance(prompt, str):
        if not prompt.strip():
            raise InputError("The prompt is empty; write something to answer.")
        return Example.of_chat(prompt)
    turns: list[Message] = []
    for turn in prompt:
        if isinstance(turn, Message):
            turns.append(turn)
        elif isinstance(turn, Mapping) and {"role", "content"} <= set(turn):
            turns.append(Message(turn["role"], turn["content"]))
        else:
            raise InputError(f"A message has a role and a content; {turn!r} was given.")
    return Example(tuple(turns))


def is_answered(example: Example) -> bool:
    """Whether it is a conversation that ends in an answer."""
    return example.messages[-1].role == "assistant"


def is_given(example: Example) -> bool:
    """Whether its words are there already, to be scored: an answered chat, or a plain text."""
    return is_answered(example) or not example.is_chat


def rendered(model: LanguageModel, prompts: Sequence[Prompt], new_tokens: int) -> list[Reading]:
    """Write prompts out as the model reads them.

    Args:
        model: whose template and context count.
        prompts: conversations without an answer, or plain texts.
        new_tokens: how many are to follow.

    Raises:
        InputError: no or empty prompts, one that ends in an answer, a chat without a template, or
            one that leaves no room in the model's context.
    """
    examples = [as_example(prompt) for prompt in prompts]
    if not examples:
        raise InputError("No prompts were given to answer.")
    for index, example in enumerate(examples):
        if is_answered(example):
            raise InputError(
                f"Prompt {index} ends in an answer already. Score it with Monitor.score, or leave "
                "the answer out to have one written."
            )
        if not example.messages[-1].content.strip():
            raise InputError(f"Prompt {index} ends in an empty message; write something to answer.")
    readings = readable(model, examples, Span("all"))
    context = model.architecture.context
    for index, reading in enumerate(readings):
        if context is not None and len(reading.ids) + new_tokens > context:
            raise InputError(
                f"Prompt {index} has {len(reading.ids)} tokens; with {new_tokens} new ones it "
                f"would not fit into the {context} that {model.name} can read. Shorten it, or give "
                "a smaller max_new_tokens."
            )
    return readings


def read_prompts(name_or_path: str) -> list[Example]:
    """Read what is to be watched: a data set as `datasets.load` reads it, or a file of prompts.

    A file of prompts has a column `prompt`, optionally `system` and `response`; where a row has no
    response, one is to be written. Conversations (`messages`) may end before the answer too.

    Raises:
        InputError: as `datasets.load`; a row without a prompt, named by its line.
    """
    from repalign import datasets
    from repalign.datasets.columns import to_examples
    from repalign.datasets.files import read_table

    path = Path(name_or_path).expanduser()
    if name_or_path in datasets.names() or not path.is_file():
        return datasets.load(name_or_path, require_labels=False)
    table = read_table(path)
    if "prompt" not in table.columns or "messages" in table.columns:
        return datasets.load(path, require_labels=False)
    wrong = [n for n, row in zip(table.numbers, table.rows, strict=True) if not _readable(row)]
    if wrong:
        raise InputError(
            f"{table.name}: 'prompt' is empty, or a cell of prompt, system or response is no text "
            f"({table.places(wrong)}). Correct these rows or delete them."
        )
    kept = tuple(column for column in table.columns if column not in _CELLS)
    rows = [
        {"messages": _turns(row), **{column: row[column] for column in kept if column in row}}
        for row in table.rows
    ]
    conversations = replace(table, columns=("messages", *kept), rows=tuple(rows))
    return to_examples(conversations, path.stem, require_labels=False)


_CELLS = {"system": "system", "prompt": "user", "response": "assistant"}
"""Columns of a file of prompts, in the order of their turns, and the roles of these."""


def _readable(row: Mapping[str, object]) -> bool:
    cells = [_cell(row, column) for column in _CELLS]
    return all(isinstance(cell, str) for cell in cells) and bool(_cell(row, "prompt"))


def _cell(row: Mapping[str, object], column: str) -> object:
    """A cell, blank where it is missing or holds white space only."""
    cell = row.get(column)
    missing = cell is None or (isinstance(cell, float) and math.isnan(cell))
    blank = isinstance(cell, str) and not cell.strip()
    return "" if missing or blank else cell


def _turns(row: Mapping[str, object]) -> list[dict[str, object]]:
    cells = {role: _cell(row, column) for column, role in _CELLS.items()}
    return [{"role": role, "content": cell} for role, cell in cells.items() if cell]
