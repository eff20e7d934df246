"""ProbeReward: the score of a probe as a reward."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from repalign.errors import InputError
from repalign.training.rewards.reading import ReadsModel


@dataclass(frozen=True, eq=False)
class ProbeReward(ReadsModel):
    """The probe's score of a completion, kept within `±clip`; higher is honest.

    A policy that is paid for a score learns to score, in its words or in its states
    (RL-Obfuscation, arXiv 2506.14261). In the Obfuscation Atlas (2602.15515) a score as reward, as
    here, bred evasion by words, and gradients through the probe evasion by states. Those put the
    score beside a reward for the task, as `Combined` does; the clipped score by itself is ours.
    Keep the probes that report on the model apart from this one, and hold the policy with `beta`.

    Logged: `<name>/score`, before it is clipped.

    Raises:
        InputError: a clip that is not above 0.
    """

    name: str = field(default="probe_reward", kw_only=True)
    clip: float = field(default=10.0, kw_only=True)
    """In units of the probe's score."""
    empty: float | None = field(default=None, kw_only=True)
    """Of a completion without words; by default the lowest, `-clip`."""

    def __post_init__(self) -> None:
        """Refuse a clip that would leave nothing."""
        super().__post_init__()
        if not (math.isfinite(self.clip) and self.clip > 0):
            raise InputError(f"The clip of {self.name} is a number above 0; given: {self.clip}.")
        if self.empty is None:
            object.__setattr__(self, "empty", -self.clip)

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Any = None,
        **columns: Any,
    ) -> list[float | None]:
        """A reward for each completion, as TRL asks for them.

        Raises:
            InputError: see `scores`.
            RepalignError: see `scores`.
        """
        scores = self.scores(completions, completion_ids, columns)
        return [
            self.empty if score is None else min(max(score, -self.clip), self.clip)
            for score in scores
        ]

    def record(self) -> dict[str, Any]:
        """Its settings as a record keeps them."""
        return {**self._read(), "clip": self.clip, "empty": self.empty}
