"""The report of a steer run: what a push does, where, at what price, and what the controls do."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from repalign.errors import InputError
from repalign.metrics import Estimate
from repalign.reports import dose as draw
from repalign.reports.document import filled
from repalign.reports.numbers import estimate, interval, plain
from repalign.runs import Run

_TEMPLATE = "steering.html.jinja"
_GOOD_FIT = 0.8
"""Below this share of explained variation a caution is printed."""


def render(run: Run) -> str:
    """The report of a steer run as HTML: one file, no scripts, nothing from a network.

    Raises:
        InputError: another verb's run, or one without curves.
    """
    if run.verb != "steer" or not run.results.get("curves"):
        raise InputError(
            f"This report is made of a run of `steer` with its curves; this is a run of "
            f"{run.verb!r} with results {sorted(run.results)}."
        )
    results = run.results
    figures = {
        "dose": (draw.dose_response, "Log-odds of the honest answer over the coefficient"),
        "tradeoff": (draw.tradeoff, "Behaviour and helpfulness over the coefficient, with fits"),
        "pareto": (draw.pareto, "Effect of each setting against its price"),
    }
    return filled(
        _TEMPLATE,
        run,
        results=results,
        answer=answer(results),
        cautions=cautions(results),
        chosen=results["by_site"][results["site"]],
        drawings={
            name: Markup(make(results).to_inline_svg(name, words))
            for name, (make, words) in figures.items()
        },
        good_bell=(results["tradeoff"]["helpfulness"]["r_squared"] or 0) >= _GOOD_FIT,
    )


def answer(results: Mapping[str, Any]) -> str:
    """What pushing does, in two sentences, no stronger than the intervals."""
    honest, random = (_slope(results, name) for name in ("honest", "random"))
    assert honest is not None
    assert random is not None
    if honest.low > 0:
        does = "raises"
    elif honest.high < 0:
        does = "lowers"
    else:
        does = "does not surely move"
    calibration = results["by_site"][results["site"]]["calibration"]
    return (
        f"Within coefficients {plain(calibration['low'])} to {plain(calibration['high'])}, pushing "
        f"at {results['site']} towards honest {does} the log-odds of the honest answer: by "
        f"{interval(honest, 2)} nats per unit of coefficient. Random directions of the same length "
        f"move them by {interval(random, 2)}."
    )


def cautions(results: Mapping[str, Any]) -> list[str]:
    """What a reader must know before believing the answer."""
    said = []
    honest, random = (_slope(results, name) for name in ("honest", "random"))
    assert honest is not None
    assert random is not None
    if not (honest.low > random.high or honest.high < random.low):
        said.append(
            "The interval of the random directions reaches that of the honest one: this run does "
            "not show that the direction matters."
        )
    if not random.low <= 0 <= random.high:
        said.append(
            f"Random directions move the log-odds too, by {interval(random, 2)} per unit: part of "
            "the effect may be that of any push."
        )
    removed = _slope(results, "refusal removed")
    if removed is not None and removed.high < honest.low:
        said.append(
            f"Without what it shares with refusal the direction does less, {interval(removed, 2)} "
            "per unit: a part of the effect is that of refusal."
        )
    rises = results["rises"]
    if rises["up"] < rises["steps"]:
        said.append(
            f"The effect is not monotone: the mean log-odds rise in {rises['up']} of "
            f"{rises['steps']} steps."
        )
    for name in ("behaviour", "helpfulness"):
        fit = results["tradeoff"][name]["r_squared"]
        if fit is None or fit < _GOOD_FIT:
            shown = "no share" if fit is None else f"{max(fit, 0):.0%}"
            said.append(
                f"The curve fitted to {name} explains {shown} of the variation of its means."
            )
    return said


def _slope(results: Mapping[str, Any], name: str) -> Estimate | None:
    return estimate(results["slopes"].get(name))
