"""Representation engineering for the honesty of language models.

Names are imported when they are first used, so `import repalign` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repalign.activations import Activations as Activations
    from repalign.activations import collect as collect
    from repalign.directions import Direction as Direction
    from repalign.examples import Example as Example
    from repalign.examples import Message as Message
    from repalign.interventions import Ablate as Ablate
    from repalign.interventions import Add as Add
    from repalign.interventions import intervene as intervene
    from repalign.metrics import Estimate as Estimate
    from repalign.models import LanguageModel as LanguageModel
    from repalign.readouts import Readout as Readout
    from repalign.runs import Run as Run
    from repalign.sites import Site as Site
    from repalign.spans import Span as Span
    from repalign.training import penalised as penalised

__version__ = "0.1.0.dev0"

_HOME = {
    "Ablate": "interventions",
    "Activations": "activations",
    "Add": "interventions",
    "Direction": "directions",
    "Estimate": "metrics",
    "Example": "examples",
    "LanguageModel": "models",
    "Message": "examples",
    "Readout": "readouts",
    "Run": "runs",
    "Site": "sites",
    "Span": "spans",
    "collect": "activations",
    "intervene": "interventions",
    "penalised": "training",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name from its room."""
    if name not in _HOME:
        raise AttributeError(f"module 'repalign' has no attribute {name!r}")
    return getattr(import_module(f"repalign.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
