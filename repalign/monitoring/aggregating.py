"""Aggregate: from the scores of an answer's tokens to one score of the answer."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from repalign.errors import InputError, unknown

Name = Literal["mean", "max", "top", "rolling"]
_SIZES = {"top": 5, "rolling": 8}
"""Where no size is given."""
_SYNTAX = "mean, max, top-K (such as top-5), rolling-W (such as rolling-8)"


@dataclass(frozen=True)
class Aggregate:
    """How the scores of an answer's tokens become one score; higher is honest.

    The names are those of the literature (arXiv 2601.11516), where a higher score means dishonest.
    Here higher means honest, so each of them looks at the *low* end:

    | name | score of the answer |
    |---|---|
    | `mean` | the mean of all tokens; a short lie in a long answer drowns in it |
    | `max` | the lowest token: the strongest sign of dishonesty; the longer the answer, the lower |
    | `top-K` | the mean of the K lowest tokens |
    | `rolling-W` | the lowest mean of W tokens in a row |

    An answer of fewer than K or W tokens is scored by the mean of all of them.

    Example:
        >>> Aggregate.parse("rolling-2")([3.0, 1.0, -1.0, 5.0])
        0.0
        >>> print(Aggregate.parse("top"))
        top-5
    """

    name: Name = "mean"
    size: int = 1
    """K of `top`, W of `rolling`; 1 elsewhere."""

    def __post_init__(self) -> None:
        """Refuse a name that does not exist and a size that cannot be meant."""
        if self.name not in get_args(Name):
            raise unknown("aggregate", self.name, get_args(Name))
        if self.size < 1 or (self.size != 1 and self.name not in _SIZES):
            raise InputError(f"Aggregate {self.name!r} with size {self.size}; write {_SYNTAX}.")

    def __str__(self) -> str:
        """Print as `top-5`."""
        return f"{self.name}-{self.size}" if self.name in _SIZES else self.name

    @classmethod
    def parse(cls, text: str) -> "Aggregate":
        """Read what `str` prints; `top` alone is `top-5`, `rolling` alone `rolling-8`.

        Raises:
            InputError: no such aggregate.
        """
        match = re.fullmatch(r"([a-z]+)(?:-([0-9]{1,6}))?", text.strip())
        if match is None or match[1] not in get_args(Name):
            raise InputError(f"There is no aggregate {text!r}; write {_SYNTAX}.")
        size = int(match[2]) if match[2] else _SIZES.get(match[1], 1)
        if match[2] and match[1] not in _SIZES:
            raise InputError(f"Aggregate {match[1]!r} takes no size; write {_SYNTAX}.")
        return cls(match[1], size)  # pyright: ignore[reportArgumentType]

    def __call__(self, scores: "Float[np.ndarray, ' token'] | list[float]") -> float:
        """The score of an answer.

        Args:
            scores: one a token, in their order.

        Raises:
            InputError: no scores, or scores that are not finite.
        """
        values = np.asarray(scores, dtype=np.float64)
        if values.ndim != 1 or not values.size or not np.isfinite(values).all():
            raise InputError(
                f"An answer is scored by the finite scores of its tokens, at least one; "
                f"{values.size} were given, {int((~np.isfinite(values)).sum())} of them not finite."
            )
        size = min(self.size, values.size)
        if self.name == "mean":
            return float(values.mean())
        if self.name == "rolling":
            return float(np.lib.stride_tricks.sliding_window_view(values, size).mean(axis=1).min())
        return float(np.sort(values)[:size].mean())
