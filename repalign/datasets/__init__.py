"""Data sets: the built-in ones with their cards, and a user's own from files and the hub."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from repalign.errors import InputError, unknown
from repalign.examples import Example

if TYPE_CHECKING:
    from repalign.datasets.card import Card


def names() -> list[str]:
    """Name the built-in data sets, in alphabetical order."""
    from repalign.datasets.builtin import BUILTIN

    return sorted(BUILTIN)


def card_of(name: str) -> "Card":
    """Give the card of a built-in data set: what a label means, source, licence, shortcuts.

    Raises:
        InputError: there is no such data set; the message names the nearest.
    """
    from repalign.datasets.builtin import BUILTIN

    if name not in BUILTIN:
        raise unknown("data set", name, BUILTIN)
    return BUILTIN[name].card


def load(
    name_or_path: str | os.PathLike[str],
    *,
    hub_config: str | None = None,
    hub_split: str | None = None,
    require_labels: bool = True,
) -> list[Example]:
    """Load a built-in data set, a file or a data set of the Hugging Face Hub.

    A file (.csv, .tsv, .jsonl, .json holding a list, .parquet) or hub data set has the columns
    `statement,label`; or `prompt,response,label` and optionally `system`; or `messages,label`, with
    messages a list of {role, content} (in CSV its JSON). Labels are 1 (honest, true) or 0
    (dishonest, false), also written 1.0, 0.0, true, false.

    Optional columns: `group` (rows that must not be split, such as a statement and its opposite;
    without it each row is a group of its own, except that identical texts share one), `topic`
    (without it the file's name), `polarity` (`affirmed` or `negated`). Cells of all other columns
    go to `meta` as text; empty cells are left out.

    Args:
        name_or_path: looked up in this order: built-in name, existing file, hub data set
            (`owner/name`, `owner/name:split`, `owner/name:config:split`).
        hub_config: the hub data set's configuration, where the name does not state it.
        hub_split: the hub data set's split, where the name does not state it.
        require_labels: refuse a file that has rows without a label, fewer than 4 rows, or one class
            only. Without it, missing labels become None. Built-in data sets are given as they are.

    Raises:
        InputError: no such data set, or its content cannot be read; the message names the rows.
        MissingExtraError: an optional package is needed to read it.
    """
    from repalign.datasets.builtin import BUILTIN
    from repalign.datasets.columns import to_examples
    from repalign.datasets.files import READERS, missing_file, read_table
    from repalign.datasets.hub import SYNTAX, is_hub_name, read_hub

    name = os.fspath(name_or_path)
    path = Path(name).expanduser()
    local = name in BUILTIN or path.exists()
    if (hub_config or hub_split) and (local or not is_hub_name(name)):
        raise InputError(
            f"hub_config and hub_split are for data sets of the hub ({SYNTAX}); {name!r} is not "
            "read from there. Leave them out."
        )
    if isinstance(name_or_path, str) and name in BUILTIN:
        return BUILTIN[name].build()
    if path.exists():
        return to_examples(read_table(path), path.stem, require_labels)
    looks_local = path.suffix.lower() in READERS or name.startswith((".", "/", "~"))
    if looks_local or not isinstance(name_or_path, str):
        raise missing_file(path)
    if is_hub_name(name):
        topic = name.split("/")[1].split(":")[0]
        return to_examples(read_hub(name, hub_config, hub_split), topic, require_labels)
    if path.suffix or len(path.parts) > 1:
        raise missing_file(path)
    raise InputError(
        f"{unknown('data set', name, BUILTIN)} Also accepted: the path of a file "
        f"({', '.join(READERS)}) and a data set of the hub ({SYNTAX})."
    )


def fingerprint(examples: Iterable[Example]) -> str:
    """Hash what a probe is fitted on: messages, labels and groups, in order; not the meta.

    Returns:
        64 hexadecimal digits of SHA-256. Equal data have equal fingerprints in every format.

    Example:
        >>> fingerprint([Example.of_text("Two is smaller than nine.", 1, "2<9")])[:8]
        '388d685f'
    """
    digest = hashlib.sha256()
    for example in examples:
        row = [[list(turn) for turn in example.messages], example.label, example.group]
        digest.update(json.dumps(row, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()
