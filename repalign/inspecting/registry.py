"""Registry: what Inspect finds of repalign, loaded by the entry point of the package."""

from inspect_ai.model import ModelAPI, modelapi

from repalign.inspecting.tasks import honesty as honesty
from repalign.inspecting.tasks import limits as limits
from repalign.inspecting.tasks import sycophancy as sycophancy


@modelapi(name="repalign")
def provider() -> type[ModelAPI]:
    """The models of repalign; loaded when the first is asked for, since that loads torch."""
    from repalign.inspecting.provider import RepalignAPI

    return RepalignAPI
