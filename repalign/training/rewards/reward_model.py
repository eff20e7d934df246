"""RewardModel: a sequence classifier with one score, among other rewards."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from repalign.errors import InputError
from repalign.models.modes import evaluating


@dataclass(frozen=True, eq=False)
class RewardModel:
    """A reward model as TRL takes one, for use in a `Combined`.

    As TRL does, it reads the text of prompt and completion with a tokenizer of its own: in
    conversations by its chat template. `.logits[:, 0]` is the reward.

    Example:
        >>> RewardModel.load("trl-lib/Qwen2-0.5B-Reward")                    # doctest: +SKIP
    """

    network: nn.Module
    tokenizer: Any
    name: str = "reward_model"
    """What logs call it."""
    template: dict[str, Any] = field(default_factory=dict, repr=False)
    """The trainer's `chat_template_kwargs`, set by `attach`."""

    @classmethod
    def load(cls, source: str, **options: Any) -> "RewardModel":
        """Load one from a folder or the hub.

        Args:
            source: folder, or name on the hub.
            options: of `from_pretrained`, such as `dtype`.
        """
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        network = AutoModelForSequenceClassification.from_pretrained(
            source, num_labels=1, **options
        )
        return cls(
            network, AutoTokenizer.from_pretrained(source), source.rstrip("/").split("/")[-1]
        )

    def __post_init__(self) -> None:
        """Refuse a model with several scores; agree on the padding, which it reads the score by."""
        network: Any = self.network
        labels = getattr(network.config, "num_labels", 1)
        if labels != 1:
            raise InputError(
                f"A reward model has one score (num_labels=1); {self.name} has {labels}."
            )
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        network.config.get_text_config().pad_token_id = self.tokenizer.pad_token_id

    @property
    def __name__(self) -> str:
        """What TRL logs it as."""
        return self.name

    def attach(self, trainer: Any) -> "RewardModel":
        """The same, on the devices of a trainer."""
        if trainer.is_deepspeed_enabled:
            from trl.models.utils import prepare_deepspeed

            network: Any = prepare_deepspeed(self.network, trainer.accelerator)
        else:
            network = trainer.accelerator.prepare_model(
                self.network, evaluation_mode=True, device_placement=True
            )
        return replace(self, network=network, template=dict(trainer.chat_template_kwargs))

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], **_: Any
    ) -> list[float | None]:
        """The score of each completion after its prompt."""
        pairs = list(zip(prompts, completions, strict=True))
        if isinstance(prompts[0], str):
            texts = [prompt + completion for prompt, completion in pairs]
        else:
            from trl.data_utils import apply_chat_template

            texts = [
                apply_chat_template({"messages": [*p, *c]}, self.tokenizer, **self.template)["text"]
                for p, c in pairs
            ]
        inputs = self.tokenizer(
            text=texts,
            return_tensors="pt",
            padding=True,
            padding_side="right",
            add_special_tokens=False,
        )
        inputs = inputs.to(next(self.network.parameters()).device)
        with torch.no_grad(), evaluating(self.network):
            return self.network(**inputs).logits[:, 0].float().tolist()

    def record(self) -> dict[str, Any]:
        """What it is, as a record keeps it."""
        network: Any = self.network
        source = getattr(network.config, "_name_or_path", "")
        return {"reward": type(self).__name__, "name": self.name, "source": source}
