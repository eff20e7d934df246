"""Cross-encoders: similarity and entailment by models of the Hugging Face Hub, read in pairs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from repalign.errors import InputError
from repalign.evaluation.meaning import Texts
from repalign.evaluation.setting import Setting

_BATCH = 32


class _CrossEncoder:
    """A network that reads two texts at once."""

    def __init__(self, network: Any, tokenizer: Any, name: str, batch: int = _BATCH) -> None:
        self.network, self.tokenizer, self.name, self.batch = network.eval(), tokenizer, name, batch

    def _logits(self, pairs: Texts) -> Float[np.ndarray, "pair label"]:
        """Logits of each distinct pair once, those of like length together."""
        distinct = list(dict.fromkeys(pairs))
        order = sorted(range(len(distinct)), key=lambda i: -sum(map(len, distinct[i])))
        rows: list[np.ndarray] = [np.empty(0)] * len(distinct)
        for start in range(0, len(order), self.batch):
            places = order[start : start + self.batch]
            with torch.no_grad():
                logits = self.network(**self._read([distinct[i] for i in places])).logits
            for place, row in zip(places, logits.float().cpu().numpy(), strict=True):
                rows[place] = row
        found = dict(zip(distinct, rows, strict=True))
        if not pairs:
            return np.empty((0, self.network.config.num_labels))
        return np.stack([found[pair] for pair in pairs]).astype(np.float64)

    def _read(self, pairs: Sequence[tuple[str, str]]) -> Any:
        firsts, seconds = zip(*pairs, strict=True)
        tokens = self.tokenizer(list(firsts), list(seconds), padding=True, return_tensors="pt")
        room = min(
            getattr(self.network.config, "max_position_embeddings", None) or 2**31,
            self.tokenizer.model_max_length,
        )
        if tokens["input_ids"].shape[1] > room:
            raise InputError(
                f"{self.name} reads {room} tokens at once, and two answers together have "
                f"{tokens['input_ids'].shape[1]}: {pairs[0][0][:40]!r} … Take shorter answers or "
                "another model."
            )
        return tokens.to(next(self.network.parameters()).device)


class CrossSimilarity(_CrossEncoder):
    """Similarity by a model with one output, such as `cross-encoder/stsb-roberta-large`.

    The paper's (arXiv 2307.01379) choice is that model, and the sigmoid of its output.
    """

    def __init__(self, network: Any, tokenizer: Any, name: str, batch: int = _BATCH) -> None:
        """Wrap a loaded network.

        Raises:
            InputError: it has more than one output.
        """
        super().__init__(network, tokenizer, name, batch)
        if network.config.num_labels != 1:
            raise InputError(
                f"{name} has {network.config.num_labels} outputs; a model of similarity has one, "
                "such as cross-encoder/stsb-roberta-large."
            )

    @classmethod
    def load(cls, hub_id: str, device: str = "cpu") -> "CrossSimilarity":
        """Load a model by its hub id or folder."""
        return cls(*_loaded(hub_id, device), hub_id)

    def similarities(self, pairs: Texts) -> Float[np.ndarray, " pair"]:
        """How like the two texts of each pair are, from 0 to 1."""
        return 1 / (1 + np.exp(-self._logits(pairs)[:, 0]))


class CrossEntailment(_CrossEncoder):
    """Entailment by a model with such a label, such as `microsoft/deberta-large-mnli`.

    The question stands before both answers, as in arXiv 2302.09664; the likeliest label counts.
    """

    def __init__(self, network: Any, tokenizer: Any, name: str, batch: int = _BATCH) -> None:
        """Wrap a loaded network.

        Raises:
            InputError: none of its labels, or several, are called entailment.
        """
        super().__init__(network, tokenizer, name, batch)
        labels = {int(key): str(label) for key, label in network.config.id2label.items()}
        found = [key for key, label in labels.items() if label.lower().startswith("entail")]
        if len(found) != 1:
            raise InputError(
                f"{name} has the labels {', '.join(labels.values())}; a model of entailment has "
                "one called entailment, such as microsoft/deberta-large-mnli."
            )
        self.label = found[0]

    @classmethod
    def load(cls, hub_id: str, device: str = "cpu") -> "CrossEntailment":
        """Load a model by its hub id or folder."""
        return cls(*_loaded(hub_id, device), hub_id)

    def entails(self, question: str, pairs: Texts) -> Bool[np.ndarray, " pair"]:
        """Whether, as an answer to the question, the first text says what the second says."""
        asked = [(f"{question} {one}", f"{question} {other}") for one, other in pairs]
        return self._logits(asked).argmax(axis=1) == self.label


def chosen(setting: Setting) -> tuple[CrossSimilarity | None, CrossEntailment | None]:
    """The models that a setting names, loaded; None where words are compared."""
    return (
        None if setting.similarity is None else CrossSimilarity.load(setting.similarity),
        None if setting.entailment is None else CrossEntailment.load(setting.entailment),
    )


def _loaded(hub_id: str, device: str) -> tuple[Any, Any]:
    try:
        network: Any = AutoModelForSequenceClassification.from_pretrained(hub_id)
        return network.to(device), AutoTokenizer.from_pretrained(hub_id)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{hub_id!r} could not be loaded as a model that classifies pairs of texts: {error}"
        ) from error
