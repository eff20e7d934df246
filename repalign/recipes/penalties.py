"""Penalties as a plan names them, and the directions that they read along."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from repalign import datasets, training
from repalign.activations import collect
from repalign.datasets.agreeable import contrast
from repalign.directions import Direction
from repalign.errors import InputError, unknown
from repalign.examples import Example, labelled, limited
from repalign.fitting import by_name
from repalign.models import LanguageModel
from repalign.models.selecting import parse_sites
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.training import Penalty, Together

KINDS: Mapping[str, Callable[..., Penalty | Together]] = MappingProxyType(
    {
        "delta": training.delta,
        "lorra": training.lorra,
        "circuit_breaker": training.circuit_breaker,
        "movement": training.Movement,
        "target": training.Target,
        "retain": training.Retain,
        "reroute": training.Reroute,
        "projection": training.Projection,
        "probe_score": training.ProbeScore,
    }
)
_SCHEDULES = MappingProxyType(
    {"constant": training.Constant, "ramp": training.Ramp, "stairs": training.Stairs}
)
# Arguments that a plan writes as words: which sites.
_SITES = ("at", "reroute")
AGREEABLE = "agreeable"
_HELD_OUT = 60
"""Groups of texts for the audit, at most."""
Swap = Callable[[tuple[Direction, ...], "Source"], tuple[Direction, ...]]
"""Takes the directions of a penalty and where they came from; gives others, for a control."""


@dataclass(frozen=True)
class Source:
    """Where directions are read: labelled texts, or the folders of runs."""

    data: str = "capitals_persona"
    """Built-in name or file of labelled texts; `agreeable` reads true answers to false claims
    against those that agree."""
    span: str = "last"
    """Which tokens of the texts are read."""
    sites: str = "middle"
    """Where; `middle` is the middle third of the layers."""
    probe: str = "mean_difference"
    """What finds the direction."""
    groups: int = 100
    """Groups of texts at most."""
    runs: tuple[str, ...] = ()
    """Folders with a direction each, in place of texts."""

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "Source":
        """Read it from a plan.

        Raises:
            InputError: an unknown key, or texts and runs together.
        """
        allowed = [field.name for field in fields(cls)]
        for name in table:
            if name not in allowed:
                raise unknown("key of directions", name, allowed)
        given = dict(table)
        if "runs" in given:
            if len(given) > 1:
                raise InputError("Directions are read from texts or taken from `runs`, not both.")
            runs = given["runs"]
            given["runs"] = (runs,) if isinstance(runs, str) else tuple(runs)
        return cls(**given)

    def texts(self, seed: int) -> tuple[list[Example], list[Example]]:
        """Labelled texts to read the directions on, and others of their kind, held out."""
        if self.data == AGREEABLE:
            held_out = limited(contrast("validation", claims="false"), _HELD_OUT, seed)
            return limited(contrast("train", claims="false"), self.groups, seed), held_out
        every = labelled(datasets.load(self.data))
        used = limited(every, self.groups, seed)
        taken = {one.group for one in used}
        rest = [one for one in every if one.group not in taken]
        return used, limited(rest, _HELD_OUT, seed) if rest else []

    def directions(self, model: LanguageModel, seed: int) -> tuple[Direction, ...]:
        """A direction at each site."""
        texts, _ = self.texts(seed)
        read = collect(model, texts, middle(self.sites, model), self.span)
        # What an audit keeps its own probes apart from: names by topic, and the very texts.
        name = "cities_agreeable" if self.data == AGREEABLE else self.data
        data = {name: datasets.fingerprint(texts)}
        found = (Direction.of(by_name(self.probe), read, site) for site in read.sites)
        return tuple(replace(one, origin={**one.origin, "data": data}) for one in found)


@dataclass(frozen=True)
class Builder:
    """Makes the penalties of a plan for a model."""

    model: LanguageModel
    """The base, before any training."""
    seed: int = 0
    swap: Swap | None = None
    """Puts other directions in the place of those read."""
    _found: dict[Source, tuple[Direction, ...]] = field(default_factory=dict, init=False)

    def penalty(self, table: Mapping[str, Any]) -> Penalty | Together:
        """Make one penalty.

        Raises:
            InputError: a key that the penalty does not have, or as the penalty.
        """
        kind = table["kind"]
        options = {name: value for name, value in table.items() if name != "kind"}
        check(table)
        made = {name: self._read(name, value) for name, value in options.items()}
        try:
            return KINDS[kind](**made)
        except TypeError as error:
            raise InputError(f"[[penalties]] kind = {kind!r}: {error}.") from error

    def _read(self, name: str, value: Any) -> Any:
        if name == "directions":
            return self.directions(Source.of(value))
        if name == "readout":
            return Readout.load(value)
        if name in _SITES or (name == "retain" and isinstance(value, str)):
            return tuple(middle(value, self.model))
        if name == "schedule":
            return _schedule(value)
        return value

    def directions(self, source: Source) -> tuple[Direction, ...]:
        """The directions of a source, or those that take their place; read once."""
        if source not in self._found:
            self._found[source] = self._directions(source)
        return self._found[source]

    def _directions(self, source: Source) -> tuple[Direction, ...]:
        if source.runs:
            found = tuple(Direction.load(Path(run).expanduser()) for run in source.runs)
        else:
            found = source.directions(self.model, self.seed)
        return found if self.swap is None else self.swap(found, source)


def check(table: Mapping[str, Any]) -> None:
    """Refuse a kind or a key that does not exist, before a model is loaded.

    Raises:
        InputError: it names the nearest.
    """
    kind = table["kind"]
    if kind not in KINDS:
        raise unknown("penalty", kind, KINDS)
    allowed = list(inspect.signature(KINDS[kind]).parameters)
    for name in table:
        if name != "kind" and name not in allowed:
            raise unknown(f"key of the penalty {kind!r}", name, allowed)
    if "directions" in table:
        if not isinstance(table["directions"], Mapping):
            raise InputError(
                "Directions are a table, such as "
                'directions = { data = "capitals_persona", sites = "10-17" }.'
            )
        Source.of(table["directions"])
    if "schedule" in table:
        _schedule(table["schedule"])


def middle(words: str, model: LanguageModel) -> list[Site]:
    """Sites as elsewhere; `middle` is the middle third of the layers."""
    if words != "middle":
        return parse_sites(words, model)
    sites = model.sites()
    third = len(sites) // 3
    return sites[third : len(sites) - third]


def _schedule(table: Any) -> Any:
    if not isinstance(table, Mapping) or "kind" not in table:
        raise InputError(
            'A schedule is a table, such as schedule = { kind = "ramp", start = 0.0, end = 1.0, '
            "steps = 100 }."
        )
    kind = table["kind"]
    if kind not in _SCHEDULES:
        raise unknown("schedule", str(kind), _SCHEDULES)
    try:
        return _SCHEDULES[kind](**{name: table[name] for name in table if name != "kind"})
    except TypeError as error:
        raise InputError(f"schedule = {kind!r}: {error}.") from error
