"""Plan: what `repalign train` is to do, as a TOML file says it."""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from repalign.errors import InputError, unknown
from repalign.recipes.trainers import TRAINERS

_STAGE = {
    "name": str,
    "method": str,
    "data": dict,
    "lora": dict,
    "penalties": list,
    "rewards": list,
    "arguments": dict,
    "label_column": str,
    "reference": str,
}
_PLAN = {"base": str, "revision": str, "seed": int, "stages": list, "audit": dict}
CONTROLS = ("plain", "random", "shuffled", "refusal")
_AUDIT = {
    "run": bool,
    "suites": list,
    "limit": int,
    "controls": list,
}
Table = Mapping[str, Any]
_NONE: Table = MappingProxyType({})


@dataclass(frozen=True)
class Stage:
    """One training: a method on data, with penalties and rewards."""

    name: str
    method: str
    data: Table
    """`source`, and the options of that source."""
    lora: Table | None = None
    """Arguments of `peft.LoraConfig`; None trains all weights."""
    penalties: tuple[Table, ...] = ()
    rewards: tuple[Table, ...] = ()
    arguments: Table = field(default_factory=lambda: _NONE)
    """Arguments of TRL's config, as they stand."""
    label_column: str | None = None
    reference: str | None = None
    """`copy`, where penalties compare with a copy of the model as it was."""


@dataclass(frozen=True)
class Audited:
    """How the result is looked at."""

    run: bool = True
    suites: tuple[str, ...] = ("honesty", "mask", "sycophancy", "refusal")
    limit: int = 24
    """Groups of items of each suite."""
    controls: tuple[str, ...] = ()
    """Trainings to compare with: `plain` without penalties, `random` directions, directions fitted
    on `shuffled` labels, directions less what they share with `refusal`."""


@dataclass(frozen=True)
class Plan:
    """What is trained, stage after stage, and how it is looked at afterwards."""

    base: str
    stages: tuple[Stage, ...]
    audit: Audited = field(default_factory=Audited)
    revision: str | None = None
    seed: int = 0
    text: str = ""
    """The file, word for word."""

    @property
    def fingerprint(self) -> str:
        """A short hash of what it says; comments and layout take no part."""
        said = json.dumps(tomllib.loads(self.text), sort_keys=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def smoke(self) -> "Plan":
        """The same in little: two steps on a few rows, to see that it runs."""
        stages = tuple(
            replace(
                stage,
                data={**stage.data, "count": 8},
                arguments={**stage.arguments, "max_steps": 2},
            )
            for stage in self.stages
        )
        audit = replace(self.audit, limit=2, controls=())
        return replace(self, stages=stages, audit=audit)


def read(path: Path | str) -> Plan:
    """Read a plan.

    Raises:
        InputError: no such file, no TOML, an unknown or missing key, or a value of another kind.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"There is no plan {path}. Write one with: repalign train --example dpo")
    try:
        return parse(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error}.") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def parse(text: str) -> Plan:
    """Read a plan from the words of its file."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"This is not TOML: {error}.") from error
    single = {name for name in table if name in _STAGE and name not in _PLAN}
    _check(table, {**_PLAN, **({} if "stages" in table else _STAGE)}, "the plan")
    if single and "stages" in table:
        raise InputError(f"With [[stages]] each stage has its own {', '.join(sorted(single))}.")
    if "base" not in table:
        raise InputError('A plan names the model to train: base = "smollm2".')
    given = table.get("stages", [{name: table[name] for name in table if name in _STAGE}])
    if not given or not all(isinstance(one, Mapping) for one in given):
        raise InputError("`stages` is a list of tables, [[stages]], with one training each.")
    stages = tuple(_stage(one, number, len(given)) for number, one in enumerate(given, start=1))
    names = [stage.name for stage in stages]
    if len(set(names)) < len(names):
        raise InputError(f"Stages need names of their own; these are {', '.join(names)}.")
    if table.get("seed", 0) < 0:
        raise InputError(f"A seed is a whole number of 0 or more; {table['seed']} was given.")
    return Plan(
        base=table["base"],
        stages=stages,
        audit=_audit(table.get("audit", {})),
        revision=table.get("revision"),
        seed=table.get("seed", 0),
        text=text,
    )


def _stage(table: Table, number: int, of: int) -> Stage:
    where = "the plan" if of == 1 else f"stage {number}"
    _check(table, _STAGE, where)
    for name, example in (("method", '"dpo"'), ("data", '{ source = "agreeable" }')):
        if name not in table:
            raise InputError(f"In {where} there is no `{name}`; such as {name} = {example}.")
    method = table["method"]
    if method not in TRAINERS:
        raise unknown("method", method, TRAINERS)
    if "source" not in table["data"]:
        raise InputError(
            f'In {where}, [data] needs a `source`: a file such as "pairs.jsonl", or a built-in one.'
        )
    lists = {name: tuple(table.get(name, ())) for name in ("penalties", "rewards")}
    for name, some in lists.items():
        if not all(isinstance(one, Mapping) and isinstance(one.get("kind"), str) for one in some):
            raise InputError(f"In {where}, each of [[{name}]] is a table with a `kind`.")
    trainer = TRAINERS[method]
    if lists["rewards"] and not trainer.rewarded:
        raise InputError(f"Method {method} takes no rewards; grpo and rloo do.")
    if trainer.rewarded and not lists["rewards"]:
        raise InputError(f"Method {method} needs at least one of [[rewards]].")
    if table.get("reference") not in (None, "copy"):
        raise unknown("reference", table["reference"], ["copy"])
    return Stage(
        name=table.get("name", f"stage-{number}"),
        method=method,
        data=table["data"],
        lora=table.get("lora"),
        arguments=table.get("arguments", {}),
        label_column=table.get("label_column"),
        reference=table.get("reference"),
        **lists,
    )


def _audit(table: Table) -> Audited:
    _check(table, _AUDIT, "[audit]")
    for name in ("suites", "controls"):
        if not all(isinstance(one, str) for one in table.get(name, ())):
            raise InputError(f"In [audit], `{name}` is a list of names.")
    for name in table.get("controls", ()):
        if name not in CONTROLS:
            raise unknown("control", name, CONTROLS)
    if table.get("limit", 1) < 1:
        raise InputError(f"In [audit], `limit` is 1 or more; {table['limit']} was given.")
    lists = {name: tuple(table[name]) for name in ("suites", "controls") if name in table}
    rest = {name: table[name] for name in ("run", "limit") if name in table}
    return Audited(**lists, **rest)


def _check(table: Table, allowed: Mapping[str, type], where: str) -> None:
    for name, value in table.items():
        if name not in allowed:
            raise unknown(f"key in {where}", name, allowed)
        wanted = allowed[name]
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise InputError(
                f"In {where}, `{name}` is {_KINDS[wanted]}; {_shown(value)} was given."
            )


_KINDS = {
    str: "a text in quotes",
    int: "a whole number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}


def _shown(value: Any) -> str:
    words = json.dumps(value, default=str)
    return words if len(words) < 60 else words[:57] + "…"


def names(some: Sequence[Table]) -> list[str]:
    """The kinds of penalties or rewards, for tables and progress."""
    return [one["kind"] for one in some]
