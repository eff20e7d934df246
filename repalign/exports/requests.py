"""Requests: what interventions ask of an export, or why it cannot be had."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from repalign.errors import InputError
from repalign.exports.writers import trial
from repalign.interventions import Ablate, Add, Intervention, Shift, intervene
from repalign.interventions.everywhere import covers, everywhere
from repalign.models import LanguageModel
from repalign.sites import Site

FORMS = ("weights", "lora", "gguf", "vllm-lens")
_VECTORS = ("gguf", "vllm-lens")


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be exported."""

    basis: Float[np.ndarray, "d_model rank"] | None
    """Orthonormal columns of what is ablated everywhere; None where nothing is."""
    pushes: Mapping[Site, Float[np.ndarray, " width"]]
    """What is added at each site, float64. Streams that hold the same are one: `resid_pre` of a
    layer is `resid_post` of the one before it, and `resid_mid` is moved by way of `attn_out`."""

    @classmethod
    def of(
        cls, model: LanguageModel, interventions: Mapping[Site, Intervention], form: str
    ) -> "Request":
        """Read interventions, and make a pass with them to find out whether they fit the model.

        Raises:
            InputError: interventions that this form cannot hold, or that do not fit the model.
            CheckError: the model fails a self-check of what they use.
        """
        ablations: dict[Site, Ablate] = {}
        pushes: dict[Site, np.ndarray] = {}
        for site, intervention in interventions.items():
            if isinstance(intervention, Ablate):
                ablations[site] = intervention
            elif _constant(intervention):
                place = _one_name(site)
                pushes[place] = pushes.get(place, 0.0) + intervention.push.astype(np.float64)  # pyright: ignore[reportAttributeAccessIssue]
            else:
                raise InputError(_refusal(site, intervention))
        with intervene(model, interventions):
            model.logits(trial(model))
        if form in _VECTORS:
            _check_vectors(form, ablations, pushes)
        return cls(_basis(model, ablations, pushes), pushes)


def unused(path: Path | str) -> Path:
    """The path, if nothing lies there.

    Raises:
        InputError: there is something; nothing is ever overwritten.
    """
    path = Path(path).expanduser()
    if path.exists():
        raise InputError(f"{path} exists already; remove it, or give another path.")
    return path


def _constant(intervention: Any) -> bool:
    if isinstance(intervention, Add):
        return not intervention.piecewise
    return isinstance(intervention, Shift)


def _one_name(site: Site) -> Site:
    if site.stream == "resid_pre" and site.layer > 0:
        return Site(site.layer - 1)
    if site.stream == "resid_mid":
        return Site(site.layer, "attn_out")
    return site


def _refusal(site: Site, intervention: Any) -> str:
    name = type(intervention).__name__
    if isinstance(intervention, Add):
        name = "Add with piecewise=True"
    return (
        f"{name} at {site} depends on the states it meets, so no fixed weights or vectors can hold "
        "it and no export can: use intervene(). What exports hold are Add and Shift, and Ablate in "
        "the forms 'weights' and 'lora'."
    )


def _check_vectors(
    form: str, ablations: Mapping[Site, Ablate], pushes: Mapping[Site, np.ndarray]
) -> None:
    if ablations:
        raise InputError(
            f"Ablate cannot be exported as {form!r}, which only adds vectors. Use 'weights' (bake) "
            "or 'lora' (export_lora)."
        )
    inner = [str(site) for site in pushes if site.stream != "resid_post"]
    if inner:
        raise InputError(
            f"What is added at {', '.join(inner)} cannot be exported as {form!r}, which adds only "
            "to what a block puts out (resid_post, or resid_pre of a later layer). Use 'weights' "
            "(bake) or 'lora' (export_lora)."
        )


def _basis(
    model: LanguageModel, ablations: Mapping[Site, Ablate], pushes: Mapping[Site, np.ndarray]
) -> np.ndarray | None:
    if not ablations:
        return None
    first = next(iter(ablations.values()))
    bases = [ablation.basis for ablation in ablations.values()]
    projections = [basis @ basis.T for basis in bases]
    if any(np.abs(one - projections[0]).max() > 1e-6 for one in projections):
        raise InputError(
            "Ablate stands with other directions at one site than at another. Weights can only "
            "leave out the same directions everywhere."
        )
    wanted = everywhere(model, first)
    if not covers(model, ablations):
        given = ", ".join(map(str, list(ablations)[:3])) + (", …" if len(ablations) > 3 else "")
        raise InputError(
            f"Ablate stands at {given} only. Weights that write can be kept from ever writing "
            "along a direction, but not take out at one site what was written before: an ablation "
            "is exported everywhere or not at all. Pass everywhere(model, Ablate.of(…)) from "
            "repalign.interventions.everywhere, or use intervene()."
        )
    added = [site for site in pushes if site.stream != "heads"]
    if added and (set(ablations) != set(wanted) or not _only_writers(wanted)):
        raise InputError(
            f"What is added at {', '.join(map(str, added))} would later meet an Ablate that stands "
            "in the stream, which takes a part of it away; in weights it would stay. Ablate at "
            "attn_out and mlp_out (everywhere(model, …)) where the family has them, or export the "
            "two apart."
        )
    return first.basis


def _only_writers(sites: Mapping[Site, Any]) -> bool:
    first = Site(0, "resid_pre")
    return all(site == first or site.stream in ("attn_out", "mlp_out") for site in sites)
