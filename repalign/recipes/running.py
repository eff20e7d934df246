"""run(): a plan from its first row to its audit. What is finished is not done again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from repalign import checks
from repalign.activations import origin
from repalign.answering.asking import Titled
from repalign.auditing import Audit, Measure, audit, control_directions
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.readouts import Readout
from repalign.recipes import penalties, rewards, sources, stages
from repalign.recipes.building import Ingredients
from repalign.recipes.plan import Plan, Stage
from repalign.recipes.sources.made import Scores
from repalign.recipes.stages import Trained
from repalign.spans import Span
from repalign.training import Penalty, Together

_LAST = Span.parse("last")
Loads = Callable[[str], LanguageModel]


@dataclass(frozen=True)
class Ran:
    """What came of a plan."""

    records: Sequence[Mapping[str, Any]]
    """One of each stage."""
    audit: Audit | None
    """None where the plan asks for none, or several processes train."""
    trained: LanguageModel
    base: Mapping[str, Any]
    """What was trained: name, weights, tokenizer and so on."""
    controls: Mapping[str, Sequence[Mapping[str, Any]]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """The records of the stages of each control."""

    def results(self) -> dict[str, Any]:
        """As the record of a run holds it."""
        return {
            "stages": [_short(record) for record in self.records],
            "log": list(_joined(self.records)),
            "controls": {
                name: [_short(record) for record in records]
                for name, records in self.controls.items()
            },
            "audit": None if self.audit is None else self.audit.to_json(),
        }


@dataclass(frozen=True)
class Runner:
    """Runs a plan in a folder."""

    plan: Plan
    folder: Path
    load: Loads
    """Loads the base afresh: each training changes the one it is given."""
    progress: Titled
    _checked: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def _base(self) -> LanguageModel:
        """The base afresh. Its self-checks are run once: these are the same weights each time."""
        model = self.load(self.plan.base)
        mark = model.fingerprint
        if mark not in self._checked:
            self._checked[mark] = checks.ensure(model)
        model.checked = self._checked[mark]
        return model

    def run(self) -> Ran:
        """Train every stage, then the controls, then audit.

        Raises:
            InputError: the plan cannot be followed; it says where.
            RepalignError: a loss is no longer finite.
        """
        trained, records, seen = self._train(self.folder, "")
        found = None
        others: dict[str, list[Mapping[str, Any]]] = {}
        if self.plan.audit.run and _alone():
            found = self._audit(trained, seen, others)
        return Ran(records, found, trained, seen.base, MappingProxyType(others))

    def _train(
        self, folder: Path, control: str
    ) -> tuple[LanguageModel, list[Mapping[str, Any]], "_Seen"]:
        """All stages; with a control, the same ones with other directions or no penalties."""
        model = self._base()
        base = {name: value for name, value in origin(model, _LAST).items() if name != "span"}
        given = [self._given(stage, model, control) for stage in self.plan.stages]
        seen = _Seen.of(base, given)
        records: list[Mapping[str, Any]] = []
        for place, (stage, one) in enumerate(zip(self.plan.stages, given, strict=True)):
            where = folder / stage.name
            last = place == len(given) - 1
            done = self._stage(stage, model, replace(one.ingredients, of_base=place == 0), where)
            records.append(done.record)
            model = done.model if last else stages.merged(done.model, where)
        return model, records, seen

    def _stage(
        self, stage: Stage, model: LanguageModel, given: Ingredients, folder: Path
    ) -> Trained:
        if stages.finished(folder):
            return stages.reload(stage, folder, model)
        title = f"{folder.relative_to(self.folder)}: {stage.method}"
        with self.progress(title) as progress:
            return stages.train(
                stage,
                model,
                given,
                folder,
                base=self.plan.base,
                seed=self.plan.seed,
                progress=progress,
            )

    def _given(self, stage: Stage, model: LanguageModel, control: str) -> "_Given":
        """Rows and penalties of a stage. Rows are made by the first process, for all of them."""
        from accelerate import PartialState

        making = sources.Making(model, self.folder, self.plan.seed, self.progress)
        with PartialState().main_process_first():
            made = sources.make(stage.data, making)
            stages.settle(self.folder / stage.name, made.rows)
        builder = penalties.Builder(model, self.plan.seed, self._swap(model, control))
        built = () if control == "plain" else tuple(map(builder.penalty, stage.penalties))
        functions, weights = rewards.build(stage.rewards)
        return _Given(Ingredients(made.rows, made.counts, built, functions, weights), made.measure)

    def _swap(self, model: LanguageModel, control: str) -> penalties.Swap | None:
        if control in ("", "plain"):
            return None

        def swap(
            directions: tuple[Direction, ...], source: penalties.Source
        ) -> tuple[Direction, ...]:
            texts = None if source.runs else source.texts(self.plan.seed)[0]
            found = control_directions(
                model, directions, texts, names=(control,), seed=self.plan.seed
            )
            if control not in found:
                raise InputError(
                    f"The control {control!r} needs the texts that directions were fitted on, and "
                    "these were taken from runs. Leave it out of [audit] controls."
                )
            return tuple(found[control])

        return swap

    def _audit(
        self,
        trained: LanguageModel,
        seen: "_Seen",
        others: dict[str, list[Mapping[str, Any]]],
    ) -> Audit:
        asked = self.plan.audit
        before = self._base()
        controls: dict[str, LanguageModel] = {}
        for name in asked.controls:
            controls[name], others[name], _ = self._train(self.folder / "controls" / name, name)
        return audit(
            before,
            trained,
            loss=seen.loss,
            texts=self._held_out(),
            measures=_measures(seen, before, trained),
            controls=controls,
            control_measures={
                name: _measures(seen, before, model) for name, model in controls.items()
            },
            suites=asked.suites,
            limit=asked.limit,
            seen=seen.prompts,
            folder=self.folder / "audit",
            seed=self.plan.seed,
            progress=self.progress,
        )

    def _held_out(self) -> list[Example] | None:
        """Texts like those that the penalties' directions were read on, which no probe has seen."""
        for stage in self.plan.stages:
            for table in stage.penalties:
                source = penalties.Source.of(table.get("directions", {}))
                if "directions" in table and not source.runs:
                    return source.texts(self.plan.seed)[1] or None
        return None


