"""Readout: a fitted linear probe over one or several sites, saved so that others can use it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from repalign.activations import Activations, origin
from repalign.errors import InputError
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.spans import Span
from repalign.storage import (
    read_record,
    read_tensors,
    refuse_pickle,
    write_json,
    write_tensors,
)

_FORMAT = "repalign.readout/1"
# What must agree between the model that a readout was fitted on and the model it reads.
_MUST_MATCH = ("weights", "tokenizer", "d_model")


@dataclass(frozen=True, eq=False)
class Readout:
    """`score = Σ_site h_site · coef_site + intercept`; higher is honest.

    Every probe of this library is linear, so this is what a fitted one is, whatever fitted it; an
    ensemble over sites is the sum of its members.
    """

    sites: tuple[Site, ...]
    coef: Float[np.ndarray, "site d_model"]
    intercept: float
    span: Span
    threshold: float | None = None
    """Texts that score strictly below it are flagged; set on benign texts."""
    origin: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Refuse weights that do not belong to the sites or are not finite."""
        if self.coef.shape[0] != len(self.sites):
            raise InputError(f"{self.coef.shape[0]} rows of weights for {len(self.sites)} sites.")
        if not (np.isfinite(self.coef).all() and np.isfinite(self.intercept)):
            raise InputError("The weights of a readout must be finite; these hold NaN or infinity.")

    @property
    def fingerprint(self) -> str:
        """A short hash of the weights and of where they read."""
        coef = self.coef.astype(np.float64).tobytes()
        intercept = np.float64(self.intercept).tobytes()
        sites = " ".join(map(str, self.sites)).encode()
        return hashlib.sha256(coef + intercept + sites).hexdigest()[:12]

    def score(self, activations: Activations) -> Float[np.ndarray, " row"]:
        """Score every row; `mean_by_example` averages the rows of one text."""
        total = np.full(len(activations), self.intercept, dtype=np.float64)
        for site, coef in zip(self.sites, self.coef, strict=True):
            total += activations.at(site).astype(np.float64) @ coef.astype(np.float64)
        return total

    def check_model(self, model: LanguageModel) -> None:
        """Refuse a model other than the one it was fitted on.

        Raises:
            InputError: the weights, the tokenizer with its chat template, or the width differ.
        """
        if self.coef.shape[1] != model.d_model:
            raise InputError(
                f"This probe reads states of width {self.coef.shape[1]}; {model.name} has "
                f"{model.d_model}. Fit one for this model with `repalign probe`."
            )
        for site in self.sites:
            model.architecture.check(site)
        now = origin(model, self.span)
        for name in _MUST_MATCH:
            if name in self.origin and self.origin[name] != now[name]:
                # Rounding changes weights: the same model in another format is another model.
                formats = f" ({self.origin.get('dtype')} there, {now['dtype']} here)"
                raise InputError(
                    f"This probe was fitted on {self.origin.get('model')} with {name} "
                    f"{self.origin[name]}; {model.name} has {name} {now[name]}{formats}. A probe "
                    "reads only the model it was fitted on: fit one for this model with "
                    "`repalign probe`."
                )

    def with_threshold(self, threshold: float) -> "Readout":
        """The same readout with a threshold."""
        return replace(self, threshold=threshold)

    def save(self, folder: Path | str) -> Path:
        """Write `probe.safetensors` and `probe.json` into a folder."""
        folder = Path(folder)
        write_tensors(
            folder / "probe.safetensors",
            {"coef": self.coef.astype(np.float64), "intercept": np.array([self.intercept])},
            {"format": _FORMAT},
        )
        record = {
            "format": _FORMAT,
            "sites": [str(site) for site in self.sites],
            "span": str(self.span),
            "threshold": self.threshold,
            "origin": dict(self.origin),
        }
        write_json(folder / "probe.json", record)
        return folder

    @classmethod
    def load(cls, folder: Path | str) -> "Readout":
        """Read a readout that `save` wrote.

        Raises:
            InputError: no readout there, a pickle, or a format this version does not read.
        """
        folder = Path(folder)
        if folder.is_file():
            refuse_pickle(folder)
            folder = folder.parent
        if not (folder / "probe.json").is_file():
            raise InputError(
                f"{folder} holds no probe: there is no probe.json in it. Give the folder that "
                "`repalign probe` wrote."
            )
        record = read_record(folder / "probe.json", _FORMAT)
        tensors = read_tensors(folder / "probe.safetensors", ["coef", "intercept"])
        return cls(
            tuple(Site.parse(site) for site in record["sites"]),
            tensors["coef"],
            float(tensors["intercept"][0]),
            Span.parse(record["span"]),
            record["threshold"],
            MappingProxyType(record["origin"]),
        )


def ensemble(
    members: Sequence[tuple[Site, np.ndarray, float]], span: Span, origin: Mapping[str, Any]
) -> Readout:
    """Add up linear scores of several sites into one readout.

    Args:
        members: site, weights `[d_model]` and intercept of each.
        span: which tokens are read.
        origin: model and data they came from.
    """
    return Readout(
        tuple(site for site, _, _ in members),
        np.stack([coef for _, coef, _ in members]),
        float(sum(intercept for _, _, intercept in members)),
        span,
        None,
        MappingProxyType(dict(origin)),
    )
