"""Attribution: where two sets pull weights the same way, and how far their tops overlap."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from repalign.errors import InputError
from repalign.metrics import Estimate
from repalign.reports.drawing import BENIGN, HIGH, INK, LOW, MUTED, Drawing, drawn_our_way
from repalign.reports.numbers import estimate, plain

_WIDTH = 8.6


def gradient_cosines(results: Mapping[str, Any]) -> Drawing:
    """Cosine of the mean gradients of two sets in every matrix: layers across, kinds down.

    Args:
        results: of `Conflict.to_json`.

    Returns:
        A panel for each pair. Blue where both sets want the same change, vermilion where they want
        opposite ones; full colour is the largest cosine of all panels, named above them. A dot
        marks an interval that does not hold 0. A matrix without a gradient stays empty.

    Raises:
        InputError: there are no pairs.
    """
    pairs = _pairs(results)
    matrices: Sequence[Mapping[str, Any]] = results["matrices"]
    layers = sorted({int(one["layer"]) for one in matrices})
    kinds = list(dict.fromkeys(str(one["kind"]) for one in matrices))
    found = [
        {place: estimate(record["cosine"]) for place, record in pair["by_matrix"].items()}
        for pair in pairs
    ]
    sizes = [abs(one.value) for cells in found for one in cells.values() if one is not None]
    most = max(sizes, default=0.0) or 1.0
    with drawn_our_way():
        height = 0.5 + len(pairs) * (0.75 + 0.22 * len(kinds))
        figure = Drawing(figsize=(_WIDTH, height), layout="constrained")
        rows = figure.subplots(len(pairs), 1, squeeze=False, sharex=True)[:, 0]
        for axes, pair, cells in zip(rows, pairs, found, strict=True):
            axes.grid(False)
            for spine in axes.spines.values():
                spine.set_visible(False)
            for one in matrices:
                at = layers.index(int(one["layer"])), kinds.index(str(one["kind"]))
                _cell(axes, at, cells[str(one["place"])], most)
            axes.set(xlim=(0, len(layers)), ylim=(len(kinds), 0))
            axes.set_yticks(np.arange(len(kinds)) + 0.5, kinds)
            step = max(1, len(layers) // 12)
            axes.set_xticks(np.arange(len(layers))[::step] + 0.5, [str(n) for n in layers[::step]])
            axes.tick_params(length=0)
            axes.set_title(" and ".join(pair["sets"]), loc="left")
        rows[-1].set_xlabel("layer")
        figure.suptitle(
            f"cosine of the mean gradients; full colour ±{plain(most)}, dot: interval without 0",
            fontsize=9,
            x=0.01,
            ha="left",
        )
    return figure


def top_overlap(results: Mapping[str, Any]) -> Drawing:
    """Jaccard overlap of the top weights by layer, half a set against half of the other.

    Args:
        results: of `Conflict.to_json`.

    Returns:
        A panel for each pair: the overlap with its interval band, the halves of each set as its
        ceiling, and below the floor of shuffled gradients and chance.

    Raises:
        InputError: there are no pairs.
    """
    pairs = _pairs(results)
    with drawn_our_way():
        figure = Drawing(figsize=(_WIDTH, 0.5 + 2.3 * len(pairs)), layout="constrained")
        rows = figure.subplots(len(pairs), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
        for axes, pair in zip(rows, pairs, strict=True):
            _overlap(axes, pair)
        rows[-1].set_xlabel("layer")
    return figure


def _pairs(results: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    pairs = results.get("pairs")
    if not pairs:
        raise InputError("There is no conflict to draw: the results hold no `pairs`.")
    return pairs


def _cell(axes: Any, at: tuple[int, int], found: Estimate | None, most: float) -> None:
    if found is None:
        return
    colour = HIGH if found.value >= 0 else LOW
    shade = abs(found.value) / most
    axes.add_patch(Rectangle(at, 1, 1, facecolor=colour, alpha=shade, linewidth=0))
    if found.low > 0 or found.high < 0:
        axes.plot(at[0] + 0.5, at[1] + 0.5, "o", markersize=1.6, color=INK)


def _overlap(axes: Any, pair: Mapping[str, Any]) -> None:
    one, other = pair["sets"]
    by_layer = {int(name.removeprefix("L")): record for name, record in pair["by_layer"].items()}
    layers = sorted(by_layer)
    records = [by_layer[layer] for layer in layers]
    middle = [estimate(record["jaccard_across"]) for record in records]
    axes.plot(
        layers,
        _values(middle),
        marker="o",
        markersize=3,
        color=HIGH,
        linewidth=1.4,
        label=f"{one} against {other}",
    )
    ends = [(np.nan, np.nan) if found is None else (found.low, found.high) for found in middle]
    low, high = np.array(ends).T
    axes.fill_between(layers, low, high, color=HIGH, alpha=0.16, linewidth=0)
    for place, (name, colour) in enumerate(((one, BENIGN), (other, LOW))):
        within = [estimate(record["jaccard_within"][place]) for record in records]
        axes.plot(
            layers,
            _values(within),
            color=colour,
            linewidth=1.1,
            linestyle=(0, (4, 2)),
            label=f"{name}, half against half",
        )
    floor = [estimate(record["jaccard_floor"]) for record in records]
    look = {"color": MUTED, "linewidth": 1}
    axes.plot(layers, _values(floor), label="gradients shuffled", **look)
    chance = records[0]["chance"]
    axes.axhline(chance, linestyle=(0, (1, 2)), label="chance", **look)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("Jaccard overlap")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _values(found: Sequence[Estimate | None]) -> list[float]:
    return [float("nan") if one is None else one.value for one in found]
