"""Erase: take away everything that a linear probe could read about a label."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from probes import LEACE
from repalign.activations import Activations
from repalign.errors import InputError
from repalign.interventions.vectors import Placed, narrowed, widened
from repalign.sites import Site


@dataclass(frozen=True, eq=False)
class Erase:
    """`h − removed (readout · (h − mean))`, the map that `probes.LEACE` learned (arXiv 2306.03819).

    The guarantee holds for linear probes and for states like those it was fitted on: the same site,
    and the same positions of the same kind of texts.
    """

    mean: Float[np.ndarray, " d_model"]
    removed: Float[np.ndarray, "rank d_model"]
    readout: Float[np.ndarray, "rank d_model"]
    weights: str | None = None
    """Fingerprint of the weights whose states it was fitted on."""

    @classmethod
    def of(cls, activations: Activations, site: Site | None = None, **options: Any) -> "Erase":
        """Fit `probes.LEACE` on labelled rows of a site.

        Args:
            activations: rows of both labels.
            site: which site; may be left out when there is one.
            options: of `probes.LEACE`, such as `covariance`.

        Raises:
            InputError: several sites and none chosen, or labels of one class.
        """
        if site is None and len(activations.sites) != 1:
            raise InputError(f"There are {len(activations.sites)} sites; say which with site=….")
        if set(activations.labels.tolist()) != {0, 1}:
            raise InputError("Erase is fitted on rows with labels 1 and 0, both present.")
        rows = activations.at(site or activations.sites[0])
        fitted = LEACE(**options).fit(rows.astype(np.float64), activations.labels)
        return cls(
            fitted.mean_, fitted.removed_, fitted.readout_, activations.origin.get("weights")
        )

    def __call__(
        self, states: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Erase at every position; computed in float32 or better."""
        high = widened(states)
        mean, removed, readout = (
            one.beside(high) for one in (self._mean, self._removed, self._readout)
        )
        return narrowed(high - linear(high - mean, readout) @ removed, states)

    @cached_property
    def _mean(self) -> Placed:
        return Placed(self.mean)

    @cached_property
    def _removed(self) -> Placed:
        return Placed(self.removed)

    @cached_property
    def _readout(self) -> Placed:
        return Placed(self.readout)
