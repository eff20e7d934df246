"""Data sets of the Hugging Face Hub, read as tables through the package `datasets`."""

import re
from importlib import import_module
from typing import Any

from repalign.datasets.columns import as_label
from repalign.datasets.files import Table
from repalign.errors import InputError, MissingExtraError

_ADDRESS = re.compile(
    r"(?P<id>\w[\w.-]*/[\w.-]+)(?::(?P<config>[\w.-]+))??(?::(?P<split>[\w.-]+))?"
)
SYNTAX = "owner/name, owner/name:split or owner/name:config:split"


def is_hub_name(name: str) -> bool:
    """Whether a name has the form `owner/name`, `owner/name:split` or `owner/name:config:split`."""
    return _ADDRESS.fullmatch(name) is not None


def read_hub(name: str, config: str | None = None, split: str | None = None) -> Table:
    """Read one split of a hub data set; no code of the data set is run.

    Args:
        name: `owner/name`, `owner/name:split` or `owner/name:config:split`.
        config: the configuration, where the name does not state one.
        split: the split, where the name does not state one; a data set with one split needs none.

    Raises:
        InputError: it cannot be reached or read, or the split is not named and there are several.
        MissingExtraError: the package `datasets` is not installed.
    """
    match = _ADDRESS.fullmatch(name)
    if match is None:
        raise InputError(f"{name!r} is not the name of a hub data set; write {SYNTAX}.")
    config, split = match["config"] or config, match["split"] or split
    from httpx import HTTPError  # here, because reading a file needs no network library

    try:
        datasets: Any = import_module("datasets")
    except ImportError as error:
        raise MissingExtraError(
            f"Reading {name} from the Hugging Face Hub needs the package datasets: "
            "pip install datasets. Or download a file of it and give its path."
        ) from error
    failures = (OSError, ValueError, HTTPError, datasets.exceptions.DatasetsError)
    try:
        loaded: Any = datasets.load_dataset(match["id"], name=config, split=split)
    except failures as error:
        raise InputError(
            f"{name} is neither a data set of repalign nor a file here, and reading it from the "
            f"Hugging Face Hub failed: load_dataset({match['id']!r}, name={config!r}, "
            f"split={split!r}) said {type(error).__name__}: {error}. Check the name "
            f"({SYNTAX}), the network and, for a private one, `hf auth login`; or download a file "
            "of it and give its path."
        ) from error
    if isinstance(loaded, dict):
        if len(loaded) > 1:
            raise InputError(
                f"{name} has the splits {', '.join(loaded)}. Name one: "
                f"{match['id']}{':' + config if config else ''}:{next(iter(loaded))}."
            )
        (loaded,) = loaded.values()
    return _table(name, loaded)


def _table(name: str, loaded: Any) -> Table:
    rows = [dict(row) for row in loaded]
    columns = list(loaded.column_names)
    names = getattr(loaded.features.get("label"), "names", None)
    if names:
        # A ClassLabel numbers its classes in any order: 0 may stand for "true". Where the class
        # names are labels themselves they decide; otherwise the name is kept beside the number.
        telling = all(as_label(word) is not None for word in names)
        for row in rows:
            if isinstance(row["label"], int) and 0 <= row["label"] < len(names):
                row["label" if telling else "label_name"] = names[row["label"]]
        columns += [] if telling else ["label_name"]
    if not rows:
        raise InputError(f"{name} has no rows. Name another split.")
    return Table(name, "row", tuple(columns), tuple(range(1, len(rows) + 1)), tuple(rows))
