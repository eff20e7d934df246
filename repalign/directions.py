"""Direction: a unit vector towards honest at one site."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from repalign.activations import Activations
from repalign.errors import InputError
from repalign.fitting import fit_probe
from repalign.sites import Site
from repalign.storage import (
    read_record,
    read_tensors,
    refuse_pickle,
    write_json,
    write_tensors,
)

_FORMAT = "repalign.direction/1"


@dataclass(frozen=True, eq=False)
class Direction:
    """A unit vector that points from dishonest to honest."""

    vector: Float[np.ndarray, " d_model"]
    site: Site
    midpoint: float
    """Projection half-way between the class means: the zero of a score read along the vector."""
    scale: float
    """Distance between the class means along the vector: the unit of coefficients."""
    origin: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Refuse a vector that is not of length 1 and a scale that is no distance."""
        length = float(np.linalg.norm(self.vector))
        if not np.isclose(length, 1.0, atol=1e-4):
            raise InputError(f"A direction has length 1; this vector has length {length:.4g}.")
        if not self.scale > 0:
            raise InputError(
                f"The class means lie {self.scale:.4g} apart along this vector; a direction points "
                "from dishonest to honest, so the distance must be positive."
            )

    @classmethod
    def of(cls, probe: Any, activations: Activations, site: Site | None = None) -> "Direction":
        """Fit a probe and take the direction of its weights.

        Args:
            probe: an estimator of `probes` that has not been fitted.
            activations: labelled rows.
            site: which site; may be left out when there is one.

        Returns:
            The direction, with where it came from.
        """
        if site is None:
            if len(activations.sites) != 1:
                raise InputError(
                    f"Activations of {len(activations.sites)} sites were given; say which one with "
                    "site=…."
                )
            site = activations.sites[0]
        fitted = fit_probe(probe, activations, site)
        origin = {**activations.origin, "probe": repr(probe)}
        return cls.along(fitted.coef_[0], activations, site, origin)

    @classmethod
    def along(
        cls,
        vector: Float[np.ndarray, " d_model"],
        activations: Activations,
        site: Site,
        origin: Mapping[str, Any],
    ) -> "Direction":
        """Take any vector and measure its midpoint and scale on labelled rows.

        Raises:
            InputError: a vector without length, rows of one class only, or a vector that points
                from honest to dishonest.
        """
        found = set(activations.labels.tolist())
        if not {0, 1} <= found:
            raise InputError(
                f"A direction is measured on rows of both labels, 1 and 0; these have "
                f"{sorted(found)}."
            )
        length = np.linalg.norm(vector)
        if not np.isfinite(length) or length == 0:
            raise InputError(f"A vector of length {length} at {site} has no direction.")
        unit = (vector / length).astype(np.float32)
        projected = activations.at(site) @ unit
        low = float(projected[activations.labels == 0].mean())
        high = float(projected[activations.labels == 1].mean())
        return cls(unit, site, (low + high) / 2, high - low, MappingProxyType(dict(origin)))

    @property
    def fingerprint(self) -> str:
        """A short hash of the vector, its site, midpoint and scale."""
        numbers = np.array([self.midpoint, self.scale], dtype=np.float64).tobytes()
        data = self.vector.astype(np.float32).tobytes() + numbers + str(self.site).encode()
        return hashlib.sha256(data).hexdigest()[:12]

    def __repr__(self) -> str:
        """Show where it lies and which one it is; `Direction.load` gives it back."""
        return (
            f"Direction({self.site}, d_model={len(self.vector)}, scale={self.scale:.4g}, "
            f"fingerprint={self.fingerprint!r})"
        )

    def project(self, values: Float[np.ndarray, "*batch d_model"]) -> Float[np.ndarray, "*batch"]:
        """Signed distance from the midpoint, in units of `scale`; honest is positive."""
        return np.asarray((values @ self.vector - self.midpoint) / self.scale)

    def save(self, folder: Path | str) -> Path:
        """Write `direction.safetensors` and `direction.json` into a folder."""
        folder = Path(folder)
        write_tensors(
            folder / "direction.safetensors", {"vector": self.vector}, {"format": _FORMAT}
        )
        record = {
            "format": _FORMAT,
            "site": str(self.site),
            "midpoint": self.midpoint,
            "scale": self.scale,
            "origin": dict(self.origin),
        }
        write_json(folder / "direction.json", record)
        return folder

    @classmethod
    def load(cls, folder: Path | str) -> "Direction":
        """Read a direction that `save` wrote.

        Raises:
            InputError: no direction there, a pickle, or a format this version does not read.
        """
        folder = Path(folder)
        if folder.is_file():
            refuse_pickle(folder)
            folder = folder.parent
        record = read_record(folder / "direction.json", _FORMAT)
        vector = read_tensors(folder / "direction.safetensors", ["vector"])["vector"]
        return cls(
            vector,
            Site.parse(record["site"]),
            record["midpoint"],
            record["scale"],
            MappingProxyType(record["origin"]),
        )
