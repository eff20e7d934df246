"""Decoding: ids one by one as text, and which of them belong to the answer."""

from collections.abc import Collection, Sequence
from typing import Any

from repalign.spans import Reading

_CONTEXT = 8
"""Tokens of the prompt that are decoded with the first new one: some tokenizers drop a space at the
beginning of a text."""
_INCOMPLETE = "\ufffd"
_OPEN, _CLOSE = "<think>", "</think>"


class Decoder:
    """Turns the ids of one answer into text as they come.

    The texts joined are the whole answer decoded, special tokens left out.
    """

    def __init__(
        self, tokenizer: Any, prompt: Reading, ends: Collection[int], thoughts: bool
    ) -> None:
        """Begin after a prompt.

        Args:
            tokenizer: of the model.
            prompt: what the answer follows.
            ends: ids that end an answer.
            thoughts: whether what stands in `<think>…</think>` counts.
        """
        self.tokenizer, self.thoughts = tokenizer, thoughts
        self.special = {*tokenizer.all_special_ids, *ends}
        self.ids = list(prompt.ids[-_CONTEXT:])
        self.start, self.read = 0, len(self.ids)
        self.text = _OPEN if prompt.text.rstrip().endswith(_OPEN) else ""
        self.begun = False

    def add(self, token: int) -> tuple[str, bool]:
        """The text that a token adds, and whether the token counts."""
        self.ids.append(token)
        known = self._decoded(self.ids[self.start : self.read])
        now = self._decoded(self.ids[self.start :])
        if now.endswith(_INCOMPLETE):
            added = ""
        else:
            # What is decoded begins at the token before, so that it joins on with its space.
            added = now[len(known) :]
            self.start, self.read = self.read, len(self.ids)
        before = self._thinking()
        self.text += added
        thought = not self.thoughts and (before or self._thinking())
        # White space in front is none of the answer's words, which `Span("answer")` reads.
        blank = not self.begun and bool(added) and added.isspace()
        counted = not (thought or blank or token in self.special)
        self.begun |= counted
        return added, counted

    def _thinking(self) -> bool:
        return self.text.rfind(_OPEN) > self.text.rfind(_CLOSE)

    def _decoded(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
