"""The frontier: honesty against style, and against drift."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

AXES = (
    ("style_margin", "style margin gained, warm over curt [nats]"),
    ("kl", "drift: KL on ordinary text [nats a token]"),
)
COLOURS = {
    "before": "#000000",
    "plain": "#7f7f7f",
    "honest": "#0072b2",
    "retain": "#e69f00",
    "random": "#009e73",
    "shuffled": "#cc79a7",
    "persona": "#d55e00",
}


def draw(summary: Mapping[str, Any], path: Path) -> None:
    """Write the figure: a point a setting, with the intervals of both axes."""
    with mpl.rc_context({"svg.hashsalt": "agreeable", "font.size": 9}):
        figure = Figure(figsize=(11, 3.8), layout="constrained")
        for place, (measure, label) in enumerate(AXES):
            axes = figure.add_subplot(1, 2, place + 1)
            for name, row in summary.items():
                x, y = row[measure], row["margin"]
                axes.errorbar(
                    x["value"],
                    y["value"],
                    xerr=[[max(0.0, x["value"] - x["low"])], [max(0.0, x["high"] - x["value"])]],
                    yerr=[[y["value"] - y["low"]], [y["high"] - y["value"]]],
                    fmt="o" if "false rows" in name else "s",
                    capsize=2,
                    label=name,
                    color=COLOURS[name.split()[0]],
                )
            start = summary["before"]["margin"]["value"]
            axes.axhline(start, color="#7f7f7f", linewidth=0.8, linestyle=":")
            axes.set_xlabel(label)
            axes.set_ylabel("true above claimed, both warm [nats]")
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center", frameon=False)
        figure.savefig(path, metadata={"Date": None})
