"""What one of several processes does: train the toy a little, and write what came of it."""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import trainers as tr
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.fsdp import fully_shard

from repalign.sites import Site
from repalign.training import Projection, Retain, delta

# Kind of trainer, with an adapter or without.
CASES = {
    "ddp": [("dpo", True), ("dpo", False), ("sft", False), ("kto", True)],
    "fsdp": [("dpo", True), ("dpo", False), ("sft", False)],
}


def trainer(kind: str, lora: bool, folder: Path, rows: int, **settings: Any) -> Any:
    """Two steps, each of so many rows in this process."""
    penalties = [
        delta([tr.random(), tr.random(1)], auto_weight=0.5, margin=1.0),
        Projection(tr.random(), 0.5, 3.0, label=1, span="completion"),
        Retain((), 0.1, Site(3)),
    ]
    options: dict[str, Any] = {"label_column": "label" if kind == "kto" else "honest"}
    if kind == "sft":
        options["reference"] = "copy"
    data = [{**row, "honest": index % 2} for index, row in enumerate(tr.rows(kind))]
    torch.manual_seed(0)
    return tr.trainer(
        kind,
        folder,
        penalties,
        tr.LORA if lora else None,
        steps=2,
        data=data,
        options=options,
        per_device_train_batch_size=rows,
        learning_rate=0.02,
        **settings,
    )


def _whole(part: Any) -> Tensor:
    found = part.full_tensor() if hasattr(part, "full_tensor") else part
    return found.detach().clone().contiguous()


def weights(made: Any) -> dict[str, Tensor]:
    """All of them, put together from the parts of the processes."""
    network = made.accelerator.unwrap_model(made.model)
    return {name: _whole(weight) for name, weight in network.named_parameters()}


def gradients(made: Any, rows: list[int]) -> dict[str, Tensor]:
    """Of one loss on these rows in this process."""
    found = {**tr.batch(made, "sft", rows), "repalign_label": torch.tensor(rows) % 2}
    made.model.train()
    made.compute_loss(made.model, found).backward()
    named = made.model.named_parameters()
    return {name: _whole(weight.grad) for name, weight in named if weight.grad is not None}


def _shard(network: Any) -> None:
    base = network.get_base_model() if hasattr(network, "peft_config") else network
    for layer in base.model.layers:
        fully_shard(layer)
    fully_shard(network)


def _run(mode: str, kind: str, lora: bool, folder: Path) -> tuple[Any, dict[str, Tensor], Any]:
    made = trainer(kind, lora, folder, 2, ddp_backend="gloo")
    if mode == "ddp":
        made.train()
        return made, weights(made), made.state.log_history
    # Accelerate splits a model itself only on accelerators.
    rank = made.args.process_index
    _shard(made.model)
    if made._reference.separate is not None:
        _shard(made._reference.separate)
    found = gradients(made, [2 * rank, 2 * rank + 1])
    assert all(hasattr(weight, "full_tensor") for weight in made.model.parameters())
    return made, found, [tr.logged(made)]


def main(mode: str, folder: Path) -> None:
    """Run every case and write it, from the first process."""
    warnings.filterwarnings("ignore")
    for kind, lora in CASES[mode]:
        made, found, history = _run(mode, kind, lora, folder)
        if made.accelerator.is_main_process:
            save_file(found, folder / f"{kind}-{lora}.safetensors")
            text = json.dumps([history, made.penalty_record["measured"]])
            (folder / f"{kind}-{lora}.json").write_text(text)
        made.accelerator.wait_for_everyone()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
