"""Written: answers of a local model, watched by a probe or not."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from repalign.examples import Example
from repalign.inspecting.writes import Writes
from repalign.interventions import intervene
from repalign.models import LanguageModel
from repalign.models.modes import evaluating
from repalign.monitoring import Monitor, Watched, generating
from repalign.monitoring.decoding import Decoder
from repalign.monitoring.prompts import rendered
from repalign.spans import Reading
from repalign.tokens import Tokens


@dataclass(frozen=True)
class Written:
    """One answer."""

    text: str
    prompt: int
    """Tokens of the prompt."""
    tokens: int
    """Tokens of the answer, what ended it included."""
    ended: bool
    """Whether the model ended it; else it was cut off."""
    watched: Watched | None = None


@dataclass(frozen=True)
class Writer:
    """A model with what is written to it and what watches it."""

    model: LanguageModel
    writes: Writes | None = None
    where: str = "all"
    monitor: Monitor | None = None

    def write(self, prompts: Sequence[Example], options: Mapping[str, Any]) -> list[Written]:
        """Answer prompts in one batch.

        Args:
            prompts: conversations that end in the user's turn.
            options: of `generate`, and `seed`.

        Returns:
            One for each prompt, in order. A probe changes nothing of the texts.
        """
        chosen = generating.watchable(self.model, options)
        readings = rendered(self.model, prompts, generating.new_tokens(chosen))
        ends = generating.ends(self.model, chosen)
        writing = (
            nullcontext()
            if self.writes is None
            else intervene(self.model, self.writes.shifts, self.where)
        )
        with writing:
            if self.monitor is None:
                return self._plain(readings, chosen, ends)
            watched = self.monitor.generate(prompts, batch_size=len(prompts), **options)
        return [
            Written(
                one.text,
                len(reading.ids),
                len(one.tokens),
                bool(one.tokens) and one.tokens[-1].id in ends,
                one,
            )
            for reading, one in zip(readings, watched, strict=True)
        ]

    def _plain(
        self, readings: Sequence[Reading], options: dict[str, Any], ends: Sequence[int]
    ) -> list[Written]:
        seed = options.pop("seed", None)
        if seed is not None:
            torch.manual_seed(seed)
        ids = [reading.ids for reading in readings]
        tokens = Tokens.pad(ids, self.model.pad_id, side="left").to(self.model.device)
        with evaluating(self.model.network), torch.no_grad():
            out = self.model.network.generate(
                input_ids=tokens.ids, attention_mask=tokens.attended.long(), **options
            )
        rows = out[:, tokens.ids.shape[1] :].tolist()
        return [self._row(reading, row, ends) for reading, row in zip(readings, rows, strict=True)]

    def _row(self, reading: Reading, row: list[int], ends: Sequence[int]) -> Written:
        """The row of a batch up to the token that ends it; padding follows."""
        length = next((n for n, one in enumerate(row, 1) if one in ends), len(row))
        decoder = Decoder(self.model.tokenizer, reading, ends, False)
        text = "".join(decoder.add(one)[0] for one in row[:length])
        ended = length > 0 and row[length - 1] in ends
        return Written(text, len(reading.ids), length, ended)
