"""Building: probe families for a model from built-in data, apart from what was trained against."""

from collections.abc import Mapping, Sequence
from typing import Any

from repalign import datasets
from repalign.activations import collect
from repalign.auditing.family import LOSS, REPORT, SELECTION, Family, check_disjoint, estimator
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.examples import Example, limited
from repalign.fitting import by_name, fit_probe
from repalign.models import LanguageModel
from repalign.readouts import Readout, ensemble
from repalign.sites import Site
from repalign.spans import Span

GROUPS = 120
"""Of a data set; half of them are fitted on, half are read."""
# Each family takes the first that nobody has. Templates differ between the two, and so do facts.
# In the embedded model they reach an AUROC of about 0.9 at its middle layers.
_DATA = {
    REPORT: ("cities_qa", "numbers_qa", "capitals_qa", "spanish_qa", "currencies_qa"),
    SELECTION: ("capitals", "cities", "currencies", "spanish", "numbers"),
}
_PROBES = {
    REPORT: ("lda", "logistic", "mean_difference", "contrast_pca"),
    SELECTION: ("mean_difference", "logistic", "lda", "contrast_pca"),
}
_DEPTHS = {REPORT: (0.55, 0.65), SELECTION: (0.45,)}
"""Of the network, where truth is read best."""
_OTHER_STREAM = "mlp_out"
"""Read where the loss leaves too few layers of the residual stream."""


def families(
    before: LanguageModel,
    loss: Sequence[Direction | Readout] | Family = (),
    *,
    texts: Sequence[Example] = (),
    data: Mapping[str, Sequence[Example]] | None = None,
    limit: int = GROUPS,
    seed: int = 0,
) -> tuple[Family, Family]:
    """Fit the families for selection and report, disjoint from each other and from the loss.

    They are fitted on the model before training: on other data sets than the loss's probes (another
    topic, so other facts, in another template), at other layers, with another estimator.

    Args:
        before: the model before training.
        loss: what is in the training loss.
        texts: labelled texts that no probe may be fitted on.
        data: labelled texts for `selection` and `report` instead of built-in ones.
        limit: groups of a data set.
        seed: of the choice of groups.

    Returns:
        Selection and report. Each has the half of its texts that it was not fitted on.

    Raises:
        InputError: the loss leaves no data, layers or estimator for one of them.
    """
    of_loss = loss if isinstance(loss, Family) else Family.of(LOSS, loss)
    made: list[Family] = []
    for name in (REPORT, SELECTION):
        source, rows = _data(name, [of_loss, *made], data)
        kept = {one.messages for one in texts}
        rows = limited([one for one in rows if one.messages not in kept], limit, seed)
        fitted, read = _halves(rows)
        probe = _probe(name, [of_loss, *made])
        sites = _sites(name, before, [of_loss, *made])
        values = collect(before, fitted, sites, "last")
        estimators = {site: fit_probe(probe, values, site) for site in sites}
        origin = {
            **values.origin,
            "data": {source: datasets.fingerprint(rows)},
            "probe": repr(probe),
            "seed": seed,
        }
        readouts = tuple(
            ensemble([(site, one.coef_[0], float(one.intercept_[0]))], Span(), origin)
            for site, one in estimators.items()
        )
        made.append(Family(name, readouts, tuple(read)))
    report, selection = made
    check_disjoint([of_loss, selection, report])
    return selection, report


def _data(
    name: str, taken: Sequence[Family], given: Mapping[str, Sequence[Example]] | None
) -> tuple[str, list[Example]]:
    if given is not None:
        if name not in given:
            raise InputError(
                f"data=… has no texts for the family {name}; it has {', '.join(given) or 'none'}. "
                f"Give labelled texts for {SELECTION} and for {REPORT}."
            )
        return f"{name} texts", list(given[name])
    topics = {
        source.partition("_")[0]
        for family in taken
        for probe in family.probes
        for source in probe.origin.get("data") or {}
    }
    free = [source for source in _DATA[name] if source.partition("_")[0] not in topics]
    if not free:
        raise InputError(
            f"The probes of the other families were fitted on every built-in topic "
            f"({', '.join(sorted(topics))}), so none is left for the family {name}. Give it texts "
            "of your own, or fit the loss's probes on fewer topics."
        )
    return free[0], datasets.load(free[0])


def _halves(rows: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Every second group to fit on, the others to read."""
    names = sorted({one.group for one in rows})
    fitted = set(names[::2])
    halves = (
        [one for one in rows if one.group in fitted],
        [one for one in rows if one.group not in fitted],
    )
    for half in halves:
        if {one.label for one in half} != {0, 1}:
            raise InputError(
                f"{len(rows)} texts in {len(names)} groups are too few to fit a probe on one half "
                "and read the other: each half needs texts labelled 1 and 0."
            )
    return halves


def _probe(name: str, taken: Sequence[Family]) -> Any:
    used = {estimator(probe) for family in taken for probe in family.probes}
    for short in _PROBES[name]:
        if type(by_name(short)).__name__ not in used:
            return by_name(short)
    raise InputError(
        f"The other families use the estimators {', '.join(sorted(used))}, so none is left for the "
        f"family {name}. Give a family fitted in another way."
    )


def _sites(name: str, model: LanguageModel, taken: Sequence[Family]) -> list[Site]:
    used = {site for family in taken for site in family.sites}
    wanted = _DEPTHS[name]
    free = [site for site in model.sites("resid_post") if site not in used]
    if len(free) < 2:
        free += [site for site in model.sites(_OTHER_STREAM) if site not in used]
    # Layers far from the ones wanted say little; with few left the report takes one, not two.
    wanted = wanted if len(free) > 5 else wanted[:1]
    chosen: list[Site] = []
    for depth in wanted:
        left = [site for site in free if site not in chosen]
        if left:
            at = depth * (model.n_layers - 1)
            chosen.append(min(left, key=lambda site, at=at: abs(site.layer - at)))
    return sorted(chosen, key=lambda site: site.layer)
