"""Numbers as a report prints them: never without their interval."""

import re
from collections.abc import Mapping
from typing import Any

from repalign.errors import InputError
from repalign.metrics import Estimate

MISSING = "–"
_NEEDED = ("value", "low", "high", "n")
# Control characters cannot stand in XML, and a lone surrogate cannot be encoded at all.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def estimate(record: Mapping[str, Any] | None) -> Estimate | None:
    """Read an estimate out of a run's results; other keys beside it are ignored.

    Raises:
        InputError: the figure lacks its value, its interval or its n.

    Example:
        >>> print(estimate({"value": 0.94, "low": 0.92, "high": 0.96, "n": 293, "flipped": False}))
        0.940 [0.920, 0.960]
    """
    if record is None:
        return None
    missing = [name for name in _NEEDED if record.get(name) is None]
    if missing:
        raise InputError(
            f"A figure of the run has no {' and no '.join(missing)}, and a report shows no number "
            f"without its interval: {dict(record)!r}. Make the run again, or correct its file."
        )
    value, low, high, n = (record[name] for name in _NEEDED)
    return Estimate(float(value), float(low), float(high), int(n), float(record.get("level", 0.95)))


def interval(shown: Estimate | None, digits: int = 3) -> str:
    """An AUROC or another share as `0.940 [0.920, 0.960]`, or a dash.

    Example:
        >>> interval(Estimate(0.9412, 0.9187, 0.9601, 293), digits=2)
        '0.94 [0.92, 0.96]'
    """
    if shown is None:
        return MISSING
    value, low, high = (_signed(f"{x:.{digits}f}") for x in (shown.value, shown.low, shown.high))
    return f"{value} [{low}, {high}]"


def percent(shown: Estimate | None) -> str:
    """A share in percent.

    Example:
        >>> percent(Estimate(0.432, 0.38, 0.4904, 293))
        '43.2% [38.0, 49.0]'
    """
    if shown is None:
        return MISSING
    value, low, high = (_signed(f"{100 * x:.1f}") for x in (shown.value, shown.low, shown.high))
    return f"{value}% [{low}, {high}]"


def score(shown: Estimate | None) -> str:
    """A score of a probe, which may have any size, to four figures."""
    if shown is None:
        return MISSING
    return f"{plain(shown.value)} [{plain(shown.low)}, {plain(shown.high)}]"


def plain(value: float) -> str:
    """A number that is no estimate, such as an end of an axis, to four figures.

    Example:
        >>> plain(-1.23456)
        '−1.235'
    """
    return _signed(f"{value:.4g}")


def printable(text: str) -> str:
    """Text with every character that a page cannot hold replaced by `�`."""
    return _UNPRINTABLE.sub("\ufffd", text)


def shortened(text: str, length: int = 28) -> str:
    """A name that fits a figure: its middle is left out if it is longer than `length`.

    Example:
        >>> shortened("cities_of_the_whole_wide_world.csv", 16)
        'cities_o…rld.csv'
    """
    text = printable(text)
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1) :]}"


def _signed(digits: str) -> str:
    """A number with a true minus sign, and none before zero."""
    if digits.startswith("-"):
        return "−" + digits[1:] if float(digits) else digits[1:]
    return digits
