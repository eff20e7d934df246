"""Family: probes that are used for one purpose, and for no other."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from repalign import datasets
from repalign.activations import collect, mean_by_example
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span

LOSS, SELECTION, REPORT = "loss", "selection", "report"


@dataclass(frozen=True, eq=False)
class Family:
    """Probes of one purpose: in the `loss`, for `selection` (early stopping), or to `report`.

    Those in the loss are what training may learn to please; those for selection are looked at
    again and again; those that report are looked at once, when training is over.
    """

    name: str
    probes: tuple[Readout, ...]
    texts: tuple[Example, ...] = ()
    """Labelled texts that the probes were not fitted on, to read them on; empty takes the texts of
    the audit."""

    @classmethod
    def of(cls, name: str, given: Sequence[Direction | Readout]) -> "Family":
        """Directions and readouts as a family; a direction reads where it was read, or `last`."""
        return cls(name, tuple(_readout(one) for one in given))

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every site that a probe reads, once."""
        return tuple(dict.fromkeys(site for probe in self.probes for site in probe.sites))

    @property
    def spans(self) -> tuple[Span, ...]:
        """Every span that a probe reads, once."""
        return tuple(dict.fromkeys(probe.span for probe in self.probes))

    def record(self) -> dict[str, Any]:
        """As plain data: what each probe was made from."""
        return {
            "probes": [
                {
                    "sites": [str(site) for site in probe.sites],
                    "span": str(probe.span),
                    "fingerprint": probe.fingerprint,
                    "probe": probe.origin.get("probe"),
                    "data": dict(probe.origin.get("data") or {}),
                }
                for probe in self.probes
            ],
            "texts": len(self.texts),
        }


def raw_scores(
    model: LanguageModel, probes: Sequence[Readout], examples: Sequence[Example]
) -> Float[np.ndarray, "probe example"]:
    """Score texts with every probe; texts are read once for each span.

    Args:
        model: whose states are read; not checked against the probes, since a trained model is not
            the one that they were fitted on.
        probes: one or more.
        examples: the texts.
    """
    found = np.empty((len(probes), len(examples)))
    for span in dict.fromkeys(probe.span for probe in probes):
        places = [place for place, probe in enumerate(probes) if probe.span == span]
        sites = dict.fromkeys(site for place in places for site in probes[place].sites)
        read = collect(model, examples, list(sites), span)
        for place in places:
            found[place] = mean_by_example(probes[place].score(read), read.example)
    return found


def scores_by_family(
    model: LanguageModel, families: Sequence[Family], examples: Sequence[Example]
) -> dict[str, Float[np.ndarray, "probe example"]]:
    """`raw_scores` of several families that read the same texts, each text read once a span."""
    every = [probe for family in families for probe in family.probes]
    ends = np.cumsum([len(family.probes) for family in families])[:-1]
    parts = np.split(raw_scores(model, every, examples), ends)
    return {family.name: part for family, part in zip(families, parts, strict=True)}


def check_probes(family: Family, model: LanguageModel) -> None:
    """Refuse probes that were fitted on another model than the one before training.

    Raises:
        InputError: other weights, another width, or a site that the model does not have.
    """
    for probe in family.probes:
        probe.check_model(model)


def check_disjoint(families: Sequence[Family], texts: Sequence[Example] = ()) -> list[str]:
    """Refuse families that have something in common, by what the origins of their probes record.

    Compared are the data that probes were fitted on (by name and by fingerprint), their sites and
    their estimators. A probe that was trained against says nothing new through a second one that
    reads the same site, or was fitted on the same texts in the same way.

    Args:
        families: those that must be disjoint; one without probes has nothing in common.
        texts: on which probes are read; no probe may have been fitted on them.

    Returns:
        What could not be compared, because origins do not record it.

    Raises:
        InputError: what overlaps, and in which families.
    """
    notes = []
    read_on = datasets.fingerprint(texts)
    for family in families:
        for probe in family.probes:
            if read_on in _data(probe).values():
                raise InputError(
                    f"The texts of this audit are those that a probe of the family {family.name} "
                    "was fitted on, so its scores on them would flatter. Give texts=… that no "
                    "probe has seen."
                )
        unknown = [
            what
            for what, of in (("data", _data), ("probe", estimator))
            if any(not of(probe) for probe in family.probes)
        ]
        if unknown:
            notes.append(
                f"The origins of the family {family.name} do not record {' and '.join(unknown)}, "
                "so it could not be checked that other families were made in another way."
            )
    for one, other in combinations(families, 2):
        for what, shared in _shared(one, other):
            raise InputError(
                f"The probe families {one.name} and {other.name} share {what}: {shared}. Training "
                "that fools one then fools the other too, so its word is worth nothing. Fit the "
                f"family {other.name} on other data, at other layers and with another estimator."
            )
    return notes


def _shared(one: Family, other: Family) -> Iterator[tuple[str, str]]:
    pairs = [(first, second) for first in one.probes for second in other.probes]
    for first, second in pairs:
        ours, theirs = _data(first), _data(second)
        by_content = {name for name, value in ours.items() if value in theirs.values()}
        if names := sorted(set(ours) & set(theirs) | by_content):
            yield "data", ", ".join(names)
    theirs_at = {_place(site) for site in other.sites}
    if sites := [site for site in one.sites if _place(site) in theirs_at]:
        yield "sites", ", ".join(map(str, sites))
    for first, second in pairs:
        if estimator(first) and estimator(first) == estimator(second):
            yield "an estimator", estimator(first)


def _place(site: Site) -> Site:
    """Where a state lies: what enters a block is what the one below it gave out."""
    return Site(site.layer - 1) if site.stream == "resid_pre" and site.layer else site


def _data(probe: Readout) -> Mapping[str, str]:
    """Names of data sets with their fingerprints."""
    return probe.origin.get("data") or {}


def estimator(probe: Readout) -> str:
    """The kind of a probe without its settings, such as `LDA`; empty where it is not recorded."""
    found = re.match(r"\w+", str(probe.origin.get("probe") or ""))
    return found[0] if found else ""


def _readout(given: Direction | Readout) -> Readout:
    if isinstance(given, Readout):
        return given
    coef = (given.vector.astype(np.float64) / given.scale)[np.newaxis]
    span = Span.parse(str(given.origin.get("span", "last")))
    return Readout((given.site,), coef, -given.midpoint / given.scale, span, None, given.origin)
