"""Figures: the pictures of a probe run, each a function of its results."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from repalign.errors import InputError
from repalign.metrics import Estimate
from repalign.reports.drawing import (
    BENIGN,
    HIGH,
    INK,
    LOW,
    MUTED,
    SERIES,
    Drawing,
    drawn_our_way,
)
from repalign.reports.margin import control_lines
from repalign.reports.numbers import estimate, shortened
from repalign.reports.wording import CONTROLS
from repalign.sites import Site

MOST_POINTS = 1500
"""A projection draws a fixed random part of more texts than this: the eye sees no more."""
BINS = 40
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
_WIDTH = 8.6
_KINDS = (
    ("honest", "honest or true (label 1)", HIGH),
    ("dishonest", "dishonest or false (label 0)", LOW),
    ("benign", "benign chats", BENIGN),
)


def auroc_by_layer(results: Mapping[str, Any]) -> Drawing:
    """AUROC of every probe at every site, with interval bands and the controls as dashed lines.

    Args:
        results: of a probe run: `by_site`, and `controls` and `best` where there are any.

    Returns:
        A panel for each stream; a ring marks the best site and probe.

    Raises:
        InputError: no site was swept.
    """
    panels = _by_stream(results.get("by_site") or {})
    if not panels:
        raise InputError("There is no AUROC by layer to draw: the results hold no `by_site`.")
    controls = [
        (str(CONTROLS.get(name, name)), found)
        for name, record in (results.get("controls") or {}).items()
        if (found := estimate(record)) is not None
    ]
    best = results.get("best") or {}
    with drawn_our_way():
        figure = Drawing(figsize=(_WIDTH, 0.5 + 3.0 * len(panels)), layout="constrained")
        rows = figure.subplots(len(panels), 1, squeeze=False, sharey=True)[:, 0]
        for axes, (stream, lines) in zip(rows, panels.items(), strict=True):
            for number, (probe, points) in enumerate(lines.items()):
                chosen = best["site"] if best.get("probe") == probe else None
                _probe_line(axes, number, probe, points, chosen, alone=len(lines) <= 4)
            axes.set_ylabel("AUROC")
            axes.set_xlabel(f"layer ({stream})")
            swept = sorted({site.layer for points in lines.values() for site, _ in points})
            if len(swept) < 4:
                axes.set_xticks(swept)
            else:
                axes.xaxis.get_major_locator().set_params(integer=True)
        low, high = rows[0].get_ylim()
        lowest = min([low, 0.45, *(found.value - 0.02 for _, found in controls)])
        for axes in rows:
            axes.set_ylim(max(0.0, lowest), min(1.005, max(high, 0.6)))
            control_lines(axes, controls, height_inches=2.5)
        handles, names = rows[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=4)
    return figure


def transfer_matrix(results: Mapping[str, Any]) -> Drawing:
    """AUROC on each topic (column) of a readout fitted on each (row).

    Args:
        results: of a probe run, with `transfer_matrix`.

    Returns:
        Blue above 0.5; vermilion below, where the direction points the wrong way.

    Raises:
        InputError: the results hold no matrix.
    """
    matrix = results.get("transfer_matrix")
    if not matrix or not matrix["train"] or not matrix["test"]:
        raise InputError("There is no transfer to draw: the results hold no `transfer_matrix`.")
    rows, columns = matrix["train"], matrix["test"]
    size = (1.6 + 0.95 * len(columns), 0.9 + 0.5 * len(rows))
    with drawn_our_way():
        figure = Drawing(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for row, records in enumerate(matrix["auroc"]):
            for column, record in enumerate(records):
                _cell(axes, row, column, estimate(record))
        axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
        axes.set_xlabel("scored on")
        axes.set_ylabel("fitted on")
        axes.xaxis.set_label_position("top")
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        long = any(len(name) > 12 for name in columns)
        axes.set_xticks(np.arange(len(columns)) + 0.5, [shortened(name, 22) for name in columns])
        if long:
            for label in axes.get_xticklabels():
                label.set(rotation=30, ha="left", rotation_mode="anchor")
        axes.set_yticks(np.arange(len(rows)) + 0.5, [shortened(name, 22) for name in rows])
    return figure


def score_histogram(
    figures: Mapping[str, Any], threshold: Mapping[str, Any] | None = None
) -> Drawing:
    """How scores of honest, dishonest and benign texts lie, and where the threshold is.

    Args:
        figures: of a probe run, with `scores`: lists of numbers under `honest`, `dishonest` and,
            where benign chats were scored, `benign`.
        threshold: with an estimate under `value`; no line without it.

    Returns:
        Counts of texts in common bins; benign chats in a panel of their own.

    Raises:
        InputError: there are no scores.
    """
    scores = {name: list((figures.get("scores") or {}).get(name) or []) for name, _, _ in _KINDS}
    every = np.concatenate([np.asarray(values, dtype=float) for values in scores.values()])
    if not len(every):
        raise InputError("There are no scores to draw: the figures hold no `scores`.")
    cut = estimate(threshold["value"]) if threshold else None
    edges = np.histogram_bin_edges(every, bins=BINS)
    panels = [kinds for kinds in (_KINDS[:2], _KINDS[2:]) if any(scores[k[0]] for k in kinds)]
    ratios = [1.0 if kinds is _KINDS[:2] or len(kinds) == 2 else 0.55 for kinds in panels]
    with drawn_our_way():
        figure = Drawing(figsize=(_WIDTH, 0.9 + 2.1 * sum(ratios)), layout="constrained")
        rows = figure.subplots(
            len(panels), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": ratios}
        )[:, 0]
        for axes, kinds in zip(rows, panels, strict=True):
            for name, label, colour in kinds:
                counts, _ = np.histogram(scores[name], edges)
                axes.stairs(counts, edges, fill=True, color=colour, alpha=0.35)
                axes.stairs(counts, edges, color=colour, linewidth=1.2, label=label)
            axes.set_ylabel("texts")
            axes.yaxis.get_major_locator().set_params(integer=True)
            if cut is not None:
                _threshold_line(axes, cut)
        rows[-1].set_xlabel("score (higher = honest or true)")
        pairs = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in rows]
        # The threshold is drawn in every panel and named once.
        key = {label: handle for panel in pairs for handle, label in panel}
        figure.legend(key.values(), key.keys(), loc="outside upper left", ncols=4)
    return figure


def projection(figures: Mapping[str, Any]) -> Drawing:
    """Every text as a point: its score across, another component of the activations up.

    Args:
        figures: of a probe run, with `projection`: `x`, `y`, `label` and `topic` of each text, and
            the axes' names `x_name`, `y_name`.

    Returns:
        Filled for label 1, hollow for label 0; a marker for each topic.

    Raises:
        InputError: there are no points.
    """
    given = figures.get("projection")
    if not given or not len(given["x"]):
        raise InputError("There is no projection to draw: the figures hold no `projection`.")
    x, y = np.asarray(given["x"], dtype=float), np.asarray(given["y"], dtype=float)
    labels, topics = np.asarray(given["label"]), np.asarray(given["topic"], dtype=object)
    drawn = np.arange(len(x))
    if len(x) > MOST_POINTS:
        drawn = np.sort(np.random.default_rng(0).choice(len(x), MOST_POINTS, replace=False))
    with drawn_our_way():
        figure = Drawing(figsize=(_WIDTH, 4.6), layout="constrained")
        axes = figure.subplots()
        names = list(dict.fromkeys(topics.tolist()))
        for number, topic in enumerate(names):
            marker = _MARKERS[min(number, len(_MARKERS) - 1)]
            for label, colour in ((0, LOW), (1, HIGH)):
                rows = drawn[(labels[drawn] == label) & (topics[drawn] == topic)]
                look = {"facecolors": colour, "linewidths": 0.4} if label else {}
                hollow = {"facecolors": "none", "linewidths": 0.9, **look}
                axes.scatter(x[rows], y[rows], 14, marker=marker, edgecolors=colour, **hollow)
        axes.set_xlabel(shortened(given.get("x_name") or "score", 70))
        axes.set_ylabel(shortened(given.get("y_name") or "another component", 50))
        if len(drawn) < len(x):
            axes.set_title(f"{len(drawn)} of {len(x)} texts drawn", loc="right", color=MUTED)
        figure.legend(handles=_point_key(axes, names), loc="outside right upper")
    return figure


def _by_stream(
    by_site: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, dict[str, list[tuple[Site, Estimate]]]]:
    """Points of each probe in each stream, in the order of layers."""
    panels: dict[str, dict[str, list[tuple[Site, Estimate]]]] = {}
    for probe, entries in by_site.items():
        for entry in entries:
            site, found = Site.parse(entry["site"]), estimate(entry["auroc"])
            if found is not None:
                panels.setdefault(site.stream, {}).setdefault(probe, []).append((site, found))
    for lines in panels.values():
        for points in lines.values():
            points.sort(key=lambda point: point[0])
    return panels


def _probe_line(
    axes: Any,
    number: int,
    probe: str,
    points: Sequence[tuple[Site, Estimate]],
    chosen: str | None,
    alone: bool,
) -> None:
    colour, marker = SERIES[number % len(SERIES)], _MARKERS[number % len(_MARKERS)]
    layers = [site.layer for site, _ in points]
    values, lows, highs = np.array([[e.value, e.low, e.high] for _, e in points]).T
    # A name that begins with an underscore would be left out of the legend.
    name = shortened(probe).lstrip("_") or "probe"
    axes.plot(layers, values, color=colour, marker=marker, markersize=3, linewidth=1.3, label=name)
    if len(points) == 1:
        around = [values - lows, highs - values]
        axes.errorbar(layers, values, np.abs(around), color=colour, capsize=3, linewidth=1)
    else:
        strength = 0.16 if alone else 0.08
        axes.fill_between(layers, lows, highs, color=colour, alpha=strength, linewidth=0)
    for (site, _), value in zip(points, values, strict=True):
        if str(site) == chosen:
            ring = {"s": 70, "facecolors": "none", "edgecolors": INK, "linewidths": 1.2}
            axes.scatter([site.layer], [value], zorder=5, **ring)


def _cell(axes: Any, row: int, column: int, found: Estimate | None) -> None:
    if found is None:
        axes.text(column + 0.5, row + 0.5, "–", ha="center", va="center", color=MUTED)
        return
    strength = min(1.0, abs(found.value - 0.5) * 2) * 0.6
    colour = HIGH if found.value >= 0.5 else LOW
    axes.barh(row + 0.5, 0.96, 0.94, left=column + 0.02, color=colour, alpha=strength)
    words = {"ha": "center", "color": INK}
    axes.text(column + 0.5, row + 0.46, f"{found.value:.2f}", va="center", fontsize=9, **words)
    spread = f"[{found.low:.2f}, {found.high:.2f}]"
    axes.text(column + 0.5, row + 0.77, spread, va="center", fontsize=7.5, **words)


def _threshold_line(axes: Any, cut: Estimate) -> None:
    axes.axvspan(cut.low, cut.high, color=MUTED, alpha=0.15, linewidth=0)
    look = {"linestyle": (0, (4, 2)), "linewidth": 1.2}
    axes.axvline(cut.value, color=INK, label="threshold: flagged to its left", **look)


def _point_key(axes: Any, names: Sequence[str]) -> list[Any]:
    def entry(label: str, marker: str, colour: str, **look: Any) -> Any:
        return axes.plot(
            [], [], marker, color=colour, label=label, linestyle="none", markersize=5, **look
        )[0]

    key = [entry("label 1", "o", HIGH), entry("label 0", "o", LOW, markerfacecolor="none")]
    shown = names if len(names) <= len(_MARKERS) else names[: len(_MARKERS) - 1]
    texts = [shortened(name, 24).lstrip("_") or "no topic" for name in shown]
    texts += ["other topics"] if len(shown) < len(names) else []
    if len(texts) > 1:
        key += [entry(text, _MARKERS[number], MUTED) for number, text in enumerate(texts)]
    return key
