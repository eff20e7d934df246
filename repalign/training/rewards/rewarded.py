"""Rewarded: a trainer whose rewards read the model that it trains."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from torch import nn

from repalign.errors import InputError
from repalign.training.references import Given, Reference
from repalign.training.rewards.combined import Combined, attached, recorded
from repalign.training.rewards.generated import Generated
from repalign.training.rewards.naming import short
from repalign.training.rewards.reading import ReadsModel


class Rewarded:
    """Goes ahead of a trainer of TRL, and shows its rewards the tokens that it generated."""

    generated: Generated | None = None
    """The batch generated last, of trainers that generate."""
    same_weights: bool
    _given: Given
    _before: Reference | None
    # The trainer's own.
    reward_funcs: list[Any]
    reward_func_names: list[str]

    def before_training(self, needed_by: str) -> Reference:
        """The model before training: one for all penalties and rewards that ask for it.

        Args:
            needed_by: name of what asks.

        Raises:
            InputError: there is none.
        """
        if self._before is None:
            self._before = Reference(self, self._given, needed_by)
        return self._before

    def _attach_rewards(self) -> None:
        ours = {short(one) for one in self.reward_funcs if _has_record(one)}
        counts = Counter(self.reward_func_names)
        twice = sorted(name for name in ours if counts[name] > 1)
        if twice:
            raise InputError(
                f"Two rewards are named {twice[0]!r}, and logs would mix them. Give one of them "
                "another name=…."
            )
        # A new list: the one that the user gave may be given to another trainer too.
        self.reward_funcs = [attached(one, self) for one in self.reward_funcs]

    def _reward_records(self) -> list[dict[str, Any]]:
        """The records of all rewards, where any keeps one."""
        rewards = getattr(self, "reward_funcs", [])
        return [recorded(one) for one in rewards] if any(map(_has_record, rewards)) else []

    def _probing_rewards(self) -> list[str]:
        """Names of the rewards that read the model."""
        return [one.name for one in _flat(getattr(self, "reward_funcs", []))]

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        base: Any = super()
        result = base._generate(*args, **kwargs)
        self.generated = Generated.of(result)
        return result


def _has_record(reward: Any) -> bool:
    return not isinstance(reward, nn.Module) and hasattr(reward, "record")


def _flat(rewards: Sequence[Any]) -> list[ReadsModel]:
    found: list[ReadsModel] = []
    for one in rewards:
        if isinstance(one, Combined):
            found += _flat(one.parts)
        elif isinstance(one, ReadsModel):
            found.append(one)
    return found
