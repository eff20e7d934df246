"""Sweep: which layer, which strength, at what price, and what the controls do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from repalign import behavior
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.interventions import Add
from repalign.metrics import Estimate, mean
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.steering.calibrate import Calibration, Push, calibrate
from repalign.steering.controls import random_like, without
from repalign.steering.measuring import Bench, Point, measure
from repalign.steering.strength import norm_ratio
from repalign.steering.tradeoff import Fit, fit_behaviour, fit_helpfulness, useful_range

Progress = Callable[[int, int], None]
RANDOM = 8
"""Random directions; their spread is the control's interval."""
_BEYOND = (-4.0, -2.0, 2.0, 4.0)
"""Multiples of the ends of the calibrated range that the fits of the trade-off law take in."""
_SHOWN = 3
"""Requests whose free answers a run keeps."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One site: how far it can be pushed, and what that does to the questions for choosing."""

    direction: Direction
    calibration: Calibration
    ratio: Estimate
    """Length of a push with coefficient 1 beside the states."""
    effect: Estimate
    """Log-odds at the high end of the range less those at the low end, paired by question."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "scale": self.direction.scale,
            "norm_ratio": self.ratio.to_json(),
            "calibration": self.calibration.to_json(),
            "effect": self.effect.to_json(),
        }


@dataclass(frozen=True, eq=False)
class Swept:
    """A sweep over sites and coefficients, with its controls."""

    candidates: Mapping[Site, Candidate]
    site: Site
    """Where the range moves the log-odds most, on questions that are not used again."""
    curves: Mapping[str, Sequence[Point]]
    """By direction: `honest`, `random 0` …, and `refusal removed` where there is one."""
    beyond: Sequence[Point]
    """The honest direction further out than its range: the law of the trade-off shows there."""
    behaviour: Fit
    helpfulness: Fit

    @property
    def chosen(self) -> Candidate:
        """The candidate whose curves were measured."""
        return self.candidates[self.site]

    @property
    def plain(self) -> Point:
        """The model without a push."""
        return next(point for point in self.curves["honest"] if point.coefficient == 0)

    def slope(self, name: str) -> Estimate:
        """Log-odds gained by a coefficient of 1, over the calibrated range.

        Resampled by question; for `random`, which is all random directions together, by direction.
        """
        names = [n for n in self.curves if n == name or n.startswith(f"{name} ")]
        slopes = np.stack([_slopes(self.curves[one]) for one in names])
        if len(names) == 1:
            return mean(slopes[0], self.plain.choices.groups)
        return mean(slopes.mean(axis=1), names)

    @property
    def rises(self) -> tuple[int, int]:
        """In how many of the steps from one coefficient to the next the mean log-odds rise."""
        means = [float(point.log_odds.mean()) for point in self.curves["honest"]]
        return int((np.diff(means) > 0).sum()), len(means) - 1


def sweep(
    model: LanguageModel,
    directions: Mapping[Site, Direction],
    bench: Bench,
    *,
    refusal: Mapping[Site, Direction] | None = None,
    target_kl: float = 0.5,
    points: int = 9,
    seed: int = 0,
    progress: Progress | None = None,
) -> Swept:
    """Calibrate every site, choose one, and measure its dose–response beside its controls.

    The site is chosen on every second group of questions, and everything reported of it is measured
    on the others.

    Args:
        model: the model.
        directions: one at each site that may be pushed.
        bench: what is measured.
        refusal: the direction of refusal at each site, for the control without it.
        target_kl: budget of the calibration.
        points: coefficients of the curve, an odd number, 0 in their middle.
        seed: of the random directions.
        progress: called with steps done and steps in all.

    Raises:
        InputError: no directions, too few questions, or an even number of points.
    """
    if not directions:
        raise InputError("A sweep needs directions at one site or more; none were given.")
    if points < 5 or points % 2 == 0:
        raise InputError(f"A curve needs an odd number of points, 5 or more; {points} was given.")
    choosing, reporting = _halves(bench)
    curves_wanted = 2 if refusal else 1
    total = len(directions) + curves_wanted * points + len(_BEYOND) + 3 * RANDOM
    count = _Counter(progress, total)
    candidates = {}
    for site, direction in directions.items():
        candidates[site] = _candidate(model, direction, choosing, target_kl)
        count()
    site = max(candidates, key=lambda one: candidates[one].effect.value)
    best, range_ = candidates[site].direction, candidates[site].calibration
    low, high = range_.low, range_.high
    if not low < 0 < high:
        raise InputError(
            f"At {site} no push of {range_.tried[0][0]:g} or more keeps within {target_kl:g} nats. "
            "Allow more with target_kl=…, or choose other layers."
        )
    course = _Course(model, reporting, count)
    half = points // 2
    grid = [*np.linspace(low, 0, half + 1)[:-1], 0.0, *np.linspace(0, high, half + 1)[1:]]
    curves = {"honest": course(best, grid)}
    if refusal is not None:
        curves["refusal removed"] = course(without(best, refusal[site]), grid)
    for number in range(RANDOM):
        drawn = random_like(best, seed + number)
        curves[f"random {number}"] = course(drawn, (low, 0.0, high), answers=False)
    ends = [(high if factor > 0 else -low) * factor for factor in _BEYOND]
    beyond = course(best, ends, answers=False)
    honest = sorted([*curves["honest"], *beyond], key=lambda point: point.coefficient)
    at = np.array([point.coefficient for point in honest])
    said = np.stack([point.behaviour for point in honest])
    helpful = np.stack([point.helpfulness for point in honest])
    return Swept(
        candidates,
        site,
        curves,
        beyond,
        fit_behaviour(at, said, reporting.groups, seed),
        fit_helpfulness(at, helpful, course.plain.damage.target_groups, seed),
    )


def results(swept: Swept, kept: float = 0.95) -> dict[str, Any]:
    """A sweep as the results of a run."""
    rises, steps = swept.rises
    reach = useful_range(swept.helpfulness, kept)
    return {
        "site": str(swept.site),
        "by_site": {str(site): one.to_json() for site, one in swept.candidates.items()},
        "curves": {
            name: [point.to_json(swept.plain) for point in curve]
            for name, curve in swept.curves.items()
        },
        "beyond": [point.to_json(swept.plain) for point in swept.beyond],
        "slopes": {
            name: swept.slope(name).to_json()
            for name in ("honest", "refusal removed", "random")
            if any(n == name or n.startswith(f"{name} ") for n in swept.curves)
        },
        "rises": {"steps": steps, "up": rises},
        "tradeoff": {
            "behaviour": swept.behaviour.to_json(),
            "helpfulness": swept.helpfulness.to_json(),
            "kept": kept,
            "useful": reach if np.isfinite(reach) else None,
        },
        "prompt": swept.plain.choices.shown(0),
        "samples": _samples(swept),
    }


def _samples(swept: Swept) -> dict[str, dict[str, str]]:
    """What the model said to a few requests at both ends of the range and without a push."""
    honest = swept.curves["honest"]
    shown: dict[str, dict[str, str]] = {}
    for point in (honest[0], swept.plain, honest[-1]):
        if point.answers is not None:
            pairs = zip(point.answers.questions, point.answers.texts, strict=True)
            for question, text in list(pairs)[:_SHOWN]:
                shown.setdefault(question, {})[f"{point.coefficient:+.3g}"] = text
    return shown


def _push(direction: Direction) -> Push:
    return lambda coefficient: {direction.site: Add(direction, coefficient)}


def _candidate(
    model: LanguageModel, direction: Direction, bench: Bench, target_kl: float
) -> Candidate:
    ratio = norm_ratio(model, direction, bench.benign)
    # A push of a tenth of a state's length is where things begin to happen.
    start = 0.1 / ratio.value
    found = calibrate(model, _push(direction), bench.reference, target_kl, start, 64 * start)
    quick = replace(bench, prompts=())
    ends = [measure(model, _push(direction), end, quick) for end in (found.low, found.high)]
    return Candidate(
        direction,
        found,
        ratio,
        behavior.compare(ends[1].choices, ends[0].choices),
    )


def _halves(bench: Bench) -> tuple[Bench, Bench]:
    """Questions to choose the site on, and others to report."""
    names = list(dict.fromkeys(bench.groups))
    if len(names) < 10:
        raise InputError(
            f"A sweep chooses the site on half of the questions and reports on the other half; "
            f"{len(names)} groups of questions are too few, 10 are the least."
        )
    first = set(names[::2])
    parts = (
        [q for q in bench.questions if (q.group in first) == wanted] for wanted in (True, False)
    )
    one, other = (replace(bench, questions=part) for part in parts)
    return one, other


def _slopes(curve: Sequence[Point]) -> np.ndarray:
    """Of each question, the least-squares slope of its log-odds over the coefficient."""
    at = np.array([point.coefficient for point in curve])
    values = np.stack([point.log_odds for point in curve])
    centred = at - at.mean()
    return centred @ values / (centred @ centred)


class _Course:
    """Measures pushes on the same questions; the model without a push once only."""

    def __init__(self, model: LanguageModel, bench: Bench, count: "_Counter") -> None:
        self.model, self.bench, self.count = model, bench, count
        self.plain = measure(model, lambda _: {}, 0.0, bench)

    def __call__(
        self, direction: Direction, coefficients: Sequence[float], *, answers: bool = True
    ) -> list[Point]:
        """Measure a direction at every coefficient."""
        bench = self.bench if answers else replace(self.bench, prompts=())
        found = []
        for coefficient in coefficients:
            if coefficient == 0:
                found.append(self.plain)
            else:
                found.append(measure(self.model, _push(direction), coefficient, bench))
            self.count()
        return found


class _Counter:
    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total)
