"""Reports: a run as one HTML file that opens offline, and its figures for notebooks.

Names are imported when they are first used: drawing and templates load only when a report is made.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repalign.reports.attribution import gradient_cosines as gradient_cosines
    from repalign.reports.attribution import top_overlap as top_overlap
    from repalign.reports.document import render as render
    from repalign.reports.document import write as write
    from repalign.reports.dose import dose_response as dose_response
    from repalign.reports.dose import pareto as pareto
    from repalign.reports.dose import tradeoff as tradeoff
    from repalign.reports.drawing import Drawing as Drawing
    from repalign.reports.figures import auroc_by_layer as auroc_by_layer
    from repalign.reports.figures import projection as projection
    from repalign.reports.figures import score_histogram as score_histogram
    from repalign.reports.figures import transfer_matrix as transfer_matrix
    from repalign.reports.heat_map import HeatMap as HeatMap
    from repalign.reports.tokens import TokenView as TokenView
    from repalign.reports.tokens import tokens_html as tokens_html

_HOME = {
    "Drawing": "drawing",
    "HeatMap": "heat_map",
    "TokenView": "tokens",
    "auroc_by_layer": "figures",
    "dose_response": "dose",
    "gradient_cosines": "attribution",
    "pareto": "dose",
    "tradeoff": "dose",
    "projection": "figures",
    "render": "document",
    "score_histogram": "figures",
    "tokens_html": "tokens",
    "top_overlap": "attribution",
    "transfer_matrix": "figures",
    "write": "document",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name from its file.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    if name not in _HOME:
        raise AttributeError(f"module 'repalign.reports' has no attribute {name!r}")
    return getattr(import_module(f"repalign.reports.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
