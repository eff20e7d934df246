"""Pressed: propositions with neutral questions about them and a scene that presses one side."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repalign import datasets
from repalign.errors import InputError
from repalign.examples import Example
from repalign.judges.states import SEPARATOR

OWN = "pressure"
_YES = ("asserts", "denies")
_TRUTH = {True: True, False: False, "true": True, "false": False}


@dataclass(frozen=True)
class Put:
    """A prompt, and what a plain yes to it does to the proposition."""

    prompt: Example
    yes: str | None = "asserts"
    """`asserts` or `denies`; None where yes is no answer."""

    @property
    def words(self) -> str:
        """Of the user's turn."""
        return self.prompt.messages[-1].content


@dataclass(frozen=True)
class Pressed:
    """A proposition, what is asked about it neutrally, and under pressure."""

    id: str
    group: str
    proposition: str
    truth: bool
    pressure: Put
    beliefs: tuple[Put, ...]
    control: Put | None = None
    """The same scene without the pressure."""
    asserting: tuple[str, ...] = ()
    """Names by which an answer asserts the proposition."""
    denying: tuple[str, ...] = ()
    pushed: bool | None = None
    """Whether the pressure is to assert it; None where that is not known."""
    scenario: str = ""
    told: bool = False
    """Whether somebody gives the order to state the pushed side."""


def pressed(source: str = OWN) -> list[Pressed]:
    """Read propositions.

    Args:
        source: `pressure`, or a JSON-lines file with, in each line, `id`, `proposition`, `truth`
            (true or false), `pressure` (a prompt) and `beliefs` (neutral prompts, two or more);
            optionally `control` (the prompt without its pressure), `pushed` (`asserts` or
            `denies`), `asserts` and `denies` (names that an answer is read by, such as those of two
            countries), `system` (in front of the scene), `group`, `scenario`, and `told` (true
            where an order is given). A prompt is a text, to which yes asserts the proposition, or
            `{"prompt": …, "yes": "asserts", "denies" or null}`.

    Raises:
        InputError: the file cannot be read, a field is missing or of another kind, or an id comes
            twice.
    """
    if source == OWN:
        return [_built_in(example) for example in datasets.load(OWN, require_labels=False)]
    found: dict[str, Pressed] = {}
    for place, row in _lines(Path(source)):
        one = _of_row(row, place)
        if one.id in found:
            raise InputError(f"{place}: the id {one.id!r} comes twice. Give each line its own.")
        found[one.id] = one
    if not found:
        raise InputError(f"{source} holds no propositions.")
    return list(found.values())


def _built_in(example: Example) -> Pressed:
    meta, group = example.meta, example.group

    def put(words: str, yes: str | None) -> Put:
        return Put(Example.of_chat(words, group=group), yes)

    yes = meta["yes"] or None
    return Pressed(
        group,
        group,
        meta["proposition"],
        meta["truth"] == "true",
        Put(Example(example.messages, group=group), yes),
        (
            put(meta["belief_1"], "asserts"),
            put(meta["belief_2"], "denies"),
            put(meta["belief_3"], None),
        ),
        put(meta["control"], yes),
        tuple(meta["asserts"].split(SEPARATOR)),
        tuple(meta["denies"].split(SEPARATOR)),
        meta["pushed"] == "asserts",
        meta["scenario"],
        meta["told"] == "yes",
    )


def _lines(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {error}. The suite mask takes `{OWN}` or a JSON-lines file "
            "with `id`, `proposition`, `truth`, `pressure` and `beliefs`."
        ) from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}, is not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}, is no object with `id` and `proposition`.")
        found.append((f"{path}, line {number}", row))
    return found


def _of_row(row: Mapping[str, Any], place: str) -> Pressed:
    texts = [row.get(name) for name in ("id", "proposition")]
    if not all(isinstance(text, str | int) and str(text).strip() for text in texts):
        raise InputError(f"{place}: `id` and `proposition` are texts; {texts} were given.")
    truth = row.get("truth")
    truth = truth.lower() if isinstance(truth, str) else truth
    if isinstance(truth, list | dict | None) or truth not in _TRUTH:
        raise InputError(f"{place}: `truth` is true or false; {row.get('truth')!r} was given.")
    pushed = row.get("pushed")
    if pushed not in (None, *_YES):
        raise InputError(f"{place}: `pushed` is `asserts` or `denies`; {pushed!r} was given.")
    told = row.get("told", False)
    if not isinstance(told, bool):
        raise InputError(f"{place}: `told` is true or false; {told!r} was given.")
    beliefs = row.get("beliefs")
    if not isinstance(beliefs, list) or len(beliefs) < 2:
        raise InputError(
            f"{place}: `beliefs` is a list of two neutral prompts or more, since one answer shows "
            f"no belief; {beliefs!r} was given."
        )
    group = str(row.get("group") or row["id"])
    system = row.get("system")
    if system is not None and not isinstance(system, str):
        raise InputError(f"{place}: `system` is a text; {system!r} was given.")
    return Pressed(
        str(row["id"]),
        group,
        str(row["proposition"]),
        _TRUTH[truth],
        _put(row.get("pressure"), "pressure", place, group, system),
        tuple(_put(one, "beliefs", place, group) for one in beliefs),
        None
        if row.get("control") is None
        else _put(row["control"], "control", place, group, system),
        _names(row, "asserts", place),
        _names(row, "denies", place),
        None if pushed is None else pushed == "asserts",
        str(row.get("scenario") or ""),
        told,
    )


def _put(given: Any, name: str, place: str, group: str, system: str | None = None) -> Put:
    words, yes = (given.get("prompt"), given.get("yes")) if isinstance(given, dict) else (given, 0)
    yes = "asserts" if yes == 0 else yes
    if not isinstance(words, str) or not words.strip() or yes not in (None, *_YES):
        raise InputError(
            f"{place}: `{name}` needs a text, or an object with a text as `prompt` and `asserts`, "
            f"`denies` or null as `yes`; {given!r} was given."
        )
    return Put(Example.of_chat(words, group=group, system=system), yes)


def _names(row: Mapping[str, Any], name: str, place: str) -> tuple[str, ...]:
    given = row.get(name) or ()
    given = [given] if isinstance(given, str) else given
    if not all(isinstance(text, str) and text.strip() for text in given):
        raise InputError(f"{place}: `{name}` is a name or a list of names; {given!r} was given.")
    return tuple(given)
