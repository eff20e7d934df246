"""Tiny trainers of every kind that can be penalised, on the toy model."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import toy as toys
from datasets import Dataset
from peft import LoraConfig
from torch import Tensor
from transformers import LlamaForSequenceClassification

from repalign.directions import Direction
from repalign.sites import Site
from repalign.training import penalised

_HOMES = {
    "sft": ("trl", "SFT"),
    "dpo": ("trl", "DPO"),
    "kto": ("trl", "KTO"),
    "reward": ("trl", "Reward"),
    "grpo": ("trl", "GRPO"),
    "rloo": ("trl", "RLOO"),
    "orpo": ("trl.experimental.orpo", "ORPO"),
    "cpo": ("trl.experimental.cpo", "CPO"),
}
KINDS = tuple(_HOMES)
PAIRED = ("dpo", "reward", "orpo", "cpo")
GENERATING = ("grpo", "rloo")
LORA = LoraConfig(r=4, target_modules=["q_proj", "o_proj", "down_proj"], init_lora_weights=False)
# Four rows whose texts have the same number of tokens; the completion is a marker and `</s>`.
PAIRS = [
    {"prompt": f"the {noun} is", "chosen": f" {false}", "rejected": f" {true}"}
    for noun, false, true in zip(toys.NOUNS, toys.FALSE * 2, toys.TRUE * 2, strict=False)
]
COMPLETIONS = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in PAIRS]
_SETTINGS: dict[str, dict[str, Any]] = {
    "grpo": {"num_generations": 2, "max_completion_length": 3, "loss_type": "grpo"},
    "rloo": {"num_generations": 2, "max_completion_length": 3, "beta": 0.0},
}


def rows(kind: str) -> list[dict[str, Any]]:
    """Four rows in the trainer's own format."""
    if kind in PAIRED:
        return [dict(row) for row in PAIRS]
    if kind == "kto":
        return [{**row, "label": index % 2 == 0} for index, row in enumerate(COMPLETIONS)]
    if kind in GENERATING:
        return [{"prompt": row["prompt"]} for row in PAIRS]
    return [dict(row) for row in COMPLETIONS]


def planted() -> Direction:
    """The direction that is planted in the toy."""
    return Direction(toys.direction().numpy(), Site(2), 0.0, 2 * toys.STRENGTH)


def random(layer: int = 2, stream: str = "resid_post", seed: int = 1) -> Direction:
    """A direction of no meaning, with a midpoint and a scale that are no round numbers."""
    vector = np.random.default_rng(seed).normal(size=toys.WIDTH).astype(np.float32)
    return Direction(vector / np.linalg.norm(vector), Site(layer, stream), 0.3, 0.7)


def network(kind: str, words: Any) -> Any:
    """A fresh toy; for reward models with a score in place of the head of words."""
    plain = toys.network(words)
    if kind != "reward":
        return plain
    plain.config.num_labels = 1
    plain.config.pad_token_id = words.eos_token_id
    torch.manual_seed(3)
    made: Any = LlamaForSequenceClassification(plain.config)
    made.model.load_state_dict(plain.model.state_dict())
    return made.eval()


def kind_class(kind: str) -> Any:
    """TRL's class."""
    module, name = _HOMES[kind]
    return getattr(importlib.import_module(module), f"{name}Trainer")


def trainer(
    kind: str,
    folder: Path,
    penalties: Sequence[Any] | None,
    lora: LoraConfig | None = None,
    steps: int = 1,
    data: list[dict[str, Any]] | None = None,
    options: dict[str, Any] | None = None,
    model: Any = None,
    **settings: Any,
) -> Any:
    """A trainer on a fresh toy; plain TRL where `penalties` is None."""
    settings = {"per_device_train_batch_size": 4, "gradient_checkpointing": False} | settings
    words = toys.tokenizer()
    words.pad_token = words.eos_token
    module, name = _HOMES[kind]
    config = getattr(importlib.import_module(module), f"{name}Config")(
        output_dir=str(folder),
        use_cpu=True,
        max_steps=steps,
        disable_tqdm=True,
        logging_steps=1,
        max_grad_norm=0.0,
        **{
            "bf16": False,
            "report_to": "none",
            "optim": "sgd",
            "lr_scheduler_type": "constant",
            "learning_rate": 0.01,
            "save_strategy": "no",
            **_SETTINGS.get(kind, {}),
            **settings,
        },
    )
    made = kind_class(kind)
    if penalties is not None:
        made = penalised(made, penalties, **(options or {}))
    more: dict[str, Any] = {}
    if kind in ("dpo", "kto") and lora is None and not hasattr(model, "peft_config"):
        more["ref_model"] = network(kind, words)
    if kind in GENERATING:
        more["reward_funcs"] = _longest
    ready = made(
        model=network(kind, words) if model is None else model,
        args=config,
        train_dataset=Dataset.from_list(data or rows(kind)),
        processing_class=words,
        peft_config=lora,
        **more,
    )
    # Set when training begins.
    ready.current_gradient_accumulation_steps = config.gradient_accumulation_steps
    return ready


