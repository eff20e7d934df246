"""Bench: what every model of an audit is read with and asked, and what the frozen one answered."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repalign import datasets
from repalign.activations import readable
from repalign.answering.asking import Titled
from repalign.auditing.asking import evaluated, trained_on
from repalign.auditing.building import families
from repalign.auditing.family import (
    LOSS,
    REPORT,
    SELECTION,
    Family,
    check_disjoint,
    check_probes,
    scores_by_family,
)
from repalign.auditing.twins import check_tokens, check_twins
from repalign.auditing.writing import PROMPTS, free_answers
from repalign.behavior import Answers
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.evaluation.evaluating import Evaluated
from repalign.examples import Example, labelled, limited
from repalign.models import LanguageModel
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span

_SITES = 3
"""Where probes are fitted anew and drift is measured, at most."""
_DRIFT_GROUPS = 48


@dataclass(frozen=True, eq=False)
class Bench:
    """All that is the same for the model that is audited and for its controls."""

    before: LanguageModel
    families: tuple[Family, ...]
    """Loss (if there is one), selection, report."""
    texts: tuple[Example, ...]
    benign: tuple[Example, ...]
    prompts: tuple[str | Example, ...]
    suites: tuple[str, ...]
    limit: int | None
    seen: frozenset[str]
    """Prompts of the training: items of suites that ask these are left out."""
    folder: Path
    seed: int
    progress: Titled
    benign_scores: Mapping[str, np.ndarray]
    """Of the frozen model, by family."""
    answers: Answers
    """Of the frozen model, to the prompts."""
    evaluated: Evaluated
    """Of the frozen model."""
    notes: tuple[str, ...]

    @property
    def loss(self) -> Family | None:
        """The family in the loss, where there is one."""
        return next((one for one in self.families if one.name == LOSS), None)

    @property
    def report(self) -> Family:
        """The family that reports."""
        return self.families[-1]

    @property
    def read_at(self) -> tuple[list[Site], Span]:
        """Sites and span of what is fitted anew: the loss's, or the report's without a loss."""
        family = self.loss or self.report
        sites = sorted(family.sites, key=lambda site: site.layer)
        places = np.unique(np.linspace(0, len(sites) - 1, _SITES).round().astype(int))
        return [sites[place] for place in places], family.probes[0].span

    def old(self, site: Site) -> np.ndarray | None:
        """The direction in the loss at a site: the first probe's that reads there."""
        for probe in self.loss.probes if self.loss else ():
            if site in probe.sites:
                return probe.coef[probe.sites.index(site)].astype(np.float64)
        return None

    @property
    def drift_texts(self) -> list[Example]:
        """Texts of which every token is read."""
        return limited(self.texts, _DRIFT_GROUPS, self.seed)

    def check(self, after: LanguageModel) -> None:
        """Refuse a trained model that cannot be compared.

        Raises:
            InputError: another width, other tokens, or weights that are those of the frozen model.
        """
        check_twins(self.before, after)
        every = [*self.texts, *self.benign, *(one for f in self.families for one in f.texts)]
        check_tokens(self.before, after, every)


def make_bench(
    before: LanguageModel,
    loss: Sequence[Direction | Readout],
    selection: Family | None,
    report: Family | None,
    texts: Sequence[Example] | None,
    benign: Sequence[Example] | None,
    prompts: Sequence[str | Example] | None,
    *,
    suites: Sequence[str],
    limit: int | None,
    seen: Collection[str],
    folder: Path,
    seed: int,
    progress: Titled,
) -> Bench:
    """Settle what is not given, check it, and ask the frozen model.

    Raises:
        InputError: texts without labels or of one class; probes of another model; families that
            have something in common.
    """
    given = None if texts is None else labelled(texts)
    of_loss = Family.of(LOSS, loss)
    with progress("fitting probe families"):
        built = None
        if selection is None or report is None:
            built = families(before, of_loss, texts=given or (), seed=seed)
        selection = _named(SELECTION, built[0] if selection is None and built else selection)
        report = _named(REPORT, built[1] if report is None and built else report)
    every = tuple(one for one in (of_loss, selection, report) if one.probes or one.name == REPORT)
    for family in every:
        check_probes(family, before)
    read_on = given if given is not None else labelled([*selection.texts, *report.texts])
    notes = check_disjoint(every, read_on)
    harmless = list(benign) if benign is not None else ordinary()
    check_spans(before, every, harmless)
    asked = tuple(prompts if prompts is not None else spread(harmless))
    with progress(f"benign texts: {before.name}"):
        calm = scores_by_family(before, every, harmless)
    with progress(f"free answers: {before.name}"):
        answers = free_answers(before, asked)
    said = evaluated(before, suites, folder / "before", limit, seed, progress)
    if left_out := trained_on(said, seen):
        notes.append(
            f"{left_out} items of the suites have a prompt that was trained on; they are left out."
        )
    return Bench(
        before=before,
        families=every,
        texts=tuple(read_on),
        benign=tuple(harmless),
        prompts=asked,
        suites=tuple(suites),
        limit=limit,
        seen=frozenset(seen),
        folder=folder,
        seed=seed,
        progress=progress,
        benign_scores=calm,
        answers=answers,
        evaluated=said,
        notes=tuple(notes),
    )


def check_spans(model: LanguageModel, every: Sequence[Family], benign: Sequence[Example]) -> None:
    """Refuse benign texts that a probe has nothing to read in.

    Raises:
        InputError: which family, and why.
    """
    for family in every:
        for span in family.spans:
            try:
                readable(model, benign, span)
            except InputError as error:
                raise InputError(
                    f"{error} This is one of the benign texts that the threshold of the family "
                    f"{family.name} is set on: give others with benign=…."
                ) from error


def ordinary() -> list[Example]:
    """Half of the built-in benign chats, from all over: reading them is what costs most."""
    return datasets.load("benign", require_labels=False)[::2]


def spread(benign: Sequence[Example]) -> list[Example]:
    """Requests from all over the benign texts; `ask` leaves out their answers."""
    count = min(PROMPTS, len(benign))
    return [benign[place * len(benign) // count] for place in range(count)]


def _named(name: str, family: Family | None) -> Family:
    assert family is not None
    return family if family.name == name else Family(name, family.probes, family.texts)
