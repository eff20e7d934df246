"""What goes wrong, in words that say what was given, what is allowed and what to do."""

import difflib
from collections.abc import Iterable


class RepalignError(Exception):
    """Any error that repalign raises on purpose."""


class InputError(RepalignError, ValueError):
    """A user's mistake: the command line prints the message alone and exits with 2."""


class CheckError(RepalignError):
    """A self-check of a model failed: reading it would give numbers that mean something else."""


class MissingExtraError(RepalignError, ImportError):
    """An optional package is needed; the message holds the command that installs it."""


def unknown(kind: str, given: str, allowed: Iterable[str]) -> InputError:
    """Build the error for a name that is not in a list, with the nearest allowed names first.

    Args:
        kind: what the name stands for, such as `probe`.
        given: the name as the user wrote it.
        allowed: every name that would have been accepted.

    Returns:
        The error, to be raised by the caller.

    Example:
        >>> print(unknown("probe", "logistc", ["lda", "logistic"]))
        There is no probe 'logistc'. Did you mean 'logistic'? Allowed: lda, logistic.
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(given, names, n=2, cutoff=0.6)
    hint = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return InputError(f"There is no {kind} {given!r}.{hint} Allowed: {', '.join(names)}.")