def _longest(completions: list[str], **_: Any) -> list[float]:
    return [float(len(text)) for text in completions]


def batch(made: Any, kind: str, which: Sequence[int] = (0, 1, 2, 3)) -> dict[str, Any]:
    """A batch of some rows of the data, as the trainer's loss gets it."""
    if kind in GENERATING:
        return _generated(made, kind, which)
    dataset = made.train_dataset
    collated = made.data_collator([dataset[index] for index in which])
    return dict(collated)


def _generated(made: Any, kind: str, which: Sequence[int]) -> dict[str, Any]:
    words = made.processing_class
    prompts = [words(PAIRS[i]["prompt"])["input_ids"] for i in which]
    answers = [
        words(PAIRS[i]["chosen"].strip(), add_special_tokens=False)["input_ids"]
        + [words.eos_token_id]
        for i in which
    ]
    found = {
        "prompt_ids": torch.tensor(prompts),
        "prompt_mask": torch.ones(len(which), len(prompts[0]), dtype=torch.long),
        "completion_ids": torch.tensor(answers),
        "completion_mask": torch.ones(len(which), len(answers[0]), dtype=torch.long),
        "advantages": torch.tensor([1.0, -1.0, 0.5, -0.5])[list(which)],
        "num_items_in_batch": torch.tensor(float(2 * len(which))),
    }
    if kind == "rloo":
        found["old_logps"] = torch.full((len(which),), -8.0)
    return found


def ids(found: dict[str, Any], kind: str) -> Tensor:
    """The tokens of a batch as the model reads them."""
    if kind in GENERATING:
        return torch.cat([found["prompt_ids"], found["completion_ids"]], dim=1)
    if kind in ("orpo", "cpo"):
        return torch.cat([found["chosen_input_ids"], found["rejected_input_ids"]])
    return found["input_ids"]


def step(made: Any, found: dict[str, Any], count: int | None = None) -> dict[str, Tensor]:
    """The gradients of one step on a batch, as `training_step` makes them."""
    made.model.train()
    made.model.zero_grad()
    add(made, found, count)
    return gradients(made)


def add(made: Any, found: dict[str, Any], count: int | None = None) -> None:
    """Add the gradients of a step."""
    made._prepare_inputs = lambda inputs: inputs
    made.training_step(made.model, dict(found), count)


def gradients(made: Any) -> dict[str, Tensor]:
    """What lies in the weights."""
    weights = made.model.named_parameters()
    found = {name: w.grad.clone() for name, w in weights if w.grad is not None}
    assert found
    return found


def loss(made: Any, found: dict[str, Any]) -> float:
    """The loss of a batch."""
    return float(made.compute_loss(made.model, dict(found)))


def logged(made: Any, begin: str = "") -> dict[str, float]:
    """The last value of each log of ours."""
    if hasattr(made, "_stored_metrics"):
        metrics = made._stored_metrics["train"]
    else:
        metrics = made._metrics["train"]
    ours = ("penalty/", "projection/", "score/", "weight/")
    return {n: v[-1] for n, v in metrics.items() if n.startswith(ours) and n.startswith(begin)}


def states(model: Any, tokens: Tensor, site: Site) -> Tensor:
    """The states of unpadded tokens at a site, by the plain output of transformers."""
    hidden = model(input_ids=tokens, output_hidden_states=True).hidden_states
    return hidden[site.layer + (site.stream == "resid_post")]
