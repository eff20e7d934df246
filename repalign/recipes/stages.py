"""One stage of a plan: a network in, a trained one out, and everything in between on disk."""

import json
import time
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repalign.answering.asking import Progress
from repalign.errors import InputError
from repalign.models import LanguageModel
from repalign.models.embedded import quiet_transformers
from repalign.recipes.building import Ingredients, build
from repalign.recipes.plan import Stage
from repalign.storage import digest, read_json, read_record, write_atomic, write_json

_FORMAT = "repalign.stage/1"
_DONE = "stage.json"
_ROWS = "rows.jsonl"


@dataclass(frozen=True)
class Trained:
    """What came of a stage."""

    model: LanguageModel
    record: Mapping[str, Any]
    """Method, rows, steps, the log of the trainer, and what the penalties were."""


def settle(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of a stage into its folder, or see that they are those which it holds.

    Raises:
        InputError: a training was begun there with other rows.
    """
    path = folder / _ROWS
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if not path.is_file():
        write_atomic(path, content)
    elif path.read_bytes() != content:
        raise InputError(
            f"{folder} was begun with other rows than these {len(rows)}: {path} holds them. A "
            "training goes on with the rows it began with; put the data back, or begin anew in "
            "another folder."
        )


def finished(folder: Path) -> bool:
    """Whether a stage came to its end."""
    return (folder / _DONE).is_file()


def reload(stage: Stage, folder: Path, model: LanguageModel) -> Trained:
    """What a finished stage gave, read from its folder.

    Args:
        stage: which.
        folder: of the stage.
        model: the one that the stage began from; an adapter is put into it.
    """
    record = read_record(folder / _DONE, _FORMAT)
    where = str(folder / "trained")
    if stage.lora is None:
        loaded = LanguageModel.load(where, dtype=model.dtype, device=model.device)
        return Trained(_named(loaded.network, model, stage), record)
    from peft import PeftModel

    return Trained(_named(PeftModel.from_pretrained(model.network, where), model, stage), record)


def train(
    stage: Stage,
    model: LanguageModel,
    given: Ingredients,
    folder: Path,
    *,
    base: str,
    seed: int,
    progress: Progress,
) -> Trained:
    """Train, or go on from the last checkpoint in the folder.

    Args:
        stage: what to do.
        model: what to begin from; its network is trained in place.
        given: what to train with.
        folder: for checkpoints, the trained weights and the record.
        base: what an adapter names as its base.
        seed: of the order of rows and of sampling.
        progress: called with steps done and their number.

    Returns:
        The trained model, in evaluation mode.

    Raises:
        InputError: rows in the format of another method, or as `penalised`.
        RepalignError: the loss is no longer finite.
    """
    began = time.monotonic()
    with _quiet():
        trainer = build(stage, model, given, folder, seed=seed)
        trainer.add_callback(_reporting(progress))
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
        _save(trainer, stage, folder / "trained", base)
    record = {
        "format": _FORMAT,
        "name": stage.name,
        "method": stage.method,
        "rows": len(given.rows),
        "data": {"fingerprint": digest([dict(row) for row in given.rows]), **given.counts},
        "steps": trainer.state.global_step,
        "seconds": round(time.monotonic() - began, 1),
        "penalties": trainer.penalty_record,
        "log": [_numbers(entry) for entry in trainer.state.log_history],
    }
    if trainer.accelerator.is_main_process:
        write_json(folder / _DONE, record)
    trainer.accelerator.wait_for_everyone()
    return Trained(_named(trainer.accelerator.unwrap_model(trainer.model), model, stage), record)


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint; one that was being written when the process died is none."""
    found = [
        path
        for path in (folder / "checkpoints").glob("checkpoint-*")
        if (path / "trainer_state.json").is_file()
    ]
    newest = max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    return None if newest is None else str(newest)


def _save(trainer: Any, stage: Stage, folder: Path, base: str) -> None:
    trainer.save_model(str(folder))
    if stage.lora is not None and trainer.accelerator.is_main_process:
        # So that the folder can be loaded by its name: the embedded model lies in a cache.
        path = folder / "adapter_config.json"
        write_json(path, {**read_json(path), "base_model_name_or_path": base})


def _named(network: Any, began: LanguageModel, stage: Stage) -> LanguageModel:
    return LanguageModel(
        network,
        began.tokenizer,
        f"{began.name}+{stage.name}",
        began.revision,
        began.allow_failed,
    )


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """Without the bars of libraries, beside which ours could not be read, and their warnings.

    TRL, PEFT and transformers deprecate names that the others use; who writes a plan can do nothing
    about it.
    """
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings(), quiet_transformers():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _reporting(progress: Progress) -> Any:
    from transformers import TrainerCallback

    class Reporting(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            progress(state.global_step, state.max_steps)

    return Reporting()


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in entry.items() if isinstance(value, int | float)}


def merged(model: LanguageModel, folder: Path) -> LanguageModel:
    """The adapter of a stage put into the weights, for a stage that follows.

    Saved, so that a trainer which reads its reference anew finds these weights and not the base's.

    Raises:
        InputError: nothing to merge.
    """
    network = model.network
    if not hasattr(network, "merge_and_unload"):
        return model
    whole = LanguageModel(
        network.merge_and_unload(),
        model.tokenizer,
        model.name,
        model.revision,
        model.allow_failed,
    )
    where = folder / "merged"
    whole.save(where)
    whole.network.config._name_or_path = str(where)
    return whole
