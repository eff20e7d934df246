"""Fit an estimator of `probes` on activations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from probes import REGISTRY, LinearScore, Problem, fit_together
from repalign.activations import Activations
from repalign.errors import InputError, unknown
from repalign.metrics import cluster_codes
from repalign.sites import Site


def by_name(name: str) -> Any:
    """Make a probe with its default settings from its short name, such as `logistic`."""
    if name not in REGISTRY:
        raise unknown("probe", name, REGISTRY)
    return REGISTRY[name]()


def name_of(probe: Any) -> str:
    """The short name of a probe, or its class name when it is not one of ours."""
    for name, kind in REGISTRY.items():
        if type(probe) is kind:
            return name
    return type(probe).__name__


def fit_probe(probe: Any, activations: Activations, site: Site) -> Any:
    """Fit a clone of a probe on the labelled rows of one site.

    Args:
        probe: a linear classifier, of `probes` or of scikit-learn.
        activations: rows with labels.
        site: which site.

    Returns:
        The fitted clone.

    Raises:
        InputError: rows without a label.
    """
    if (activations.labels < 0).any():
        raise InputError(
            f"{int((activations.labels < 0).sum())} of {len(activations)} rows have no label; "
            "a probe is fitted on rows labelled 1 or 0."
        )
    values = activations.at(site)
    return fit_rows(probe, values, activations.labels, activations.groups, activations.polarity)


def fit_rows(
    probe: Any,
    values: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    polarity: np.ndarray,
) -> Any:
    """Fit a clone of a probe, handing it those of groups and polarity that it uses.

    Groups are handed over where every group holds both labels, so that it is a contrast pair, and
    polarity where both polarities occur.

    Raises:
        InputError: the probe needs pairs or polarities that the rows do not have, or cannot be
            fitted on them.
    """
    held = _held(labels, groups, polarity)
    _require(probe, held)
    wanted = {what: held[what] for what in getattr(probe, "uses", ())}
    fresh: Any = clone(probe)
    try:
        return fresh.fit(values, labels, **wanted)
    except ValueError as error:
        raise _refused(probe, error) from error


def fit_problems(
    probes: Mapping[str, Any],
    values: np.ndarray,
    problems: Sequence[Problem],
    groups: np.ndarray,
    polarity: np.ndarray,
) -> dict[str, list[LinearScore]]:
    """Fit every probe on every problem as `fit_rows` would, sharing what work can be shared.

    Args:
        probes: linear classifiers by name.
        values: rows of one site, in double precision.
        problems: which rows, and their labels.
        groups: the group of each row of `values`.
        polarity: its polarity.

    Returns:
        One score a problem for each probe.

    Raises:
        InputError: as `fit_rows`.
    """
    found: dict[str, list[Any]] = {name: [None] * len(problems) for name in probes}
    alike: dict[tuple[bool, bool], list[int]] = {}
    for place, (rows, honest) in enumerate(problems):
        held = _held(honest, groups[rows], polarity[rows])
        for probe in probes.values():
            _require(probe, held)
        alike.setdefault((held["groups"] is None, held["polarity"] is None), []).append(place)
    for (no_groups, no_polarity), places in alike.items():
        scores = _together(
            probes,
            values,
            [problems[place] for place in places],
            None if no_groups else groups,
            None if no_polarity else polarity,
        )
        for name, fitted in scores.items():
            for place, score in zip(places, fitted, strict=True):
                found[name][place] = score
    return found


def _together(
    probes: Mapping[str, Any],
    values: np.ndarray,
    problems: Sequence[Problem],
    groups: np.ndarray | None,
    polarity: np.ndarray | None,
) -> dict[str, list[LinearScore]]:
    try:
        return fit_together(probes, values, problems, groups, polarity)
    except ValueError as error:
        if len(probes) == 1:
            raise _refused(next(iter(probes.values())), error) from error
        # Which of them was it?
        for name, probe in probes.items():
            _together({name: probe}, values, problems, groups, polarity)
        raise


def _held(
    labels: np.ndarray, groups: np.ndarray, polarity: np.ndarray
) -> dict[str, np.ndarray | None]:
    """What of groups and polarity means something on these rows."""
    return {
        "groups": groups if _paired(labels, groups) else None,
        "polarity": polarity if {-1, 1} <= set(polarity.tolist()) else None,
    }


def _require(probe: Any, held: Mapping[str, np.ndarray | None]) -> None:
    for what in sorted(getattr(probe, "needs", ())):
        if held[what] is None:
            raise InputError(
                f"The probe {name_of(probe)} needs {_NEEDED[what]}, and these data have none. "
                "Leave it out of the probes, or give other data."
            )


def _refused(probe: Any, error: ValueError) -> InputError:
    return InputError(f"The probe {name_of(probe)} cannot be fitted on these rows: {error}")


_NEEDED = {
    "groups": "groups that hold both labels (a statement and its opposite; column `group`)",
    "polarity": "affirmed and negated rows in one data set (column `polarity`)",
}


def _paired(labels: np.ndarray, groups: np.ndarray) -> bool:
    """Whether every group holds both labels."""
    codes = cluster_codes(groups, len(groups))
    honest = np.bincount(codes, weights=labels)
    return bool(((honest > 0) & (honest < np.bincount(codes))).all())
