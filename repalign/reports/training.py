"""The report of a train run: what was asked, how training went, and what the audit says of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from repalign.errors import InputError
from repalign.reports import audit as auditing
from repalign.reports.document import filled
from repalign.reports.drawing import MUTED, SERIES, Drawing, drawn_our_way
from repalign.reports.numbers import shortened
from repalign.runs import Run

_TEMPLATE = "training.html.jinja"
_STYLE = "audit.css"
_KINDS = {
    "loss": "loss",
    "penalty": "penalties",
    "projection": "projections",
    "score": "probe scores",
    "rewards": "rewards",
    "weight": "weights of penalties",
    "kl": "KL to the reference",
}
"""What is drawn of a log: the part of a name before its first slash, and the panel's title."""
_MOST_LINES = len(SERIES)
_WIDTH, _PANEL = 8.6, 1.9


def render(run: Run) -> str:
    """The report of a train run as HTML: one file, no scripts, nothing from a network.

    Curves are drawn where the results have a `log` (the entries that TRL logged), and the audit is
    shown where they have an `audit` (of `Audit.to_json`).

    Raises:
        InputError: another verb's run, or a figure of the audit without its interval.
    """
    if run.verb != "train":
        raise InputError(f"This report is made of a run of `train`; this is a run of {run.verb!r}.")
    found, log = run.results.get("audit"), run.results.get("log") or []
    panels = curves_of(log)
    drawn = curves(log).to_inline_svg("curves", "Loss and penalties by step") if panels else ""
    return filled(
        _TEMPLATE,
        run,
        audit=auditing.section(found) if found else None,
        curves=Markup(drawn),
        left_out=sorted(
            f"{title} ({len(lines)} of them; {_MOST_LINES} are drawn)"
            for title, lines in panels.items()
            if len(lines) > _MOST_LINES
        ),
        audit_style=Markup((files("repalign.reports") / _STYLE).read_text(encoding="utf-8")),
    )


def curves_of(log: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Steps and values of what is drawn, by panel and name.

    Example:
        >>> curves_of([{"step": 1, "loss": 0.7}, {"step": 2, "loss": 0.5}])
        {'loss': {'loss': [(1.0, 0.7), (2.0, 0.5)]}}
    """
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {
        title: defaultdict(list) for title in _KINDS.values()
    }
    for place, entry in enumerate(log, start=1):
        for name, value in entry.items():
            title = _KINDS.get(name.partition("/")[0])
            if title and isinstance(value, int | float) and not isinstance(value, bool):
                panels[title][name].append((float(entry.get("step", place)), float(value)))
    return {title: dict(lines) for title, lines in panels.items() if lines}


def curves(log: Sequence[Mapping[str, Any]]) -> Drawing:
    """Loss, penalties and projections by step, a panel for each kind."""
    panels = curves_of(log)
    with drawn_our_way():
        height = 0.4 + _PANEL * len(panels)
        figure = Drawing(figsize=(_WIDTH, height), layout="constrained")
        rows = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
        for axes, (title, lines) in zip(rows, panels.items(), strict=True):
            for number, (name, points) in enumerate(list(lines.items())[:_MOST_LINES]):
                steps, values = zip(*points, strict=True)
                dots = {"marker": "o", "markersize": 2.5} if len(points) < 40 else {}
                colour = MUTED if title == "loss" and number else SERIES[number]
                label = shortened(name.partition("/")[2] or name, 34)
                axes.plot(steps, values, color=colour, linewidth=1.3, label=label, **dots)
            axes.set_title(title, loc="left")
            if len(lines) > 1 or title != "loss":
                axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        rows[-1].set_xlabel("step")
    return figure
