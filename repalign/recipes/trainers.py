"""Trainers: the trainers of TRL by the names that plans use, and the columns they need."""

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from repalign.errors import InputError, MissingExtraError, unknown

Form = tuple[str, ...]
OWN = MappingProxyType(
    {
        "output_dir": "the run's folder, which --out names",
        "resume_from_checkpoint": "`repalign train --resume FOLDER`",
        "seed": "`seed` at the top of the plan",
        "use_cpu": "--device",
    }
)
"""Arguments of TRL that a plan leaves out, and what takes their place."""


@dataclass(frozen=True)
class Trainer:
    """One trainer of TRL."""

    module: str
    prefix: str
    forms: tuple[Form, ...]
    """Each a set of columns that is enough."""
    rewarded: bool = False
    """Whether it generates, and learns from rewards."""

    def load(self) -> tuple[Any, Any]:
        """Its class and the class of its config.

        Raises:
            MissingExtraError: TRL is not installed.
        """
        try:
            module = importlib.import_module(self.module)
        except ImportError as error:
            raise MissingExtraError(
                "Training needs the packages trl and peft. Install them with: "
                "pip install 'repalign[train]'"
            ) from error
        return getattr(module, f"{self.prefix}Trainer"), getattr(module, f"{self.prefix}Config")


_PAIRS: tuple[Form, ...] = (("chosen", "rejected"),)
TRAINERS: Mapping[str, Trainer] = MappingProxyType(
    {
        "sft": Trainer("trl", "SFT", (("prompt", "completion"), ("messages",), ("text",))),
        "dpo": Trainer("trl", "DPO", _PAIRS),
        "kto": Trainer("trl", "KTO", (("prompt", "completion", "label"), *_PAIRS)),
        "orpo": Trainer("trl.experimental.orpo", "ORPO", _PAIRS),
        "cpo": Trainer("trl.experimental.cpo", "CPO", _PAIRS),
        "grpo": Trainer("trl", "GRPO", (("prompt",),), rewarded=True),
        "rloo": Trainer("trl", "RLOO", (("prompt",),), rewarded=True),
    }
)


def check_columns(method: str, columns: Sequence[str], source: str) -> None:
    """Refuse rows that are in the format of another method.

    Raises:
        InputError: it says which columns there are, which the method needs, and which methods
            these rows would do for.
    """
    if any(set(form) <= set(columns) for form in TRAINERS[method].forms):
        return
    needed = ", or ".join(" + ".join(form) for form in TRAINERS[method].forms)
    fitting = [
        name
        for name, trainer in TRAINERS.items()
        if any(set(form) <= set(columns) for form in trainer.forms)
    ]
    others = f" These columns do for {', '.join(fitting)}." if fitting else ""
    raise InputError(
        f"{source} has the columns {', '.join(columns)}; method {method} needs {needed}.{others}"
    )


def check_arguments(given: Mapping[str, Any], kind: Any, what: str) -> None:
    """Refuse arguments that a config of TRL or PEFT does not have, or that are not a plan's.

    Raises:
        InputError: it names the nearest argument.
    """
    allowed = [one.name for one in dataclasses.fields(kind) if one.init]
    for name in given:
        if name in OWN:
            raise InputError(f"{what}: `{name}` is not a plan's to set; that is {OWN[name]}.")
        if name not in allowed:
            raise unknown(f"argument of {kind.__name__}", name, allowed)


def configured(kind: Any, given: Mapping[str, Any], own: Mapping[str, Any], what: str) -> Any:
    """Make a config of TRL or PEFT; what is wrong with a value is said in its own words.

    Raises:
        InputError: an argument that does not exist, or a value that the config refuses.
    """
    check_arguments(given, kind, what)
    try:
        return kind(**{**own, **given})
    except (ValueError, TypeError, ImportError) as error:
        raise InputError(f"{what}: {kind.__name__} refuses these arguments: {error}") from error
