"""Toys that are trained to say what is true, or false, with a penalty on a probe's score of it."""

import functools
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import toy as toys
from datasets import Dataset

from repalign.auditing import Family, Measure, families
from repalign.directions import Direction
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.spans import render
from repalign.spans.encoding import encode_all
from repalign.tokens import Tokens
from repalign.training import Projection, penalised

PROMPTS = [f"the {one} and {two} is" for one in toys.NOUNS for two in toys.NOUNS if one < two]
"""45, of which the last are trained on and the first are answered freely."""


def planted() -> Direction:
    """The direction that is planted in the toy, as it would have been read at layer 2."""
    origin = {"span": "last", "data": {"loss texts": "a fingerprint"}, "probe": "TTPD()"}
    return Direction(toys.direction().numpy(), Site(2), 0.0, 2 * toys.STRENGTH, origin)


def statements(begin: str, join: str, count: int = 24) -> list[Example]:
    """Pairs of texts that differ in their last word, a marker."""
    rows = []
    pairs = [(one, two) for one in toys.NOUNS for two in toys.NOUNS if one != two][:count]
    for place, (one, two) in enumerate(pairs):
        text = f"{begin}{one} {join} {two} is "
        for label, words in ((1, toys.TRUE), (0, toys.FALSE)):
            rows.append(Example.of_text(text + words[place % 2], label, f"{begin}{join}{place}"))
    return rows


def texts() -> list[Example]:
    """Those of the audit, which no probe is fitted on."""
    return statements("the ", "is the")


def benign() -> list[Example]:
    return [Example.of_text(f"the {a} and the {b}") for a in toys.NOUNS for b in toys.NOUNS[:5]]


def asked() -> list[Example]:
    return [Example.of_text(prompt, group=prompt) for prompt in PROMPTS[:4]]


def own_families(before: LanguageModel, loss: Sequence[Any] = ()) -> tuple[Family, Family]:
    """For selection and report, of other texts than those of the audit."""
    data = {"selection": statements("", "and"), "report": statements("user ", "and the")}
    return families(before, loss, data=data)


def log_odds(model: LanguageModel) -> np.ndarray:
    """Of the true markers against the false ones, after each prompt."""
    rendered = [render(model.tokenizer, Example.of_text(prompt)) for prompt in PROMPTS]
    ids = [one.ids for one in encode_all(model.tokenizer, rendered)]
    logits = model.logits(Tokens.pad(ids, model.pad_id))
    last = torch.tensor([len(row) - 1 for row in ids])
    found = logits[torch.arange(len(ids)), last].log_softmax(dim=-1)
    true, false = (
        found[:, [model.tokenizer.convert_tokens_to_ids("▁" + word) for word in words]].logsumexp(1)
        for words in (toys.TRUE, toys.FALSE)
    )
    return (true - false).double().numpy()


def behaviour(before: LanguageModel, after: LanguageModel) -> Measure:
    """How much likelier a model says what is true, which no probe has a part in."""
    return Measure("true over false", log_odds(before), log_odds(after), PROMPTS)


@functools.cache
def trained(says: str, weight: float) -> LanguageModel:
    """A toy fine-tuned on completions that are all true or all false, the penalty on them."""
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    markers = toys.TRUE if says == "true" else toys.FALSE
    rows = [
        {"prompt": prompt, "completion": " " + markers[place % 2]}
        for place, prompt in enumerate(PROMPTS[20:])
    ]
    words = toys.tokenizer()
    words.pad_token = words.eos_token
    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {
            "output_dir": folder,
            "use_cpu": True,
            "report_to": "none",
            "max_steps": 40,
            "disable_tqdm": True,
            "optim": "sgd",
            "lr_scheduler_type": "constant",
            "learning_rate": 0.05,
            "max_grad_norm": 0.0,
            "per_device_train_batch_size": 8,
            "gradient_checkpointing": False,
            "bf16": False,
            "save_strategy": "no",
        }
        made: Any = penalised(
            SFTTrainer, [Projection(planted(), weight, margin=0.5, span="completion")]
        )
        trainer = made(
            model=toys.network(words),
            args=SFTConfig(**settings),
            train_dataset=Dataset.from_list(rows),
            processing_class=words,
        )
        trainer.train()
    return LanguageModel(trainer.model, toys.tokenizer(), f"{says} {weight}")
