"""Dose–response: what a push does as it grows, beside its controls and its price."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from repalign.errors import InputError
from repalign.metrics import Estimate
from repalign.reports.drawing import BENIGN, HIGH, INK, LOW, MUTED, Drawing, drawn_our_way
from repalign.reports.numbers import estimate

_WIDTH = 8.6
_REMOVED = "refusal removed"
_PRICES = (
    ("worst_kl", "KL, worst 5%\nof tokens (nats)"),
    ("perplexity", "perplexity of\nbenign text"),
    ("repetition", "repeated 4-grams\nin answers"),
)
Curves = Mapping[str, Sequence[Mapping[str, Any]]]


def dose_response(results: Mapping[str, Any]) -> Drawing:
    """Log-odds of the honest answer over the coefficient, and below it what the push costs.

    Args:
        results: of a steer run: `curves` and `by_site`.

    Returns:
        The honest direction with its interval band, the mean of the random directions with the band
        of their spread, the direction without refusal, and a panel for each price.

    Raises:
        InputError: there are no curves.
    """
    curves: Curves = results.get("curves") or {}
    if not curves.get("honest"):
        raise InputError("There is no dose–response to draw: the results hold no `curves`.")
    prices = [(key, label) for key, label in _PRICES if key in curves["honest"][0]]
    ratios = [2.2, *(1.0 for _ in prices)]
    with drawn_our_way():
        figure = Drawing(figsize=(_WIDTH, 1.3 * sum(ratios)), layout="constrained")
        rows = figure.subplots(
            len(ratios), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios}
        )[:, 0]
        _effects(rows[0], curves)
        for axes, (key, label) in zip(rows[1:], prices, strict=True):
            _band(axes, curves["honest"], key, HIGH, "honest direction")
            if _REMOVED in curves:
                _band(axes, curves[_REMOVED], key, BENIGN, _REMOVED, dashed=True)
            axes.set_ylabel(label)
            if key == "worst_kl":
                budget = results["by_site"][results["site"]]["calibration"]["budget"]
                axes.axhline(budget, color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
                axes.set_ylim(bottom=0)
        rows[-1].set_xlabel("coefficient (multiples of the distance between the class means)")
        figure.legend(*rows[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def tradeoff(results: Mapping[str, Any]) -> Drawing:
    """Behaviour with its fitted tanh, helpfulness with its fitted bell, over the coefficient.

    Args:
        results: of a steer run, with `tradeoff`.

    Raises:
        InputError: the results hold no `tradeoff`.
    """
    fits = results.get("tradeoff")
    if not fits:
        raise InputError("There is no trade-off to draw: the results hold no `tradeoff`.")
    points = [*results["curves"]["honest"], *(results.get("beyond") or [])]
    inside = [point["coefficient"] for point in results["curves"]["honest"]]
    ends = [point["coefficient"] for point in points]
    grid = np.linspace(min(ends), max(ends), 200)
    a, b = _parameters(fits["behaviour"])
    cost, width = _parameters(fits["helpfulness"])
    panels = (
        ("behaviour", "honest less dishonest\nprobability", np.tanh(a * grid + b), HIGH),
        (
            "helpfulness",
            "probability of the right\nnext token, benign text",
            1 / (1 + cost + cost * width**2 / 2 * grid**2),
            BENIGN,
        ),
    )
    with drawn_our_way():
        figure = Drawing(figsize=(_WIDTH, 2.9), layout="constrained")
        for axes, (key, label, curve, colour) in zip(figure.subplots(1, 2), panels, strict=True):
            found = [estimate(point[key]) for point in points]
            _points(axes, ends, [one for one in found if one is not None], colour)
            fit = fits[key]["r_squared"]
            axes.plot(grid, curve, color=INK, linewidth=1.1, label=f"fit, R² {fit:.2f}")
            axes.set_ylabel(label)
            axes.set_xlabel("coefficient")
            span = {"color": MUTED, "alpha": 0.12, "linewidth": 0}
            axes.axvspan(min(inside), max(inside), label="calibrated range", **span)
            axes.legend(loc="best")
    return figure


def pareto(results: Mapping[str, Any]) -> Drawing:
    """What each setting gains and what it costs: the ends of every site, and the curves."""
    with drawn_our_way():
        figure = Drawing(figsize=(_WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
        for name, curve in (results.get("curves") or {}).items():
            random = name.startswith("random")
            colour = MUTED if random else BENIGN if name == _REMOVED else HIGH
            x = [point["worst_kl"]["value"] for point in curve]
            y = [point["effect"]["value"] for point in curve]
            look: dict[str, Any] = {"alpha": 0.5, "linewidth": 0.0 if random else 1.0}
            label = name if not random else "random directions" if name.endswith(" 0") else None
            axes.plot(x, y, marker="o", markersize=3.5, color=colour, label=label, **look)
            if name == "honest":
                ends = (curve[0], curve[-1])
                for point, offset in zip(ends, (-9, 5), strict=True):
                    axes.annotate(
                        f"{point['coefficient']:+.3g}",
                        (point["worst_kl"]["value"], point["effect"]["value"]),
                        xytext=(4, offset),
                        textcoords="offset points",
                        fontsize=7.5,
                        color=colour,
                    )
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set_xlabel("price: KL of the worst 5% of benign tokens (nats)")
        axes.set_ylabel("effect: log-odds gained (nats)")
        axes.legend(loc="best")
    return figure


def _effects(axes: Any, curves: Curves) -> None:
    _band(axes, curves["honest"], "effect", HIGH, "honest direction")
    if _REMOVED in curves:
        _band(axes, curves[_REMOVED], "effect", BENIGN, _REMOVED, dashed=True)
    drawn = [curve for name, curve in curves.items() if name.startswith("random")]
    if drawn:
        at = [point["coefficient"] for point in drawn[0]]
        values = np.array([[point["effect"]["value"] for point in curve] for curve in drawn])
        axes.plot(at, values.mean(axis=0), color=LOW, linewidth=1.2, label="random directions")
        axes.fill_between(
            at, values.min(axis=0), values.max(axis=0), color=LOW, alpha=0.13, linewidth=0
        )
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set_ylabel("log-odds of the honest answer,\ngain over no push (nats)")


def _band(
    axes: Any,
    curve: Sequence[Mapping[str, Any]],
    key: str,
    colour: str,
    label: str,
    dashed: bool = False,
) -> None:
    at = [point["coefficient"] for point in curve]
    found = [estimate(point[key]) for point in curve]
    values, low, high = np.array([[e.value, e.low, e.high] for e in found if e is not None]).T
    style = (0, (4, 2)) if dashed else "-"
    look = {"color": colour, "linewidth": 1.4, "linestyle": style}
    axes.plot(at, values, marker="o", markersize=3, label=label, **look)
    axes.fill_between(at, low, high, color=colour, alpha=0.16, linewidth=0)


def _points(axes: Any, at: Sequence[float], found: Sequence[Estimate], colour: str) -> None:
    values = np.array([one.value for one in found])
    around = np.array([[one.value - one.low, one.high - one.value] for one in found]).T
    axes.errorbar(at, values, np.abs(around), fmt="o", markersize=4, color=colour, capsize=2)


def _parameters(fit: Mapping[str, Any]) -> tuple[float, float]:
    one, other = (part["value"] for part in fit["parameters"].values())
    return one, other
