"""answers(): all answers to many prompts, kept on disk as they come."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from repalign.answering.kept import Kept
from repalign.answering.reply import Reply, Settings
from repalign.answering.respondent import Replied, Respondent
from repalign.errors import InputError
from repalign.examples import Example

Progress = Callable[[int, int], None]
Titled = Callable[[str], AbstractContextManager[Progress]]
"""Takes what is done; a context that yields what is called with done and all."""


def silent(_title: str) -> AbstractContextManager[Progress]:
    """No progress is shown."""
    return nullcontext(lambda _done, _all: None)


def answers(
    who: Respondent,
    prompts: Sequence[Example],
    settings: Settings | None = None,
    *,
    keep: Path | str | None = None,
    progress: Progress | None = None,
) -> list[list[Reply]]:
    """Ask every prompt; what has been answered before is not asked again.

    A kept answer belongs to the words of its prompt, not to its place: another run may ask more, or
    fewer, and in another order.

    Args:
        who: a model here or behind a server.
        prompts: what to ask.
        settings: how many answers, and how they are drawn.
        keep: a file for the answers, so that a run that was killed goes on where it was. A reply
            that did not come is not kept: it is asked again the next time.
        progress: called with prompts done and their number.

    Returns:
        The replies to each prompt, in order. Those that did not come have an `error`.

    Raises:
        InputError: no prompts, one that cannot be answered, `keep` holds those of another model or
            other settings, or nobody answers.
    """
    settings = settings or Settings()
    if not prompts:
        raise InputError("No prompts were given to ask.")
    keys = _keys(prompts)
    with TemporaryDirectory() as scratch:
        path = Path(keep or Path(scratch) / "answers.jsonl")
        kept = Kept(path, {**who.origin(), **settings.record()})
        found = {
            place: [Reply.from_json(one) for one in kept.rows[key]["replies"]]
            for place, key in enumerate(keys)
            if key in kept.rows
        }
        if progress is not None:
            progress(len(found), len(prompts))
        for batch in who.replies(prompts, settings, set(found)):
            whole = [one for one in batch if all(reply.error is None for reply in one.replies)]
            if whole:
                kept.add([_row(keys[one.prompt], one) for one in whole])
            found |= {one.prompt: one.replies for one in batch}
            if progress is not None:
                progress(len(found), len(prompts))
    return [found[place] for place in range(len(prompts))]


def _keys(prompts: Sequence[Example]) -> list[str]:
    """The words of each prompt, hashed; the same words once more are another prompt."""
    seen: Counter[str] = Counter()
    keys = []
    for prompt in prompts:
        spoken = json.dumps([(turn.role, turn.content) for turn in prompt.messages])
        key = hashlib.sha256(spoken.encode()).hexdigest()[:24]
        seen[key] += 1
        keys.append(key if seen[key] == 1 else f"{key} {seen[key]}")
    return keys


def _row(key: str, one: Replied) -> dict[str, Any]:
    return {"prompt": key, "replies": [reply.to_json() for reply in one.replies]}
