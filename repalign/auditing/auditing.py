"""audit(): whether training moved the model, or only fooled the probe."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from repalign.answering.asking import Titled, silent
from repalign.auditing.asking import LIMIT, SUITES
from repalign.auditing.bench import Bench, make_bench
from repalign.auditing.examining import Examined, examine
from repalign.auditing.family import Family
from repalign.auditing.ladder import Verdict
from repalign.auditing.measure import Measure
from repalign.auditing.reading import groups_of
from repalign.auditing.summary import Summary
from repalign.auditing.twins import check_twins
from repalign.datasets.shortcuts import shortcut_scores
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.examples import Example
from repalign.metrics import Estimate, auroc
from repalign.models import LanguageModel
from repalign.probing.folds import grouped_folds
from repalign.readouts import Readout
from repalign.storage import read_json, write_json

_FORMAT = "repalign.audit/1"
_LOOKS = "report-looks.json"


@dataclass(frozen=True)
class Audit:
    """What an audit found."""

    found: Examined
    baselines: Mapping[str, Estimate]
    """AUROC of a bag of words, and of length, on the labelled texts: what needs no model."""
    controls: Mapping[str, Summary]
    models: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The claim, with its reasons."""
        return self.found.verdict

    @property
    def summary(self) -> Summary:
        """In the figures that controls have too."""
        return self.found.summary

    def __str__(self) -> str:
        """The verdict and its reasons, a line each."""
        lines = [self.verdict.sentence, *(f"- {reason}" for reason in self.verdict.reasons)]
        lines += [f"control {name}: {one.claim}" for name, one in self.controls.items()]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """As plain data, as a run holds it."""
        found = self.found
        return {
            "format": _FORMAT,
            "verdict": found.verdict.to_json(),
            "summary": self.summary.to_json(),
            "probes": {name: one.to_json() for name, one in found.readings.items()},
            "own_answers": {name: one.to_json() for name, one in found.answers.items()},
            "refits": {site: one.to_json() for site, one in found.refits.items()},
            "drift": {site: one.to_json() for site, one in found.drifts.items()},
            "baselines": {name: one.to_json() for name, one in self.baselines.items()},
            "behaviour": [one.to_json() for one in found.changes],
            "cells": found.cells,
            "writing": found.writing.to_json(),
            "controls": {name: one.to_json() for name, one in self.controls.items()},
            "models": {name: dict(one) for name, one in self.models.items()},
            "notes": list(self.notes),
        }


def audit(
    before: LanguageModel,
    after: LanguageModel,
    *,
    loss: Sequence[Direction | Readout] = (),
    selection: Family | None = None,
    report: Family | None = None,
    texts: Sequence[Example] | None = None,
    benign: Sequence[Example] | None = None,
    prompts: Sequence[str | Example] | None = None,
    measures: Sequence[Measure] = (),
    suites: Sequence[str] = SUITES,
    limit: int | None = LIMIT,
    seen: Collection[str] = (),
    controls: Mapping[str, LanguageModel | Audit | Summary] | None = None,
    control_measures: Mapping[str, Sequence[Measure]] | None = None,
    folder: Path | str,
    seed: int = 0,
    progress: Titled = silent,
) -> Audit:
    """Find out whether training moved the model or only fooled the probe.

    Training through a probe teaches a model to hide from it (arXiv 2412.09565, 2506.14261,
    2602.15515), so the probe that was trained on says nothing of the result. What does: probes that
    training never saw, read on the same tokens with frozen and trained weights; probes fitted anew
    on the trained weights; behaviour that rests on no probe; and trainings with a control in the
    place of the direction. `repalign.auditing.ladder.claim` says how they become one verdict, a
    rule of ours and of no paper.

    Args:
        before: the model before training.
        after: the trained one: loaded from a folder, or `LanguageModel(network, …)` around one in
            memory. The two may not share weights.
        loss: directions and readouts that were in the training loss, or none.
        selection: probes that training was stopped or chosen by; built from built-in data without.
        report: probes that nothing has been chosen by; likewise.
        texts: labelled texts, of what was trained for, that no probe was fitted on; those of the
            built-in families without.
        benign: ordinary texts, for the threshold, KL and perplexity; the data set `benign` without.
        prompts: what both models answer freely; 16 requests of `benign` without.
        measures: further behaviour, such as a held-out share of an experiment.
        suites: of `repalign.evaluation`, put to both models.
        limit: groups of items of a suite.
        seen: prompts of the training; what a suite asks in the same words is left out.
        controls: further trained models by name (`plain` with weight 0, `random`, `shuffled`,
            `refusal`, see `control_directions`), or their own audits or summaries. Suites are not
            put to them.
        control_measures: further behaviour of those controls that are models.
        folder: where answers are kept, so that a killed audit goes on.
        seed: of folds, samples and suites.
        progress: a context that shows how far something is, as of `evaluation.Setting`.

    Returns:
        The verdict, and all that it rests on.

    Raises:
        InputError: models of different sizes or tokens, or the same one; texts of one class or
            without labels; probes of another model; families that are not disjoint.
    """
    folder = Path(folder)
    check_twins(before, after)
    bench = make_bench(
        before,
        loss,
        selection,
        report,
        texts,
        benign,
        prompts,
        suites=suites,
        limit=limit,
        seen=seen,
        folder=folder,
        seed=seed,
        progress=progress,
    )
    found = examine(bench, after, "after", more=measures)
    return Audit(
        found,
        _baselines(bench),
        {
            name: _control(bench, name, one, (control_measures or {}).get(name, ()))
            for name, one in (controls or {}).items()
        },
        {
            role: {"name": model.name, "revision": model.revision, "weights": model.fingerprint}
            for role, model in (("before", before), ("after", after))
        },
        (*bench.notes, *found.notes, *_looks(bench, after)),
    )


def _control(
    bench: Bench,
    name: str,
    given: LanguageModel | Audit | Summary,
    measures: Sequence[Measure],
) -> Summary:
    if isinstance(given, Summary):
        return given
    if isinstance(given, Audit):
        return given.summary
    if name in ("before", "after"):
        raise InputError(f"A control cannot be called {name}; give it another name.")
    return examine(bench, given, name, more=measures, control=True).summary


def _baselines(bench: Bench) -> dict[str, Estimate]:
    labels = np.array([one.label for one in bench.texts])
    groups = groups_of(bench.texts)
    folds = grouped_folds(labels, groups, 5, bench.seed)
    scores = shortcut_scores(bench.texts, folds)
    return {name: auroc(labels, scores[name], groups) for name in ("bag_of_words", "length")}


def _looks(bench: Bench, after: LanguageModel) -> list[str]:
    """Keep count of the trained weights that these probes for the report have been read on."""
    path = bench.folder / _LOOKS
    probes = " ".join(probe.fingerprint for probe in bench.report.probes)
    kept: dict[str, list[str]] = read_json(path) if path.is_file() else {}
    seen = kept.setdefault(probes, [])
    if after.fingerprint not in seen:
        seen.append(after.fingerprint)
        write_json(path, kept)
    if len(seen) < 2:
        return []
    return [
        f"The probes kept for the report have been read on {len(seen)} different trained weights "
        "in this folder. Whoever chooses among these by what they say makes them probes for "
        "selection; then give others."
    ]