@dataclass(frozen=True)
class _Given:
    ingredients: Ingredients
    measure: Callable[[LanguageModel], Sequence[Scores]] | None


@dataclass(frozen=True)
class _Seen:
    """What was trained, what the losses saw, and what can be measured of what rows are about."""

    base: Mapping[str, Any]
    loss: tuple[Direction | Readout, ...]
    prompts: frozenset[str]
    """Last turns of the prompts."""
    measures: tuple[Callable[[LanguageModel], Sequence[Scores]], ...]

    @classmethod
    def of(cls, base: Mapping[str, Any], given: Sequence[_Given]) -> "_Seen":
        found: list[Direction | Readout] = []
        for one in given:
            for penalty in one.ingredients.penalties:
                found += _read_by(penalty)
            found += rewards.read_by(one.ingredients.rewards)
        unique = {one.fingerprint: one for one in found}
        measures = [one.measure for one in given if one.measure is not None]
        prompts = {_last_turn(row) for one in given for row in one.ingredients.rows}
        return cls(base, tuple(unique.values()), frozenset(prompts), tuple(measures))


def _last_turn(row: Mapping[str, Any]) -> str:
    """What a row asks, where its format tells that apart."""
    prompt = row.get("prompt", "")
    return prompt if isinstance(prompt, str) else str(prompt[-1]["content"])


def _read_by(penalty: Penalty | Together) -> list[Direction | Readout]:
    parts = penalty.parts if isinstance(penalty, Together) else (penalty,)
    found: list[Direction | Readout] = []
    for part in parts:
        found += part.along
        readout = getattr(part, "readout", None)
        found += [] if readout is None else [readout]
    return found


def _measures(seen: _Seen, before: LanguageModel, after: LanguageModel) -> list[Measure]:
    found = []
    for measure in seen.measures:
        for one, two in zip(measure(before), measure(after), strict=True):
            found.append(
                Measure(one.name, one.values, two.values, one.groups, one.higher_is_honest)
            )
    return found


def _alone() -> bool:
    """Whether this process is the only one: an audit is not done by many at once."""
    from accelerate import PartialState

    return PartialState().num_processes == 1


def _short(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("format", "log")}


def _joined(records: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The logs of all stages, their steps counted through."""
    before = 0
    for record in records:
        for entry in record["log"]:
            yield {**entry, "step": entry["step"] + before, "stage": record["name"]}
        before += record["steps"]
