"""Fit an estimator of `probes` on activations."""

from typing import Any

import numpy as np
from sklearn.base import clone

from probes import REGISTRY
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
    name = name_of(probe)
    held = {
        "groups": groups if _paired(labels, groups) else None,
        "polarity": polarity if {-1, 1} <= set(polarity.tolist()) else None,
    }
    for what in sorted(getattr(probe, "needs", ())):
        if held[what] is None:
            raise InputError(
                f"The probe {name} needs {_NEEDED[what]}, and these data have none. Leave it "
                "out of the probes, or give other data."
            )
    wanted = {what: held[what] for what in getattr(probe, "uses", ())}
    fresh: Any = clone(probe)
    try:
        return fresh.fit(values, labels, **wanted)
    except ValueError as error:
        raise InputError(f"The probe {name} cannot be fitted on these rows: {error}") from error


_NEEDED = {
    "groups": "groups that hold both labels (a statement and its opposite; column `group`)",
    "polarity": "affirmed and negated rows in one data set (column `polarity`)",
}


def _paired(labels: np.ndarray, groups: np.ndarray) -> bool:
    """Whether every group holds both labels."""
    codes = cluster_codes(groups, len(groups))
    honest = np.bincount(codes, weights=labels)
    return bool(((honest > 0) & (honest < np.bincount(codes))).all())
