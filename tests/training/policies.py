"""Tiny policies on the toy, with rewards, whose completions are generated or scripted."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import toy as toys
import trainers as tr
from datasets import Dataset

from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span
from repalign.training import penalised

KINDS = ("grpo", "rloo")
PLAIN = tuple({"prompt": f"the {noun} is", "answers": ["true"], "known": 1} for noun in toys.NOUNS)


def chat(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows as conversations."""
    return [{**row, "prompt": [{"role": "user", "content": row["prompt"]}]} for row in rows]


def planted(span: str = "answer", threshold: float | None = 0.0) -> Readout:
    """Reads the planted direction: `true` scores +2 at its own token, `false` -2, others 0."""
    coef = toys.direction().numpy().astype(np.float64)[None]
    return Readout((Site(2),), coef, 0.0, Span(span), threshold)


def several(span: str = "answer") -> Readout:
    """Reads two sites without meaning, with an intercept that is no round number."""
    coef = np.random.default_rng(5).normal(size=(2, toys.WIDTH))
    sites = (Site(1), Site(3, "resid_mid"))
    return Readout(sites, coef, 0.37, Span(span), None, MappingProxyType({}))


def policy(
    kind: str,
    folder: Path,
    rewards: Any,
    data: Sequence[dict[str, Any]] = PLAIN,
    *,
    penalties: Sequence[Any] | None = (),
    lora: Any = tr.LORA,
    model: Any = None,
    side: str = "right",
    options: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
    steps: int = 1,
    **settings: Any,
) -> Any:
    """A trainer on a fresh toy; plain TRL where `penalties` is None."""
    words = toys.tokenizer()
    words.pad_token, words.padding_side = words.eos_token, side
    made = tr.kind_class(kind)
    config = getattr(importlib.import_module("trl"), f"{kind.upper()}Config")(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        report_to="none",
        disable_tqdm=True,
        max_steps=steps,
        logging_steps=1,
        optim="sgd",
        lr_scheduler_type="constant",
        gradient_checkpointing=False,
        **{
            "beta": 0.1,
            "num_generations": 2,
            "max_completion_length": 4,
            "per_device_train_batch_size": 4,
            "learning_rate": 0.01,
            "save_strategy": "no",
            **settings,
        },
    )
    if penalties is not None:
        made = penalised(made, penalties, **(options or {}))
    return made(
        model=toys.network(words) if model is None else model,
        reward_funcs=rewards,
        args=config,
        train_dataset=Dataset.from_list([dict(row) for row in data]),
        processing_class=words,
        peft_config=lora,
        **(more or {}),
    )


def script(made: Any, completions: Sequence[Sequence[int]]) -> None:
    """Have the policy write these completions, one a row, whatever it is asked."""
    written = [list(ids) for ids in completions]
    grpo = hasattr(made, "tools")
    made._generate_single_turn = lambda *_args, **_kwargs: (written, None) if grpo else written


def rewarded(
    made: Any, rows: Sequence[dict[str, Any]], completions: Sequence[Sequence[int]]
) -> dict[str, list[float]]:
    """The rewards of scripted completions to the prompts of rows, by the names of the rewards."""
    script(made, completions)
    made._generate_and_score_completions([dict(row) for row in rows])
    return {name: list(values) for name, values in made._logs["rewards"].items()}


def tokens(text: str, *, end: bool = True) -> list[int]:
    """A completion of a plain prompt, with the token that ends it or cut before that."""
    words: Any = toys.tokenizer()
    found = words(f" {text}", add_special_tokens=False)["input_ids"] if text else []
    return [*found, words.eos_token_id] if end else found


def uneven(completions: list[Any], **_: Any) -> list[float]:
    """A plain reward function: 0, 1, 2, … in the order of the rows."""
    return [float(place) for place in range(len(completions))]
