"""Fit an estimator of `probes` on activations."""

from typing import Any

import numpy as np
from sklearn.base import clone

from probes import REGISTRY
from repalign.activations import Activations
from repalign.errors import InputError, unknown
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
    """Fit a clone of a probe, handing it those of groups and polarity that it uses."""
    held = {"groups": groups, "polarity": polarity if polarity.any() else None}
    wanted = {name: held[name] for name in getattr(probe, "uses", ())}
    fresh: Any = clone(probe)
    return fresh.fit(values, labels, **wanted)
