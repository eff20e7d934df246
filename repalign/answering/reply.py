"""Reply: one answer of a model, wherever the model runs; Settings: how answers are drawn."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from repalign.errors import InputError


@dataclass(frozen=True)
class Settings:
    """How answers are drawn; part of what determines them."""

    samples: int = 1
    """Answers to each prompt."""
    temperature: float = 0.0
    """Divides the logits; 0 takes the likeliest token."""
    max_new_tokens: int = 64
    seed: int = 0
    """Of the sampling."""

    def __post_init__(self) -> None:
        """Refuse what can only be a mistake."""
        if self.samples < 1 or self.max_new_tokens < 1 or self.temperature < 0:
            raise InputError(
                "Answers are drawn one or more a prompt, of one token or more, at a temperature of "
                f"0 or above; {self.samples}, {self.max_new_tokens} and {self.temperature} were "
                "given."
            )
        if self.samples > 1 and self.temperature == 0:
            raise InputError(
                f"At temperature 0 all {self.samples} samples would be the same answer. Draw one, "
                "or give a temperature above 0."
            )

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Reply:
    """One answer, or why there is none."""

    text: str | None
    """None where nothing came; see `error`."""
    ids: tuple[int, ...] = ()
    """Its tokens, the one that ended it included; empty where only a server knows them."""
    logprobs: tuple[float, ...] = ()
    """Of each of these tokens, in nats, at temperature 1 whatever it was drawn at."""
    cut: bool = False
    """Whether it had reached the longest length."""
    error: str | None = None
    used: tuple[int, int] = (0, 0)
    """Tokens of the prompt and of the answer that a server counted."""

    def to_json(self) -> dict[str, Any]:
        """As plain data, without what is empty."""
        held = {"text": self.text, "ids": list(self.ids), "logprobs": list(self.logprobs)}
        held |= {"cut": self.cut, "error": self.error, "used": list(self.used)}
        empty = ([], False, None, [0, 0])
        return {name: value for name, value in held.items() if name == "text" or value not in empty}

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> "Reply":
        """Read what `to_json` wrote."""
        used = held.get("used", (0, 0))
        return cls(
            held["text"],
            tuple(held.get("ids", ())),
            tuple(held.get("logprobs", ())),
            held.get("cut", False),
            held.get("error"),
            (used[0], used[1]),
        )
