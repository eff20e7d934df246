"""Heat map: a text whose tokens are coloured by score, layer by layer, and by probability."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from repalign.errors import InputError, unknown
from repalign.reports.numbers import plain, printable
from repalign.reports.tokens import colour
from repalign.storage import write_atomic

_FULL = 0.98
"""Share of the tokens that have less than full colour: one outlier must not pale the others."""
_VISIBLE = {"\n": "↵", "\t": "⇥", "\r": "␍"}
_HINT = "Point at a token for its numbers, or step through with the arrow keys."
_MARKED = " A wavy line marks what lies below the threshold."
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src 'unsafe-inline'; script-src 'nonce-{key}'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 3rem; background: #fff;
  color: #1f2328; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #15181c; color: #e3e6ea; }} }}
h1 {{ font: 600 1.1rem/1.4 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }}
</style>
</head>
<body>
<h1>{title}</h1>
{map}
</body>
</html>
"""


@dataclass(frozen=True, eq=False)
class HeatMap:
    """A text with the scores of its tokens; a notebook shows it when a cell returns it.

    Blue lies above the centre, vermilion below. The centre is the site's threshold where there is
    one, with a wavy line under what lies below it, otherwise 0. Needs nothing from a network;
    every text is escaped. Without scripts, as in a notebook that is not trusted, the first site is
    shown.
    """

    tokens: Sequence[str]
    scores: Mapping[str, Sequence[float | None]]
    """For each site the score of each token, in the order of the slider; None has no colour."""
    probabilities: Sequence[float | None] | None = None
    """What the model gave each token."""
    threshold: Mapping[str, float] | float | None = None
    """Below it a token is marked; one for all sites or one for each."""
    title: str = "Tokens by score"
    start: str | None = None
    """The site that is shown first; the first of them without it."""
    key: str = field(default_factory=lambda: "h" + secrets.token_hex(6))
    """Names its parts on a page that may hold several."""

    def __post_init__(self) -> None:
        """Refuse numbers that do not belong to the tokens."""
        if not self.scores:
            raise InputError("A heat map needs the scores of at least one site.")
        lists = {**self.scores, **({} if self.probabilities is None else {"": self.probabilities})}
        for name, values in lists.items():
            what = f"scores of {name}" if name else "probabilities"
            if len(values) != len(self.tokens):
                raise InputError(f"{len(values)} {what} were given for {len(self.tokens)} tokens.")
            if not np.isfinite([v for v in values if v is not None]).all():
                raise InputError(f"The {what} hold NaN or infinity; give None for no score.")
        if any(p is not None and not 0 <= p <= 1.0001 for p in self.probabilities or ()):
            raise InputError("Probabilities lie from 0 to 1.")
        if self.start is not None and self.start not in self.scores:
            raise unknown("site with scores", self.start, self.scores)
        if isinstance(self.threshold, Mapping) and not set(self.threshold) <= set(self.scores):
            raise InputError(
                f"Thresholds of {', '.join(sorted(set(self.threshold) - set(self.scores)))} were "
                "given, for which there are no scores."
            )

    @property
    def html(self) -> str:
        """A page of its own."""
        return _PAGE.format(title=escape(printable(self.title)), key=self.key, map=self._map())

    def save(self, path: Path | str) -> Path:
        """Write the page; a file that is there is replaced."""
        write_atomic(Path(path), self.html.encode())
        return Path(path)

    def _repr_html_(self) -> str:
        return self._map()

    def _map(self) -> str:
        name = f"repalign-heat-{self.key}"
        script = f'{_part("heat_map.js").strip()}(document.getElementById("{name}"));'
        return (
            f'<div class="repalign-heat" id="{name}" role="group" '
            f'aria-label="{escape(printable(self.title))}">'
            f"<style>{_part('heat_map.css')}</style>"
            f"{self._controls()}"
            f'<p class="text" dir="auto">{self._tokens()}</p>'
            f'<div class="reading scripted" aria-live="polite" hidden></div>'
            f'<script type="application/json" class="data">{self._data()}</script>'
            f'<script nonce="{self.key}">{script}</script></div>'
        )

    def _controls(self) -> str:
        sites, first = list(self.scores), self._first
        centre, limit = self._scale(first)
        parts = []
        if len(sites) > 1:
            parts.append(
                '<label class="layer scripted" hidden>Layer <input type="range" min="0" '
                f'max="{len(sites) - 1}" step="1" value="{sites.index(first)}">'
                f"<output>{escape(first)}</output></label>"
            )
        if self.probabilities is not None:
            choices = "".join(
                f'<label><input type="radio" name="{self.key}" value="{value}"'
                f"{' checked' if value == 'honesty' else ''}>{value.capitalize()}</label>"
                for value in ("honesty", "probability")
            )
            parts.append(
                f'<fieldset class="scripted" aria-label="Colour by" hidden>{choices}</fieldset>'
            )
        parts.append(
            f'<div class="legend" data-by="honesty">less honest <b>{plain(centre - limit)}</b>'
            f'<i class="honesty"></i><b>{plain(centre + limit)}</b> more honest</div>'
        )
        if self.probabilities is not None:
            parts.append(
                '<div class="legend" data-by="probability" hidden>improbable <b>0</b>'
                '<i class="doubt"></i><b>1</b> certain</div>'
            )
        return f'<div class="controls">{"".join(parts)}</div>'

    def _tokens(self) -> str:
        first = self._first
        centre, limit = self._scale(first)
        threshold = self._threshold(first)
        made = []
        for place, (text, score) in enumerate(zip(self.tokens, self.scores[first], strict=True)):
            style, below = "", ""
            title = ["no score"]
            if score is not None:
                style = f' style="background:{colour(float(score) - centre, limit)}"'
                below = " below" if threshold is not None and score < threshold else ""
                title = [f"score {plain(float(score))}"]
            chance = None if self.probabilities is None else self.probabilities[place]
            if chance is not None:
                title.append(f"probability {chance:.3f}")
            clean = printable(text)
            made.append(
                f'<span class="token{below}"{style} tabindex="-1" title="{", ".join(title)}" '
                f'data-text="{escape(clean)}">{_shown(clean)}</span>'
            )
        return "".join(made)

    def _data(self) -> str:
        scales = [self._scale(site) for site in self.scores]
        data: dict[str, Any] = {
            "sites": [printable(site) for site in self.scores],
            "start": list(self.scores).index(self._first),
            "scores": [_rounded(values) for values in self.scores.values()],
            "probabilities": None if self.probabilities is None else _rounded(self.probabilities),
            "centres": [centre for centre, _ in scales],
            "limits": [limit for _, limit in scales],
            "thresholds": [self._threshold(site) for site in self.scores],
            "hint": _HINT + ("" if self.threshold is None else _MARKED),
        }
        # Within a script element only `</script` and `<!--` end or change what is read.
        return json.dumps(data, allow_nan=False).replace("<", "\\u003c")

    @property
    def _first(self) -> str:
        return next(iter(self.scores)) if self.start is None else self.start

    def _threshold(self, site: str) -> float | None:
        if isinstance(self.threshold, Mapping):
            found = self.threshold.get(site)
            return None if found is None else float(found)
        return None if self.threshold is None else float(self.threshold)

    def _scale(self, site: str) -> tuple[float, float]:
        """The score without colour, and how far from it colour is full."""
        centre = self._threshold(site) or 0.0
        known = [abs(float(v) - centre) for v in self.scores[site] if v is not None]
        if not known:
            return centre, 0.0
        # A quantile that is one of the values, so that few tokens lose no colour.
        return centre, float(np.quantile(known, _FULL, method="higher"))


