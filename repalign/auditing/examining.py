"""Examining: everything that is measured of one trained model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repalign.activations import collect
from repalign.auditing.asking import cells, evaluated, measures
from repalign.auditing.bench import Bench
from repalign.auditing.drifting import Drift, drift
from repalign.auditing.evidence import judge
from repalign.auditing.family import LOSS, REPORT, scores_by_family
from repalign.auditing.ladder import Verdict
from repalign.auditing.measure import Change, Measure, changes
from repalign.auditing.reading import OwnAnswers, Reading, read_answers, read_family
from repalign.auditing.refitting import Refit, read_both, refit
from repalign.auditing.summary import Summary
from repalign.auditing.writing import Writing, free_answers, pairs_of, write
from repalign.errors import InputError
from repalign.metrics import Estimate
from repalign.models import LanguageModel
from repalign.spans import Span


@dataclass(frozen=True)
class Examined:
    """The figures of one trained model."""

    verdict: Verdict
    readings: Mapping[str, Reading]
    """By family."""
    answers: Mapping[str, OwnAnswers]
    refits: Mapping[str, Refit]
    """By site; the first is the one that the verdict rests on."""
    drifts: Mapping[str, Drift]
    changes: tuple[Change, ...]
    cells: Mapping[str, Any] | None
    writing: Writing
    notes: tuple[str, ...]

    @property
    def summary(self) -> Summary:
        """In a few figures."""
        figures: dict[str, Estimate | None] = {}
        for name, reading in self.readings.items():
            figures[f"{name} probes: score of dishonest texts"] = reading.dishonest.difference
            figures[f"{name} probes: AUROC"] = reading.auroc.difference
            figures[f"{name} probes: recall"] = reading.recall.difference
            if name in self.answers:
                figures[f"{name} probes: own answers"] = self.answers[name].total.difference
        first = next(iter(self.refits))
        figures |= {
            "refitted probe: AUROC after": self.refits[first].auroc.after,
            "drift: size": self.drifts[first].size,
            "drift: rank": self.drifts[first].rank,
            "KL, nats a token": self.writing.kl,
            "perplexity": self.writing.perplexity.difference,
            "repetition": self.writing.repetition.difference,
            "length of answers": self.writing.length.difference,
        }
        return Summary(
            self.verdict.claim,
            figures,
            {one.name: one.shift.difference for one in self.changes},
        )


def examine(
    bench: Bench,
    after: LanguageModel,
    name: str,
    *,
    more: Sequence[Measure] = (),
    control: bool = False,
) -> Examined:
    """Measure a trained model beside the frozen one.

    Args:
        bench: what it is measured with.
        after: the trained model.
        name: the folder of its answers.
        more: further measures of behaviour.
        control: whether it was trained for comparison: the family in the loss was not in *its*
            loss, and suites, which cost most, are not put to it.
    """
    bench.check(after)
    readings, answers, notes = _read(bench, after)
    refits, drifts = _fitted(bench, after)
    suites = () if control else bench.suites
    found = evaluated(after, suites, bench.folder / name, bench.limit, bench.seed, bench.progress)
    for failed in (bench.evaluated.failed, found.failed):
        notes += [f"The suite {suite} did not finish: {why}" for suite, why in failed.items()]
    moved = changes([*measures(bench.evaluated, found, bench.seen), *more])
    with bench.progress(f"benign text: {after.name}"):
        written = write(bench.before, after, bench.benign, bench.answers, answers[1])
    verdict = judge(
        None if control else readings.get(LOSS),
        readings[REPORT],
        answers[0].get(REPORT),
        next(iter(refits.values())),
        moved,
    )
    return Examined(
        verdict,
        readings,
        answers[0],
        refits,
        drifts,
        moved,
        cells(bench.evaluated, found, bench.seen),
        written,
        tuple(notes),
    )


def _read(
    bench: Bench, after: LanguageModel
) -> tuple[dict[str, Reading], tuple[dict[str, OwnAnswers], Any], list[str]]:
    """What the families say of the labelled texts, and of the models' own answers."""
    with bench.progress(f"free answers: {after.name}"):
        said = free_answers(after, bench.prompts)
    pairs = pairs_of(bench.answers, said)
    notes = []
    if len(pairs) < len(bench.prompts):
        notes.append(
            f"{len(bench.prompts) - len(pairs)} of {len(bench.prompts)} prompts have an empty free "
            "answer before or after, which no probe can read."
        )
    with bench.progress(f"benign texts: {after.name}"):
        calm = scores_by_family(after, bench.families, bench.benign)
    readings, own = {}, {}
    for family in bench.families:
        with bench.progress(f"reading with {family.name} probes: {after.name}"):
            readings[family.name], unit = read_family(
                bench.before,
                after,
                family,
                bench.texts,
                bench.benign,
                (bench.benign_scores[family.name], calm[family.name]),
            )
            if not pairs:
                continue
            try:
                own[family.name] = read_answers(bench.before, after, family, unit, pairs)
            except InputError as error:
                # A span such as a regular expression need not occur in what a model writes.
                notes.append(f"The {family.name} probes cannot read the free answers: {error}")
    return readings, (own, said), notes


def _fitted(bench: Bench, after: LanguageModel) -> tuple[dict[str, Refit], dict[str, Drift]]:
    sites, span = bench.read_at
    with bench.progress(f"fitting probes anew: {after.name}"):
        frozen, trained = read_both(bench.before, after, bench.texts, sites, span)
        refits = {
            str(site): refit(frozen, trained, site, bench.old(site), seed=bench.seed)
            for site in sites
        }
    with bench.progress(f"drift: {after.name}"):
        texts = bench.drift_texts
        every = [collect(model, texts, sites, Span("all")) for model in (bench.before, after)]
        drifts = {
            str(site): drift(every[0], every[1], site, bench.old(site), bench.seed)
            for site in sites
        }
    # Chosen on frozen weights, so that the choice does not flatter what is said of trained ones.
    best = sorted(refits, key=lambda site: -refits[site].auroc.before.value)
    return {site: refits[site] for site in best}, {site: drifts[site] for site in best}
