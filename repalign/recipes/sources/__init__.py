"""Sources: where the rows of a training come from. A new one is a file and a line here."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from repalign.datasets.files import READERS, missing_file
from repalign.errors import InputError, unknown
from repalign.recipes.sources.made import Made as Made
from repalign.recipes.sources.made import Making as Making

NAMES = ("agreeable", "known", "limits", "questions")
"""Built in: module `repalign.recipes.sources.NAME`, function `make`."""
_FIRST = "making"


def make(data: Mapping[str, Any], making: Making) -> Made:
    """Make or read the rows of a training.

    Args:
        data: `source`, a built-in name or a file, and the options of that source.
        making: with what.

    Raises:
        InputError: no such source or file, an option that the source does not have, or as the
            source.
    """
    function, options = _function(data)
    try:
        inspect.signature(function).bind(making, **options)
    except TypeError as error:
        raise InputError(f"[data] source = {data['source']!r}: {error}.") from error
    return function(making, **options)


def check(data: Mapping[str, Any]) -> None:
    """Refuse a source, a file or an option that does not exist, before a model is loaded."""
    _function(data)


def _function(data: Mapping[str, Any]) -> tuple[Callable[..., Made], dict[str, Any]]:
    source = data["source"]
    if not isinstance(source, str):
        raise InputError(f"[data] `source` is a name or the path of a file; {source!r} was given.")
    options = {name: value for name, value in data.items() if name != "source"}
    if source in NAMES:
        function = import_module(f"repalign.recipes.sources.{source}").make
    else:
        path = Path(source).expanduser()
        if not path.is_file():
            if path.suffix.lower() in READERS or len(path.parts) > 1:
                raise missing_file(path)
            raise InputError(
                f"{unknown('source of data', source, NAMES)} Also accepted: a file "
                f"({', '.join(READERS)})."
            )
        function = import_module("repalign.recipes.sources.file").make
        options["path"] = path
    allowed = [name for name in inspect.signature(function).parameters if name != _FIRST]
    for name in options:
        if name not in allowed:
            raise unknown(f"option of the source {source!r}", name, allowed)
    return function, options
