"""Calibration: a threshold for answers, set on benign ones, and what it rests on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from repalign.errors import InputError
from repalign.metrics import Estimate, threshold_at
from repalign.monitoring.watched import Watched

_ORDINARY = 0.95
"""Share of benign tokens that lie within `token_spread` of their median."""


@dataclass(frozen=True)
class Calibration:
    """Thresholds that flag at most a share `fpr` of benign answers, and of their tokens."""

    fpr: float
    """What was asked for."""
    threshold: float
    """Answers whose aggregate lies strictly below it are flagged."""
    flagged: float
    """The share of the benign answers that it flags; at most `fpr`."""
    expected: Estimate
    """The share that it will flag of other answers like them."""
    n: int
    """Benign answers that it was set on."""
    generated: int
    """How many of them the model wrote itself."""
    span: str
    aggregate: str
    token_threshold: float
    """Single tokens that score strictly below it are rarer than `fpr` among benign tokens."""
    tokens: int
    """Benign tokens that it was set on; those of one answer depend on each other."""
    token_median: float
    """The score of an ordinary token, for colours."""
    token_spread: float
    """95% of benign tokens lie within `token_median ± token_spread`."""

    @classmethod
    def of(
        cls, watched: Sequence[Watched], fpr: float, span: str, aggregate: str, generated: int = 0
    ) -> "Calibration":
        """Set thresholds on answers that nobody should flag.

        With k of n answers flagged at most, the chance to flag another one is `(k + 1) / (n + 1)`,
        and Beta(k + 1, n - k) over calibrations, whatever the scores' distribution; with ties it is
        less. So 1% of 100 answers is 2% of the next ones.

        Args:
            watched: benign answers; those in which no token counts are left out.
            fpr: the share of them that may be flagged.
            span: which tokens count.
            aggregate: how they become one score.
            generated: how many the model wrote itself.

        Raises:
            InputError: no answers, or a rate outside 0 to 1.
        """
        answers = [one for one in watched if one.score is not None]
        if not answers:
            raise InputError(
                f"A threshold is set on benign answers with words; of {len(watched)} given, none "
                "has any."
            )
        scores = np.array([one.score for one in answers], dtype=np.float64)
        tokens = np.array([t.score for one in answers for t in one.tokens if t.counted])
        threshold, n = threshold_at(scores, fpr), len(scores)
        # As `threshold_at` counts them: the slack is for shares such as 0.29 of 100.
        k = min(int(np.floor(fpr * n + 1e-9)), n - 1)
        low, high = beta.ppf([0.025, 0.975], k + 1, n - k)
        median = float(np.median(tokens))
        return cls(
            fpr=fpr,
            threshold=threshold,
            flagged=float(np.mean(scores < threshold)),
            expected=Estimate((k + 1) / (n + 1), float(low), float(high), n),
            n=n,
            generated=generated,
            span=span,
            aggregate=aggregate,
            token_threshold=threshold_at(tokens, fpr),
            tokens=len(tokens),
            token_median=median,
            token_spread=float(np.quantile(np.abs(tokens - median), _ORDINARY)),
        )

    def check(self, threshold: float, aggregate: str, span: str) -> None:
        """Refuse another threshold than the one that was set, and another use of it.

        Raises:
            InputError: the threshold, the aggregate or the span differ.
        """
        if (threshold, aggregate, span) != (self.threshold, self.aggregate, self.span):
            raise InputError(
                f"The threshold {self.threshold:g} was calibrated for the {self.aggregate} over "
                f"span '{self.span}', not for the {aggregate} over span '{span}' with "
                f"{threshold:g}. Call calibrate() anew."
            )

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)
