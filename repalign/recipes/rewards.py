"""Rewards as a plan names them."""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from repalign.errors import InputError, unknown
from repalign.readouts import Readout
from repalign.training.rewards import KnowledgeAware, LieDetector, ProbeReward

KINDS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"knowledge_aware": KnowledgeAware, "lie_detector": LieDetector, "probe": ProbeReward}
)
MODEL, FUNCTION = "model", "function"
_OTHERS = {MODEL: "name", FUNCTION: "name"}
"""A reward model by hub id or folder, and a function as `module:function`, as TRL takes them."""


def build(tables: Sequence[Mapping[str, Any]]) -> tuple[list[Any], list[float]]:
    """Make the rewards of a stage, and their weights.

    Raises:
        InputError: a key that a reward does not have, no such function, or as the reward.
    """
    for table in tables:
        check(table)
    return [_one(table) for table in tables], [float(table.get("weight", 1.0)) for table in tables]


def check(table: Mapping[str, Any]) -> None:
    """Refuse a kind or a key that does not exist, before a model is loaded.

    Raises:
        InputError: it names the nearest.
    """
    kind = table["kind"]
    if kind not in KINDS and kind not in _OTHERS:
        raise unknown("reward", kind, [*KINDS, *_OTHERS])
    if kind in KINDS:
        allowed = list(inspect.signature(KINDS[kind]).parameters)
    else:
        allowed = [_OTHERS[kind]]
        if not isinstance(table.get("name"), str):
            raise InputError(f"[[rewards]] kind = {kind!r} needs a `name`.")
    weight = table.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise InputError(f"The weight of a reward is a number; {weight!r} was given.")
    for name in table:
        if name not in ("kind", "weight", *allowed):
            raise unknown(f"key of the reward {kind!r}", name, [*allowed, "weight"])


def read_by(rewards: Sequence[Any]) -> list[Readout]:
    """The probes that rewards read with."""
    found = [getattr(reward, "readout", None) for reward in rewards]
    return [one for one in found if one is not None]


def _one(table: Mapping[str, Any]) -> Any:
    kind = table["kind"]
    if kind == MODEL:
        return table["name"]
    if kind == FUNCTION:
        return _function(table["name"])
    options = {name: table[name] for name in table if name not in ("kind", "weight")}
    if "readout" in options:
        options["readout"] = Readout.load(options["readout"])
    try:
        return KINDS[kind](**options)
    except TypeError as error:
        raise InputError(f"[[rewards]] kind = {kind!r}: {error}.") from error


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"There is no function {name!r}; give module:function, of a module that Python finds "
            f"from here. {error}"
        ) from error
    if not callable(found):
        raise InputError(f"{name!r} is no function.")
    return found
