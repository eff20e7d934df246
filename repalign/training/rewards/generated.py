"""Generated: the very tokens that a policy read and wrote."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from repalign.monitoring.decoding import Decoder
from repalign.spans import Reading, Span


@dataclass(frozen=True)
class Generated:
    """What one batch of a trainer generated, one entry a completion, nothing padded."""

    prompts: Sequence[Sequence[int]]
    """The tokens that the policy answered, template included."""
    completions: Sequence[Sequence[int]]
    own: Sequence[Sequence[int]] | None
    """1 where the policy wrote a token itself, 0 where a tool did; None where it wrote all."""

    @classmethod
    def of(cls, result: Sequence[Any]) -> "Generated":
        """Read what TRL's `_generate` returns: of RLOO three parts, of GRPO more, tools third."""
        return cls(result[0], result[1], result[2] if len(result) > 3 else None)

    def wrote(self, completions: Any) -> bool:
        """Whether these are its completions."""
        return [[*ids] for ids in self.completions] == [[*ids] for ids in completions or ()]

    def rows(self) -> list[list[int]]:
        """The tokens of each text, prompt and completion."""
        texts = zip(self.prompts, self.completions, strict=True)
        return [[*prompt, *completion] for prompt, completion in texts]

    def counted(self, tokenizer: Any, ends: Collection[int], span: Span) -> list[list[int]]:
        """The positions in each text that a span reads of its completion; see `SPANS`.

        Args:
            tokenizer: of the policy.
            ends: ids that end a completion.
            span: one of `SPANS`.
        """
        found = []
        for place, prompt in enumerate(self.prompts):
            ids = list(prompt)
            begun = Reading(ids, [], None, tokenizer.decode(ids))
            decoder = Decoder(tokenizer, begun, ends, thoughts=span.name != "answer")
            own = None if self.own is None else self.own[place]
            counts = [
                decoder.add(token)[1] and (own is None or bool(own[index]))
                for index, token in enumerate(self.completions[place])
            ]
            places = [len(ids) + index for index, count in enumerate(counts) if count]
            found.append(places[-1:] if span.name == "last" else places)
        return found


SPANS = ("answer", "assistant", "last")
"""What can be read of a completion: its words without thoughts, with thoughts, its last token. The
token that ends it, and what tools wrote, are never read."""
