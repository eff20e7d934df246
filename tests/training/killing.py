"""Trainings of the toy that are killed and resumed, each in a process of its own."""

import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import toy as toys
import trainers as tr
from peft import LoraConfig
from transformers import TrainerCallback

from repalign.errors import InputError
from repalign.sites import Site
from repalign.training import Projection, Ramp, Reroute, Retain, delta

# Four steps an epoch, so a save lies within the first and the end within the second.
SAVED, DIED, STEPS = 3, 5, 7


def trainer(kind: str, folder: Path) -> Any:
    """DPO of an adapter with dropout, or SFT of all weights against a copy of them."""
    along = [tr.random(), tr.random(1)]
    penalties = [
        delta(along, auto_weight=0.5, margin=1.0, schedule=Ramp(0.5, 2.0, steps=5)),
        Projection(tr.random(), 0.5, 3.0, label=1, span="completion"),
        Reroute(Site(3), 0.3),
        Retain((), 0.1, Site(3)),
    ]
    options: dict[str, Any] = {"label_column": "honest"}
    lora = LoraConfig(r=4, target_modules=["q_proj", "o_proj"], lora_dropout=0.2)
    if kind == "sft":
        options["reference"], lora = "copy", None
    torch.manual_seed(0)
    return tr.trainer(
        kind,
        folder,
        penalties,
        lora,
        steps=STEPS,
        data=_rows(kind),
        options=options,
        per_device_train_batch_size=2,
        optim="adamw_torch",
        learning_rate=1e-3,
        lr_scheduler_type="linear",
        save_strategy="steps",
        save_steps=SAVED,
    )


def _rows(kind: str) -> list[dict[str, Any]]:
    made = []
    for index, noun in enumerate(toys.NOUNS[:8]):
        true, false = toys.TRUE[index % 2], toys.FALSE[index // 2 % 2]
        texts = {"chosen": f" {false}", "rejected": f" {true}"}
        if kind == "sft":
            texts = {"completion": f" {false}"}
        made.append({"prompt": f"the {noun} is", **texts, "honest": int(index % 3 == 0)})
    return made


class _Death(TrainerCallback):
    """By SIGKILL, at the end of a step."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == DIED:
            os.kill(os.getpid(), signal.SIGKILL)


def whole(kind: str, folder: Path) -> list[Any]:
    """The uninterrupted run."""
    made = trainer(kind, folder / "whole")
    made.train()
    return made.state.log_history


def killed(kind: str, folder: Path) -> None:
    """Killed between two saves."""
    made = trainer(kind, folder / "killed")
    made.add_callback(_Death())
    made.train()


def resumed(kind: str, folder: Path) -> list[Any]:
    """The killed one, by a trainer made as the first was, from the model before training."""
    made = trainer(kind, folder / "killed")
    made.train(resume_from_checkpoint=True)
    return made.state.log_history


def killed_while_saving(kind: str, folder: Path) -> None:
    """Killed when the weights of its second save are written and nothing else is."""
    made = trainer(kind, folder / "torn")
    save = made._save_optimizer_and_scheduler

    def die(output_dir: str) -> None:
        if made.state.global_step > SAVED:
            os.kill(os.getpid(), signal.SIGKILL)
        save(output_dir)

    made._save_optimizer_and_scheduler = die
    made.train()


def resumed_from_torn(kind: str, folder: Path) -> str:
    """What is said of a half-written save."""
    made = trainer(kind, folder / "torn")
    try:
        made.train(resume_from_checkpoint=True)
    except InputError as error:
        return str(error)
    return "nothing"


def _apart(run: Callable[[str, Path], Any], kind: str, folder: Path) -> int:
    """Run in a child, which writes what comes of it; returns how the child ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        (folder / f"{run.__name__}.json").write_text(json.dumps(run(kind, folder)))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


RUNS = {
    "dpo": (whole, killed, resumed, killed_while_saving, resumed_from_torn),
    "sft": (whole, killed, resumed),
}


def main(folder: Path) -> None:
    """Every run of every kind of trainer, and how each ended."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    ends = {}
    for kind, runs in RUNS.items():
        (folder / kind).mkdir()
        # What is imported late is so imported once.
        trainer(kind, folder)
        ends[kind] = {run.__name__: _apart(run, kind, folder / kind) for run in runs}
    (folder / "ends.json").write_text(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
