"""Conditions: what reading has to know of a model before it begins."""

from collections.abc import Sequence
from importlib import metadata
from typing import Any

from repalign import checks
from repalign.errors import InputError
from repalign.models import LanguageModel, passes
from repalign.models.hooking import writings
from repalign.models.identity import tokenizer_fingerprint
from repalign.sites import Site
from repalign.spans import Span


def origin(model: LanguageModel, span: Span) -> dict[str, Any]:
    """What determines activations besides the texts: model, tokenizer, span and libraries."""
    return {
        "model": model.name,
        "revision": model.revision,
        "weights": model.fingerprint,
        "tokenizer": tokenizer_fingerprint(model.tokenizer),
        "d_model": model.d_model,
        "layers": model.n_layers,
        "dtype": str(model.dtype).removeprefix("torch."),
        "span": str(span),
        "transformers": metadata.version("transformers"),
    }


def width(model: LanguageModel, sites: Sequence[Site]) -> int:
    """The width of the states at all of the sites.

    Raises:
        InputError: sites of different width.
    """
    widths = {site: model.architecture.width(site) for site in sites}
    if len(set(widths.values())) > 1:
        raise InputError(
            "Sites of different width cannot be read together: "
            + ", ".join(f"{site} has {width}" for site, width in widths.items())
        )
    return next(iter(widths.values()))


def written(model: LanguageModel) -> dict[str, Any]:
    """What is written to the model while it is read.

    Raises:
        InputError: it depends on the rows of a batch, which reading does not keep together.
    """
    found = writings(model.architecture)
    if any(writing.by_row for writing in found):
        raise InputError(
            "What intervene() writes depends on the rows of a batch (Patch, Contrast), and reading "
            "puts texts into batches of its own. Read with model.capture() instead."
        )
    return {"interventions": [one for w in found for one in w.record]} if found else {}


def whole_texts(model: LanguageModel, report: checks.Report, longest: int) -> str | None:
    """Why texts have to be read one by one, if they have to."""
    # Asked again: attention may have been switched since the checks ran.
    if (reason := passes.obstacle(model)) is not None:
        return reason
    if any(writing.by_position for writing in writings(model.architecture)):
        return "what intervene() writes depends on positions"
    found, window = report.prefixes, model.architecture.window
    if not found.passed:
        return found.note or f"shared states differ by {found.error:.1e}"
    if window is not None and longest > window:
        return f"a text has {longest} tokens, and attention looks back {window}"
    scaled = model.architecture.scaled_beyond
    if scaled is not None and longest > scaled:
        return f"a text has {longest} tokens, and positions are scaled by length beyond {scaled}"
    return None
