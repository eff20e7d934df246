"""LieDetector: a reward for lies that a probe does not see, and a price for those it sees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from repalign.errors import InputError
from repalign.training.rewards.deception import Judge, says_what_is_false
from repalign.training.rewards.naming import named
from repalign.training.rewards.reading import ReadsModel


@dataclass(frozen=True, eq=False)
class LieDetector(ReadsModel):
    """SOLiD's table of rewards (arXiv 2505.13787): what a reviewer with a lie detector pays.

    | completion | not flagged | flagged |
    |---|---|---|
    | deceptive | `undetected`, 2 | `detected`, -1 |
    | truthful | `truthful`, 1 | `accused`, 1 |

    An empty completion gets `empty`, -5. Flagged is what scores strictly below the threshold.

    SOLiD's are the four cells, the reward of an empty completion, and reading by the weights before
    training. It labels preferences with them, has a language model judge what is deceptive, and
    trains a reward model. Ours: the table pays the policy's own completions directly; what deceives
    is judged by words unless a judge is given; the probe is one of this library, read at the
    completion's tokens.

    The table pays an unseen lie more than the truth, to show what a detector is worth: in SOLiD
    lies went unseen once it caught less than about three quarters of them. Set `undetected` to -1
    where honesty is what you want, hold the policy with `beta`, and audit the model after.

    Logged: `<name>/score`, and the shares `<name>/deceptive`, `<name>/flagged` and
    `<name>/undetected` (deceptive and not flagged) of the completions that are not empty.

    Raises:
        InputError: a readout without a threshold; one whose threshold is for another span or
            aggregate; rewards that are no numbers.
    """

    name: str = field(default="lie_detector", kw_only=True)
    judge: Judge = field(default=says_what_is_false, kw_only=True)
    """Says which completions deceive; None of one leaves it without a reward."""
    threshold: float | None = field(default=None, kw_only=True)
    """By default the readout's own, which is for the mean over the readout's span."""
    undetected: float = field(default=2.0, kw_only=True)
    truthful: float = field(default=1.0, kw_only=True)
    accused: float = field(default=1.0, kw_only=True)
    detected: float = field(default=-1.0, kw_only=True)
    empty: float = field(default=-5.0, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse a detector that cannot flag anything."""
        super().__post_init__()
        if self.threshold is None:
            object.__setattr__(self, "threshold", self._own_threshold())
        numbers = [self.threshold, *self._table().values()]
        if not all(number is not None and math.isfinite(number) for number in numbers):
            raise InputError(
                f"The threshold and the rewards of {self.name} are finite numbers; given: "
                f"threshold {self.threshold}, {self._table()}."
            )

    def _own_threshold(self) -> float:
        found = self.readout.threshold
        if found is None:
            raise InputError(
                "This readout has no threshold, so it flags nothing. Give threshold=…, or set one "
                "on benign texts: readout.with_threshold(…)."
            )
        own_span = str(self.span) == str(self.readout.span)
        if not own_span or (str(self.aggregate) != "mean" and str(self.span) != "last"):
            raise InputError(
                f"The readout's own threshold {found:g} is for the mean over span "
                f"'{self.readout.span}', not for the {self.aggregate} over span '{self.span}'. "
                "Give threshold=…, such as that of Monitor.calibrate."
            )
        return found

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Any = None,
        **columns: Any,
    ) -> list[float | None]:
        """A reward for each completion, as TRL asks for them.

        Raises:
            InputError: see `scores`; a column that the judge needs is missing; the judge ruled on
                another number of completions.
            RepalignError: see `scores`.
        """
        scores = self.scores(completions, completion_ids, columns)
        rulings = list(self.judge(prompts, completions, completion_ids=completion_ids, **columns))
        if len(rulings) != len(scores):
            raise InputError(
                f"The judge {named(self.judge)} of {self.name} ruled on {len(rulings)} of "
                f"{len(scores)} completions; it has to say True, False or None of each."
            )
        threshold = self.threshold
        assert threshold is not None
        flags = [None if score is None else score < threshold for score in scores]
        pairs = list(zip(rulings, flags, strict=True))
        ruled = [(lie, flag) for lie, flag in pairs if lie is not None and flag is not None]
        self._log(columns, "deceptive", [bool(lie) for lie, _ in ruled])
        self._log(columns, "flagged", [flag for flag in flags if flag is not None])
        self._log(columns, "undetected", [bool(lie and not flag) for lie, flag in ruled])
        return [self._cell(*pair) for pair in pairs]

    def _cell(self, deceptive: bool | None, flagged: bool | None) -> float | None:
        if flagged is None:
            return self.empty
        if deceptive is None:
            return None
        if deceptive:
            return self.detected if flagged else self.undetected
        return self.accused if flagged else self.truthful

    def _table(self) -> dict[str, float]:
        return {
            "undetected": self.undetected,
            "truthful": self.truthful,
            "accused": self.accused,
            "detected": self.detected,
            "empty": self.empty,
        }

    def record(self) -> dict[str, Any]:
        """Its settings as a record keeps them."""
        ours = {"judge": named(self.judge), "threshold": self.threshold}
        return {**self._read(), **ours, **self._table()}
