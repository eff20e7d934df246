"""Shading: the colour of a token, by its score or by its probability."""

import math
from dataclasses import dataclass

from repalign.errors import InputError
from repalign.reports.tokens import colour

# As series-6 of the reports, as strong as scores at most.
_PURPLE, _STRONGEST = "122,81,149", 0.6


@dataclass(frozen=True)
class Shading:
    """Which scores have no colour, and which have full colour.

    0 lies half-way between the texts that the probe was fitted on, and scores of chats may all lie
    far to one side of it. So the middle is an ordinary token of benign answers, and a colour says
    how far from that a token is.
    """

    middle: float
    """The score without colour."""
    limit: float
    """Full colour at `middle ± limit`: blue above, vermilion below."""

    def __post_init__(self) -> None:
        """Refuse a range in which nothing can be told apart."""
        if not (math.isfinite(self.middle) and 0 < self.limit < math.inf):
            raise InputError(
                f"Colours need a finite middle and a positive range; {self.middle} ± {self.limit} "
                "was given."
            )

    @property
    def low(self) -> float:
        """The score of full vermilion."""
        return self.middle - self.limit

    @property
    def high(self) -> float:
        """The score of full blue."""
        return self.middle + self.limit

    def of_score(self, score: float) -> str:
        """The background of a token by its score, as CSS.

        Example:
            >>> Shading(1.0, 2.0).of_score(-1.0), Shading(1.0, 2.0).of_score(2.0)
            ('rgba(213,94,1,0.60)', 'rgba(0,114,179,0.30)')
        """
        return colour(score - self.middle, self.limit)

    @staticmethod
    def of_probability(probability: float) -> str:
        """The background of a token by its probability: the less probable, the stronger.

        Example:
            >>> Shading.of_probability(1.0), Shading.of_probability(0.5)
            ('rgba(122,81,149,0.00)', 'rgba(122,81,149,0.30)')
        """
        return f"rgba({_PURPLE},{_STRONGEST * (1 - probability):.2f})"
