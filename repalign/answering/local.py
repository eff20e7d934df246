"""Local: a model in this process that answers prompts."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from repalign.answering.reply import Reply, Settings
from repalign.answering.respondent import Replied
from repalign.behavior.asking import text_of
from repalign.behavior.conditions import origin
from repalign.behavior.decoding import AT_ONCE, decode, ends
from repalign.behavior.drawing import Answer
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.spans import render
from repalign.spans.encoding import encode_all

_DRAWS = 1
# Counts the ways in which answers have been drawn; kept answers of another way are not mixed in.


@dataclass(frozen=True, eq=False)
class Local:
    """A `LanguageModel` as a respondent; see `repalign.behavior.decoding.decode` for how it draws.

    Within `intervene` it is the model as it is written to that answers.
    """

    model: LanguageModel
    at_once: int = AT_ONCE
    """Tokens whose state may be held at once: bounds memory, and changes nothing but rounding."""

    @property
    def name(self) -> str:
        """Of the model."""
        return self.model.name

    def origin(self) -> dict[str, Any]:
        """Model, weights, what is written to it, and how conversations are put to it."""
        template = repr(self.model.tokenizer.chat_template)
        return {
            **origin(self.model),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "template": hashlib.sha256(template.encode()).hexdigest()[:16],
            "ends": ends(self.model),
            "draws": _DRAWS,
        }

    def replies(
        self, prompts: Sequence[Example], settings: Settings, skip: Collection[int] = ()
    ) -> Iterator[list[Replied]]:
        """Answer prompts; see `Respondent.replies`.

        Raises:
            InputError: no prompts, one that ends in an answer or leaves no room for one, or what is
                written depends on the rows of a batch.
            CheckError: the model fails a self-check.
        """
        rendered = [render(self.model.tokenizer, prompt) for prompt in prompts]
        names = [f"Prompt {i} ({prompt.text[:40]!r})" for i, prompt in enumerate(prompts)]
        answered = [name for name, one in zip(names, rendered, strict=True) if one.has_answer]
        if answered:
            raise InputError(
                f"{answered[0]} ends in an answer already; leave its last turn out to have the "
                "model answer."
            )
        texts = [found.ids for found in encode_all(self.model.tokenizer, rendered)]
        decoded = decode(
            self.model,
            texts,
            samples=settings.samples,
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            seed=settings.seed,
            skip=skip,
            names=names,
            at_once=self.at_once,
        )
        for batch in decoded:
            yield [
                Replied(
                    place,
                    [self._reply(texts[place], one, rendered[place].is_chat) for one in answers],
                )
                for place, answers in batch
            ]

    def _reply(self, prompt: list[int], answer: Answer, is_chat: bool) -> Reply:
        last = len(answer.ids) - (answer.ids[-1] in ends(self.model))
        text = text_of(self.model, prompt, list(answer.ids[:last]), is_chat)
        return Reply(text, answer.ids, answer.logprobs, answer.cut)
