"""Document: the report of a run, one HTML file that needs nothing beside it."""

import json
import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from repalign.errors import InputError, MissingExtraError
from repalign.reports import figures as draw
from repalign.reports import wording
from repalign.reports.drawing import Drawing
from repalign.reports.numbers import estimate, interval, plain, printable
from repalign.reports.tokens import full_colour, tokens_html
from repalign.runs import Run
from repalign.storage import read_json, write_atomic

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape
except ImportError as error:
    raise MissingExtraError(
        "Reports are written with jinja2, which is not installed. Install it with "
        "`pip install 'repalign[report]'`."
    ) from error

REPORT, FIGURES = "report.html", "figures.json"
_OPTIONAL = (
    "by_site",
    "controls",
    "pooled",
    "readout",
    "tests",
    "threshold",
    "thresholds",
    "transfer",
    "transfer_matrix",
)
_MODEL = ("name", "span", "revision", "weights", "dtype", "layers", "d_model", "checks")
_NUMBER = re.compile(r"[−\d.e+-]+%? \[[^\[\]<>&]{1,40}\]")
_TEMPLATE, _STYLE = "report.html.jinja", "report.css"


def write(folder: Path | str) -> Path:
    """Write the report of the run in a folder beside it.

    Args:
        folder: with the `run.json` of a run of `probe`, `steer`, `train` or `evaluate`, and beside
            it the `figures.json` of the first or the `items.jsonl` of the last.

    Returns:
        The path of `report.html`; a report that was there is replaced.

    Raises:
        InputError: a file is missing or broken, or the run is of another verb.
    """
    folder = Path(folder)
    run = Run.load(folder)
    if run.verb == "steer":
        from repalign.reports import steering

        text = steering.render(run)
    elif run.verb == "train":
        from repalign.reports import training

        text = training.render(run)
    elif run.verb == "evaluate":
        from repalign.evaluation.items import read_items
        from repalign.reports import evaluation

        text = evaluation.render(run, read_items(folder))
    else:
        text = render(run, read_json(folder / FIGURES))
    path = folder / REPORT
    write_atomic(path, text.encode())
    return path


def render(run: Run, figures: Mapping[str, Any]) -> str:
    """The report of a probe run as HTML.

    The same run and figures always give the same text. What a run does not hold (transfer, a
    threshold, tests) has no section. Every text is escaped, and the page forbids itself scripts and
    anything from a network.

    Args:
        run: the record of `probe`.
        figures: its `scores`, `projection` and `tokens`; each may be missing.

    Raises:
        InputError: another verb's run, or a figure without its interval.
    """
    if run.verb != "probe" or not run.results.get("best"):
        raise InputError(
            f"A report is made of a run of `probe` with its results; this is a run of {run.verb!r}"
            f" with results {sorted(run.results)}."
        )
    return filled(
        _TEMPLATE,
        run,
        results={**dict.fromkeys(_OPTIONAL), **run.results},
        wording=wording,
        drawings=_drawings(run, figures),
        tokens=_tokens(figures),
        scored={name: len(part or []) for name, part in (figures.get("scores") or {}).items()},
    )


def filled(template: str, run: Run, **given: Any) -> str:
    """Fill a template of this folder with a run; every text is escaped.

    Args:
        template: its file name.
        run: what the sections that all reports share are about.
        given: what else it names.
    """
    environment = Environment(
        loader=PackageLoader("repalign.reports", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        estimate=estimate, interval=interval, plain=plain, as_json=_as_json, unbroken=_unbroken
    )
    page = environment.get_template(template).render(
        run=run,
        model={**dict.fromkeys(_MODEL), **run.model},
        record=run.model_dump(mode="json"),
        style=Markup((files("repalign.reports") / _STYLE).read_text(encoding="utf-8")),
        **given,
    )
    return printable(page)


def _drawings(run: Run, figures: Mapping[str, Any]) -> dict[str, Markup]:
    """The figures that this run has the numbers for, as markup."""
    results = run.results
    matrix, points = results.get("transfer_matrix"), figures.get("projection")
    wanted: dict[str, tuple[bool, Callable[[], Drawing], str]] = {
        "layers": (
            any((results.get("by_site") or {}).values()),
            lambda: draw.auroc_by_layer(results),
            "AUROC of each probe by layer, with the controls",
        ),
        "transfer": (
            bool(matrix and len(matrix["train"]) > 1),
            lambda: draw.transfer_matrix(results),
            "AUROC of a readout fitted on one topic and scored on another",
        ),
        "scores": (
            any((figures.get("scores") or {}).values()),
            lambda: draw.score_histogram(figures, results.get("threshold")),
            "Histograms of scores with the threshold",
        ),
        "points": (
            bool(points and points["x"]),
            lambda: draw.projection(figures),
            "Texts in two dimensions",
        ),
    }
    return {
        name: Markup(make().to_inline_svg(name, description))
        for name, (present, make, description) in wanted.items()
        if present
    }


def _unbroken(sentence: str) -> Markup:
    """A sentence whose numbers stay on the line of their intervals."""
    return Markup(_NUMBER.sub(r'<span class="nowrap">\g<0></span>', str(escape(sentence))))


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _tokens(figures: Mapping[str, Any]) -> dict[str, Any]:
    views = figures.get("tokens") or []
    limit = max((full_colour(view["pieces"]) for view in views), default=0.0)
    return {
        "limit": limit,
        "views": [
            {"title": view["title"], "html": Markup(tokens_html(view["pieces"], limit))}
            for view in views
        ],
    }