def heat_map(
    tokens: Sequence[str],
    scores: Mapping[str, Any] | Any,
    probabilities: Sequence[float | None] | None = None,
    threshold: Mapping[str, float] | float | None = None,
    title: str = "Tokens by score",
    start: str | None = None,
) -> HeatMap:
    """Colour the tokens of a text.

    Args:
        tokens: their texts, in order.
        scores: for each site one number a token; or an array `[token]` of one site.
        probabilities: what the model gave each token; adds a switch between both.
        threshold: below it a token is marked, and colours turn there instead of at 0.
        title: of the page.
        start: the site that is shown first.

    Returns:
        What a notebook shows, and `save` writes as a page.

    Raises:
        InputError: lengths that differ, or numbers that are not finite.

    Example:
        >>> shown = heat_map(["Paris", " is", " <b>"], {"L3.resid_post": [1.0, 0.2, -2.0]})
        >>> "&lt;b&gt;" in shown.html
        True
    """
    by_site = scores if isinstance(scores, Mapping) else {"score": scores}
    return HeatMap(
        list(tokens),
        {str(site): list(values) for site, values in by_site.items()},
        None if probabilities is None else list(probabilities),
        threshold,
        title,
        start,
    )


def _shown(text: str) -> str:
    """Escaped, with signs for what would not be seen."""
    made = escape(text)
    for sign, visible in _VISIBLE.items():
        rest = sign if sign == "\n" else ""
        made = made.replace(sign, f'<span class="mark">{visible}</span>{rest}')
    return made


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    """To six figures: what a page needs."""
    return [None if value is None else float(f"{float(value):.6g}") for value in values]


@cache
def _part(name: str) -> str:
    return (files("repalign.reports") / name).read_text(encoding="utf-8")
