"""The audit of a training as a section of a page: the verdict, what bears it out, the controls."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from repalign.errors import InputError
from repalign.metrics import Estimate
from repalign.reports.drawing import BENIGN, HIGH, INK, LOW, MUTED, Drawing, drawn_our_way
from repalign.reports.numbers import estimate, plain, shortened

RUNGS = (
    "nothing moved",
    "score moved",
    "behaviour moved",
    "behaviour moved and held-out and refitted probes agree",
)
WITHOUT_PROBE = ("no behaviour moved", *RUNGS[2:])
"""The ladder where no probe was in the loss."""
FAMILIES = {
    "loss": "in the loss",
    "selection": "for selection",
    "report": "kept for the report",
}
_MOST_DIGITS = 2
_WIDTH = 8.6
_ROW = 0.3


class Rung(NamedTuple):
    """A claim of the ladder, and whether the audit reaches it."""

    claim: str
    reached: bool
    is_verdict: bool


def section(audit: Mapping[str, Any]) -> dict[str, Any]:
    """What the template of the section names.

    Args:
        audit: of `Audit.to_json`.

    Raises:
        InputError: it is no audit, or a figure lacks its interval.
    """
    if "verdict" not in audit:
        raise InputError(
            f"This is no audit: it has {', '.join(audit) or 'nothing'} and no verdict. Give what "
            "Audit.to_json() returned."
        )
    figures = {"scores": (scores, "Scores of honest and dishonest texts before and after")}
    figures["telling"] = (telling, "AUROC of each probe before and after, with baselines")
    return {
        "record": audit,
        "verdict": audit["verdict"],
        "rungs": rungs(audit["verdict"]),
        "cautions": cautions(audit),
        "families": [(name, _title(name)) for name in audit["probes"]],
        "behaviour": sorted(audit["behaviour"], key=lambda one: one["higher_is_honest"] is None),
        "side_by_side": side_by_side(audit),
        "drawings": {
            name: Markup(make(audit).to_inline_svg(f"audit-{name}", words))
            for name, (make, words) in figures.items()
        },
    }


def rungs(verdict: Mapping[str, Any]) -> list[Rung]:
    """The ladder from weak to strong; a verdict that is no rung reaches none."""
    ladder = RUNGS if verdict["evidence"]["probe_in_loss"] else WITHOUT_PROBE
    place = ladder.index(verdict["claim"]) if verdict["claim"] in ladder else -1
    return [Rung(one, number <= place, number == place) for number, one in enumerate(ladder)]


def cautions(audit: Mapping[str, Any]) -> list[str]:
    """What a reader must know before believing the verdict."""
    said = list(audit["notes"])
    words = estimate(audit["baselines"].get("bag_of_words"))
    refit = estimate(next(iter(audit["refits"].values()))["auroc"]["after"])
    if words is not None and refit is not None and words.high >= refit.low:
        said.append(
            f"A bag of words tells the labelled texts apart with AUROC {_shown(words)}, which "
            f"reaches what a refitted probe gets, {_shown(refit)}: on these texts probes need not "
            "read more than words."
        )
    for name, control in audit["controls"].items():
        if control["claim"] in RUNGS[2:]:
            said.append(
                f"The control “{name}” reaches “{control['claim']}” too: what this training gained "
                "is not surely owed to the probes in its loss."
            )
    return said


def side_by_side(audit: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of the audit beside those of its controls, figures with a row each."""
    columns = {"this training": audit["summary"], **audit["controls"]}
    named: dict[str, dict[str, None]] = {"figures": {}, "behaviour": {}}
    for part, names in named.items():
        for column in columns.values():
            names.update(dict.fromkeys(column[part]))
    return {
        "columns": list(columns),
        "claims": [column["claim"] for column in columns.values()],
        "figures": [
            (name, [column["figures"].get(name) for column in columns.values()])
            for name in named["figures"]
        ],
        "behaviour": [
            (name, [column["behaviour"].get(name) for column in columns.values()])
            for name in named["behaviour"]
        ],
    }


def scores(audit: Mapping[str, Any]) -> Drawing:
    """Mean scores of the same honest and dishonest texts on frozen and on trained weights.

    Returns:
        A row for each family and label: a hollow mark before, a filled one after, and an arrow
        between them. A dishonest text that moves right is one that the probe no longer sees.
    """
    rows = [
        (f"{_title(name)}: {label}", probe[label], colour)
        for name, probe in audit["probes"].items()
        for label, colour in (("honest", HIGH), ("dishonest", LOW))
    ]
    rows += [
        (f"{_title(name)}: own answers", own["total"], BENIGN)
        for name, own in audit["own_answers"].items()
    ]
    with drawn_our_way():
        figure = Drawing(figsize=(_WIDTH, 0.7 + _ROW * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        for place, (_, shift, colour) in enumerate(rows):
            _moved(axes, place, shift, colour)
        _name_rows(axes, [name for name, _, _ in rows])
        axes.set_xlabel("score, in spreads on frozen weights; right is honest")
    return figure


def telling(audit: Mapping[str, Any]) -> Drawing:
    """AUROC of every family and of refitted probes before and after, over text-only baselines."""
    rows: list[tuple[str, Any, str]] = [
        (_title(name), probe["auroc"], INK) for name, probe in audit["probes"].items()
    ]
    site, refit = next(iter(audit["refits"].items()))
    rows.append((f"fitted anew at {site}", refit["auroc"], HIGH))
    rows += [
        (name, estimate(record), MUTED)
        for name, record in (
            ("fitted anew, labels shuffled", refit["shuffled"]),
            ("bag of words", audit["baselines"].get("bag_of_words")),
            ("length of the text", audit["baselines"].get("length")),
        )
        if record is not None
    ]
    with drawn_our_way():
        figure = Drawing(figsize=(_WIDTH, 0.7 + _ROW * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        for place, (_, found, colour) in enumerate(rows):
            if isinstance(found, Estimate):
                _mark(axes, place, found, colour, filled=True)
            else:
                _moved(axes, place, found, colour)
        _name_rows(axes, [name for name, _, _ in rows])
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel("AUROC of honest against dishonest texts; 0.5 tells nothing")
    return figure


def _title(name: str) -> str:
    return FAMILIES.get(name, name)


def _moved(axes: Any, place: int, shift: Mapping[str, Any], colour: str) -> None:
    before, after = estimate(shift["before"]), estimate(shift["after"])
    assert before is not None
    assert after is not None
    _mark(axes, place - 0.14, before, colour, filled=False)
    _mark(axes, place + 0.14, after, colour, filled=True)


def _mark(axes: Any, place: int | float, found: Estimate, colour: str, *, filled: bool) -> None:
    axes.plot([found.low, found.high], [place, place], color=colour, linewidth=1.4, zorder=2)
    face = colour if filled else "none"
    axes.plot(
        found.value,
        place,
        "o",
        markersize=5,
        markerfacecolor=face,
        markeredgecolor=colour,
        zorder=3,
    )


def _name_rows(axes: Any, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [shortened(name, 44) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _shown(found: Estimate) -> str:
    value, low, high = (plain(round(x, _MOST_DIGITS)) for x in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"
