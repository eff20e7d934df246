"""Combined: a weighted sum of rewards that counts as one."""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from repalign.errors import InputError
from repalign.training.rewards.naming import named, short
from repalign.training.rewards.reward_model import RewardModel

Reward = Callable[..., Sequence[float | None]]
"""Takes what TRL hands to a reward function, `(prompts, completions, **columns)`."""


@dataclass(frozen=True, eq=False)
class Combined:
    """The weighted sum of rewards: ours, any function that TRL takes, or reward models.

    TRL's own way, a list of `reward_funcs` with `reward_weights`, works with ours too and logs each
    by name. This is for one number where a trainer or a plan wants one; the parts are logged as
    `<name>/<part>`. As in TRL a part that gives None for a completion takes no part in its sum, and
    a completion to which all give None has no reward.

    Raises:
        InputError: no part, another number of weights, weights that are no numbers, a function
            that is `async`, or a reward model without its tokenizer.

    Example:
        >>> from repalign.training import KnowledgeAware
        >>> def short_ones(prompts, completions, **columns):
        ...     return [1.0 - len(one) / 10 for one in completions]
        >>> both = Combined((KnowledgeAware(), short_ones), (1.0, 0.5))
        >>> both(["Capital of France?"], ["Paris"], answers=[["Paris"]], known=[1])
        [1.25]
    """

    parts: Sequence[Reward | RewardModel]
    """Rewards; a network with its tokenizer as `RewardModel(network, tokenizer)`."""
    weights: Sequence[float] | None = None
    """One a part; all 1 by default."""
    name: str = "combined"
    """What logs call it: `rewards/<name>/mean`."""

    def __post_init__(self) -> None:
        """Refuse what cannot be added up."""
        parts = tuple(self.parts)
        weights = tuple(float(one) for one in self.weights or (1.0,) * len(parts))
        if not parts or len(weights) != len(parts):
            raise InputError(
                f"A combined reward takes at least one part and a weight for each; {len(parts)} "
                f"parts and {len(weights)} weights were given."
            )
        if not all(math.isfinite(weight) for weight in weights):
            raise InputError(f"The weights of rewards are finite numbers; given: {weights}.")
        for part in parts:
            if isinstance(part, nn.Module) or not callable(part):
                raise InputError(
                    f"{part!r:.60} is no reward function. Give a function, or a reward model with "
                    "its tokenizer: RewardModel(network, tokenizer), RewardModel.load(source)."
                )
            if any(map(inspect.iscoroutinefunction, (part, getattr(part, "__call__", None)))):  # noqa: B004
                raise InputError(
                    f"{named(part)} is async. Give it to the trainer itself, which runs such "
                    "functions side by side: reward_funcs=[…], reward_weights=[…]."
                )
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "weights", weights)

    @property
    def __name__(self) -> str:
        """What TRL logs it as."""
        return self.name

    @property
    def _weighted(self) -> list[tuple[float, Any]]:
        return list(zip(self.weights or (), self.parts, strict=True))

    def attach(self, trainer: Any) -> "Combined":
        """The same, with the parts attached to a trainer that have to be."""
        return replace(self, parts=tuple(attached(part, trainer) for part in self.parts))

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        """The sum for each completion.

        Raises:
            InputError: a part gives another number of rewards than there are completions.
        """
        sums: list[float | None] = [None] * len(completions)
        for weight, part in self._weighted:
            found = list(part(prompts=prompts, completions=completions, **columns))
            if len(found) != len(completions):
                raise InputError(
                    f"{named(part)} gives {len(found)} rewards for {len(completions)} completions; "
                    "a reward function gives one for each, or None."
                )
            self._log(columns, short(part), [float(one) for one in found if one is not None])
            for place, value in enumerate(found):
                if value is not None and not math.isnan(value):
                    sums[place] = (sums[place] or 0.0) + weight * float(value)
        return sums

    def _log(self, columns: dict[str, Any], part: str, values: Sequence[float]) -> None:
        log = columns.get("log_metric")
        if log is not None and values:
            log(f"{self.name}/{part}", sum(values) / len(values))

    def record(self) -> dict[str, Any]:
        """Its parts and their weights as a record keeps them."""
        parts = [{"weight": weight, **recorded(part)} for weight, part in self._weighted]
        return {"reward": type(self).__name__, "name": self.name, "parts": parts}


def attached(reward: Any, trainer: Any) -> Any:
    """A reward in the form in which it belongs to a trainer; itself where it needs none."""
    attach = None if isinstance(reward, nn.Module) else getattr(reward, "attach", None)
    return reward if attach is None else attach(trainer)


def recorded(reward: Any) -> dict[str, Any]:
    """What a record keeps of a reward: of a plain function, where it comes from."""
    record = None if isinstance(reward, nn.Module) else getattr(reward, "record", None)
    return {"reward": named(reward)} if record is None else record()
