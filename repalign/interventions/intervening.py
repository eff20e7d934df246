"""intervene(): write at sites of a model while a context is open."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from repalign import checks
from repalign.errors import InputError
from repalign.models import LanguageModel, SiteFunction
from repalign.sites import Site


@runtime_checkable
class Intervention(Protocol):
    """A pure function of the states `[batch pos d_model]` that pass a site."""

    def __call__(self, states: Tensor) -> Tensor:
        """Return the states to put in their place."""
        ...


@contextmanager
def intervene(
    model: LanguageModel, interventions: Mapping[Site, Intervention]
) -> Generator[None, None, None]:
    """Write at sites in every forward pass, generation included, while the context is open.

    Args:
        model: the model to write to; its weights are never changed.
        interventions: what to do at each site.

    Raises:
        InputError: no interventions, a site that the model lacks, a direction of another model or
            width, or an inner stream while the model trains (activation checkpointing would
            recompute without the writing and give wrong gradients).
    """
    if not interventions:
        raise InputError("No interventions were given: nothing would be written.")
    for site, intervention in interventions.items():
        model.architecture.check(site)
        _check_origin(model, site, intervention)
        if model.network.training and site.stream not in ("resid_pre", "resid_post"):
            raise InputError(
                f"{site} lies inside a block, and {model.name} is in training mode: under "
                "activation checkpointing the backward pass would recompute the block without this "
                "writing. Write at resid_pre or resid_post, or call network.eval()."
            )
    checks.ensure(model, list(interventions))
    functions: dict[Site, SiteFunction] = {**interventions}
    with model.hooked(functions):
        yield


def _check_origin(model: LanguageModel, site: Site, intervention: Any) -> None:
    directions = getattr(intervention, "directions", None) or (
        [intervention.direction] if hasattr(intervention, "direction") else []
    )
    for direction in directions:
        width = len(direction.vector)
        if width != model.d_model:
            raise InputError(
                f"The direction for {site} has width {width}; {model.name} has {model.d_model}."
            )
        weights = direction.origin.get("weights")
        if weights is not None and weights != model.fingerprint:
            raise InputError(
                f"The direction for {site} was read from {direction.origin.get('model')} (weights "
                f"{weights}), not from {model.name} (weights {model.fingerprint}). Read it anew "
                "with collect() and Direction.of()."
            )
