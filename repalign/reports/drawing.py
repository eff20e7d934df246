"""Drawing: a figure without global state that shows itself in a notebook and fits into a page."""

import io
import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

from repalign.errors import MissingExtraError

try:
    from matplotlib import style
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtraError(
        "Figures are drawn with matplotlib, which is not installed. Install it with "
        "`pip install 'repalign[report]'`."
    ) from error

INK, MUTED, GRID = "#1f2328", "#5f6873", "#dfe3e8"
HIGH, LOW, BENIGN = "#0072b3", "#d55e01", "#4d7c6f"
"""Honest or true, dishonest or false, and neither: blue, vermilion and grey-green are told apart in
every common form of colour blindness (Okabe and Ito's palette)."""
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7a5195", "#8c564b")
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    HIGH: "high",
    LOW: "low",
    BENIGN: "benign",
    **{colour: f"series-{number}" for number, colour in enumerate(SERIES)},
}
"""The variable of the page that stands for each colour, so that a figure follows its theme."""

_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "repalign",
    # A dollar sign in a data set's name is no formula.
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}
# Dates and versions would make two renders of one run differ.
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
# Words of a figure come out as large as the page's small print.
_REM_AN_INCH = 6.6
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")


class Drawing(Figure):
    """A matplotlib figure, made without pyplot, that a notebook shows when a cell returns it."""

    def _repr_svg_(self) -> str:
        return self.to_svg(background="white")

    def to_svg(self, background: str = "none") -> str:
        """As an SVG file: words stay words, and equal figures give equal files."""
        file = io.StringIO()
        with drawn_our_way(), warnings.catch_warnings():
            # The reader's browser has the script that the font for measuring lacks.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
            self.savefig(file, format="svg", metadata=_NO_METADATA, facecolor=background)
        return file.getvalue()

    def to_inline_svg(self, name: str, description: str) -> str:
        """As an element for a page: theme colours, and ids that cannot meet another figure's.

        Args:
            name: begins every id; letters, digits and hyphens, one figure a name.
            description: what a screen reader says.

        Returns:
            Markup in which all text is escaped.
        """
        root = ElementTree.fromstring(self.to_svg())
        for parent in list(root.iter()):
            for child in list(parent):
                # The page's own style says what is in it; left here it would style the whole page.
                if child.tag.endswith("}style") or child.tag.endswith("}metadata"):
                    parent.remove(child)
        for element in root.iter():
            _rewrite(element, name)
        for size in ("width", "height"):
            root.attrib.pop(size, None)
        root.set("style", f"width:{self.get_figwidth() * _REM_AN_INCH:.1f}rem")
        root.set("role", "img")
        root.set("aria-label", description)
        return ElementTree.tostring(root, encoding="unicode")


@contextmanager
def drawn_our_way() -> Generator[None]:
    """Draw with our settings whatever the user's, which are put back afterwards."""
    with style.context(["default", _SETTINGS]):
        yield


def _rewrite(element: Any, name: str) -> None:
    element.tag = element.tag.rpartition("}")[2]
    for key, value in list(element.attrib.items()):
        del element.attrib[key]
        plain = key.rpartition("}")[2]
        if plain == "id":
            value = f"{name}-{value}"
        elif plain == "href":
            value = f"#{name}-{value.removeprefix('#')}"
        elif plain == "style":
            value = _COLOUR.sub(lambda found: _themed(found[0]), value)
        element.set(plain, _REFERENCE.sub(rf"url(#{name}-\1)", value))


def _themed(colour: str) -> str:
    variable = VARIABLES.get(colour)
    return f"var(--{variable})" if variable else colour
