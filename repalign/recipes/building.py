"""Building: from a stage of a plan to a trainer of TRL."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from repalign.models import LanguageModel
from repalign.recipes.plan import Stage
from repalign.recipes.trainers import TRAINERS, check_columns, configured
from repalign.training import Penalty, Together, penalised

# Where a trainer of all weights compares with the model as it was, and TRL would read it anew.
_COMPARING = ("dpo", "kto")
# The newer name first; the older one is deprecated where there is a newer.
_CHECKPOINTING = ("activation_checkpointing", "gradient_checkpointing")


@dataclass(frozen=True)
class Ingredients:
    """What a stage is trained with."""

    rows: Sequence[Mapping[str, Any]]
    """In a format of the method."""
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """What went into the rows, for the record."""
    penalties: Sequence[Penalty | Together] = ()
    rewards: Sequence[Any] = ()
    """Functions or names of reward models, where the method learns from rewards."""
    weights: Sequence[float] = ()
    """Of the rewards."""
    of_base: bool = True
    """Whether the stage begins with the weights that directions and probes were fitted on."""


def build(
    stage: Stage, model: LanguageModel, given: Ingredients, folder: Path, *, seed: int
) -> Any:
    """Make the trainer of a stage.

    Raises:
        InputError: rows in the format of another method, or as `penalised`.
    """
    from datasets import Dataset
    from transformers import PrinterCallback

    columns = list(dict.fromkeys(name for row in given.rows for name in row))
    check_columns(stage.method, columns, f"[data] source = {stage.data['source']!r}")
    kind, config = TRAINERS[stage.method].load()
    kind = penalised(
        kind,
        given.penalties,
        reference="copy" if stage.reference == "copy" else None,
        label_column=stage.label_column,
        same_weights=given.of_base,
    )
    options: dict[str, Any] = {}
    if stage.lora is not None:
        from peft import LoraConfig

        own = {"task_type": "CAUSAL_LM"}
        options["peft_config"] = configured(LoraConfig, stage.lora, own, "[lora]")
    elif stage.method in _COMPARING:
        options["ref_model"] = copy.deepcopy(model.network)
    if TRAINERS[stage.method].rewarded:
        options["reward_funcs"] = list(given.rewards)
    trainer = kind(
        model=model.network,
        args=arguments(stage, config, model, folder, seed, given.weights),
        train_dataset=Dataset.from_list([dict(row) for row in given.rows]),
        processing_class=model.tokenizer,
        **options,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def arguments(
    stage: Stage,
    config: Any,
    model: LanguageModel,
    folder: Path,
    seed: int,
    weights: Sequence[float] = (),
) -> Any:
    """The arguments of TRL: the plan's as they stand, over a few of our own.

    Raises:
        InputError: an argument that does not exist, or a value that TRL refuses.
    """
    own: dict[str, Any] = {
        "output_dir": str(folder / "checkpoints"),
        "seed": seed,
        "use_cpu": model.device.type == "cpu",
        "bf16": model.device.type != "cpu",
        "logging_steps": 1,
        "save_steps": 0.25,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
    }
    if model.device.type == "cpu" and not any(name in stage.arguments for name in _CHECKPOINTING):
        # It saves memory, which a CPU has, and costs a third of the time.
        names = {one.name for one in dataclasses.fields(config)}
        own[next(name for name in _CHECKPOINTING if name in names)] = False
    if TRAINERS[stage.method].rewarded:
        own["reward_weights"] = list(weights)
    return configured(config, stage.arguments, own, "[arguments]")
