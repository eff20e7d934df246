"""Polarity: does a judgement of truth, found without labels, flip as a statement does (PA-CCS)?"""

from probes import LogisticRegression
from repalign import datasets
from repalign.activations import collect
from repalign.datasets.builtin import BUILTIN_TOPICS
from repalign.evaluation.outcome import Item, Outcome
from repalign.evaluation.setting import Setting
from repalign.examples import Example
from repalign.metrics import Estimate
from repalign.probing.matched import Matched, matched, texts
from repalign.probing.polarity import LEAST_SEPARATION, Polarities, PolarLayer, polarities_of

OWN = ("cities", "capitals")


def evaluate(setting: Setting) -> Outcome:
    """Fit CCS at every layer on matched statements, and report on others than it was chosen by.

    Data: built-in topics, or statements with a column `opposite`, or with `group` and `polarity`.

    Raises:
        InputError: the model is behind a server, or the data hold no matched statements.
    """
    model = setting.local("polarity")
    named = [(source, pair) for source in setting.data or OWN for pair in _pairs(setting, source)]
    pairs = [pair for _, pair in named]
    with setting.progress(f"polarity: {model.name}") as progress:
        read = collect(model, texts(pairs), model.sites(), "last", progress=progress)
    found = polarities_of(read, pairs, seed=setting.seed)
    told = polarities_of(read, pairs, probe=LogisticRegression(), seed=setting.seed)
    controls: dict[str, Estimate | None] = dict(found.nulls(setting.seed))
    # Whether there is anything to find: the layer is chosen for this one by itself.
    controls["told the labels: separation"] = told.chosen.separation
    figures, missing = _figures(found)
    notes = [
        f"Layer {found.chosen.site.layer} of {model.n_layers} was chosen by pairs of its own, "
        "which are neither fitted on nor reported.",
        "Polar consistency is -1 to 1 and 0 is best, but a probe that says the same of everything, "
        "or contradicts itself throughout, has 0 too: it is given only where the pairs that choose "
        f"the layer are separated with an accuracy of {LEAST_SEPARATION:g} or more. The "
        "contradiction index is 0 at best, 0.5 where nothing is known, and near 0 too for a probe "
        "that says yes to every statement and no to every opposite: read it beside separation.",
        "Separation accuracy is that of the better of two ways round: at least 0.5 by "
        "construction. What logistic regression finds, told the labels, says whether there is "
        "anything to find.",
    ]
    if len({pair.label for pair in pairs}) == 1:
        notes.append(
            "All statements have one label and all opposites the other: what tells statements from "
            "opposites, such as a negation, cannot be told from truth here."
        )
    return Outcome(
        figures,
        _items(found, named),
        controls=controls,
        missing=missing,
        counts={"pairs": len(pairs), "reported": len(found.tested)},
        notes=tuple(notes),
    )


def _pairs(setting: Setting, source: str) -> list[Matched]:
    if source in BUILTIN_TOPICS:
        affirmed, negated = (
            setting.limited(datasets.load(name)) for name in (source, f"{source}_negated")
        )
        return matched(affirmed, negated)
    rows: list[Example] = datasets.load(source, require_labels=False)
    return matched(setting.limited(rows))


def _figures(found: Polarities) -> tuple[dict[str, Estimate | None], dict[str, str]]:
    figures = _of(found.chosen, "chosen layer")
    for layer in found.layers:
        figures |= _of(layer, str(layer.site))
    why = f"the pairs that choose the layer are separated in less than {LEAST_SEPARATION:g}"
    return figures, {name: why for name, one in figures.items() if one is None}


def _of(layer: PolarLayer, name: str) -> dict[str, Estimate | None]:
    return {
        f"{name}: separation": layer.separation,
        f"{name}: consistency": layer.consistency,
        f"{name}: absolute consistency": layer.size,
        f"{name}: contradiction": layer.contradiction,
    }


def _items(found: Polarities, named: list[tuple[str, Matched]]) -> tuple[Item, ...]:
    polar = found.chosen.polar
    return tuple(
        Item(
            f"{source}: {pair.statement}",
            pair.group,
            pair.statement,
            None,
            {
                "consistency": float(polar.consistency[row]),
                "contradiction": float(polar.contradiction[row]),
                "truth": float(polar.truth[row]),
                "truth of the opposite": float(polar.opposite_truth[row]),
            },
            {"opposite": pair.opposite, "label": pair.label},
        )
        for row, place in enumerate(found.tested)
        for source, pair in [named[int(place)]]
    )
