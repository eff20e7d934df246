"""How a judge's words are read; what cannot be read is an error, never a guess."""

import re
from collections.abc import Mapping, Sequence

from repalign.judges.case import Ruling
from repalign.verdicts.normalising import without_thought

LOWEST, HIGHEST = 1, 10
_WORD = re.compile(r"[^\W\d_]+")
_FIRST_WORDS = 6
# Small judges repeat what they may choose from, which is no choice.
_ECHO = re.compile(
    r"\byes\s*(?:/|,|or)\s*no\b|\bfirst\s*,\s*second,?\s*or\s+(?:a\s+)?tie\b|"
    r"\bfirst\s*(?:/|or)\s*(?:the\s+)?second\b|\bno\s+(?:doubt|question)\b",
    re.IGNORECASE,
)
_WORSE = re.compile(r"\b(?:worse|worst|weaker)\b", re.IGNORECASE)
_PREFERRED: Mapping[str, float] = {"first": 1.0, "second": 0.0, "tie": 0.5, "neither": 0.5}
# After the number: out of ten, or nothing that would make it another number or a range.
_NUMBER = (
    r"(?P<number>[-+−]?\d+(?:\.\d+)?)"
    r"(?:\s*(?:/|out\s+of)\s*10(?![\d.,]*\d))?"
    r"(?!\d|[.,]\d|\s*(?:/|[-–—]\s*\d|out\s+of|to\s+\d|or\s+\d|%))"
)


def yes_or_no(said: str) -> Ruling:
    """1 for yes and 0 for no, by the first such word of the first six; `yes or no` is neither."""
    first = _first(said, ("yes", "no"))
    if first is None:
        return Ruling(None, said, error="it says neither yes nor no")
    return Ruling(float(first == "yes"), said)


def preferred(said: str) -> Ruling:
    """1 for first, 0 for second and 0.5 for a tie, by the first such word of the first six."""
    found = _first(said, tuple(_PREFERRED))
    if found is None or _WORSE.search(said):
        return Ruling(None, said, error="it says neither first nor second nor tie")
    return Ruling(_PREFERRED[found], said)


def scores(said: str, parts: Sequence[str], overall: str) -> Ruling:
    """Scores from 1 to 10, each on a line after its name; `overall` is the value.

    Marks of lists and of bold are passed over, and `7/10` and `7 out of 10` are 7. A score that is
    missing, out of 1 to 10, a range, or given twice with different numbers is an error.
    """
    found: dict[str, float] = {}
    for name in (*parts, overall):
        pattern = rf"(?:^|[;,|])[ \t>*_#\-\d.()]*{name}(?: +score)?[ \t*_]*[:=][ \t*_\[(]*{_NUMBER}"
        lines = re.finditer(pattern, without_thought(said), re.IGNORECASE | re.MULTILINE)
        numbers = {float(line["number"].replace("−", "-")) for line in lines}
        if len(numbers) != 1:
            why = "no score" if not numbers else f"several scores, {sorted(numbers)},"
            return Ruling(None, said, error=f"{why} for {name.lower()}")
        (found[name.lower()],) = numbers
        if not LOWEST <= found[name.lower()] <= HIGHEST:
            why = f"{name.lower()} is {found[name.lower()]:g}, outside {LOWEST} to {HIGHEST}"
            return Ruling(None, said, error=why)
    value = found.pop(overall.lower())
    return Ruling(value, said, found)


def _first(said: str, words: Sequence[str]) -> str | None:
    chosen = _ECHO.sub(" ", without_thought(said))
    begun = [word.lower() for word in _WORD.findall(chosen)[:_FIRST_WORDS]]
    return next((word for word in begun if word in words), None)
