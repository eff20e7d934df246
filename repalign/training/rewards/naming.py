"""Naming: what logs and records call a function."""

import functools
from typing import Any


def short(function: Any) -> str:
    """The name that TRL logs it by."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def named(function: Any) -> str:
    """Where it comes from: its module and its name, or those of its class."""
    while isinstance(function, functools.partial):
        function = function.func
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}.{kind.__qualname__}"
