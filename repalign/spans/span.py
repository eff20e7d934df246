"""Span: a name for the tokens that are read from an example."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from repalign.errors import InputError, unknown
from repalign.spans.encoding import Encoded
from repalign.spans.rendering import Rendered, quoted

ROLES = ("system", "user", "assistant")
PLAIN = ("last", "last_prompt", *ROLES, "answer", "think", "all")
WITH_ARGUMENT = {"regex": "regex:PATTERN", "chars": "chars:START-END"}
_TAG = re.compile(r"</?think>")

_ADVICE = {
    "last_prompt": "A prompt is what precedes an answer in a chat; for a plain text take 'last'.",
    "system": "Give the examples a system turn of their own (a system prompt that the chat "
    "template puts in does not count), or take another span.",
    "user": "Give the examples a user turn, or take another span; 'all' reads any text.",
    "assistant": "Give the examples an assistant turn, or take 'last_prompt'.",
    "answer": "Give the examples an assistant turn with words outside <think>…</think>, or take "
    "'last_prompt'.",
    "think": "Give the last assistant turn words inside <think>…</think> (many chat templates drop "
    "the thoughts of earlier turns, some of every turn), or take 'answer'.",
    "regex": "The pattern is searched in the text as rendered, upper and lower case distinct; "
    "correct it, or leave out the examples that it does not fit.",
}


@dataclass(frozen=True)
class Span:
    r"""Which tokens of an example are read.

    | span | tokens |
    |---|---|
    | `last` | the last one of the text: of the answer, or of the header before it if the chat ends in a prompt |
    | `last_prompt` | the one before the last turn's answer, which predicts the answer's first token |
    | `system`, `user`, `assistant` | the words of every turn of that role, thoughts included |
    | `answer` | the words of the last assistant turn without its thoughts |
    | `think` | the words inside `<think>…</think>`, without the tags |
    | `all` | all, template included, except those that the tokenizer adds and a beginning-of-text token |
    | `regex:PATTERN` | every match in the rendered text, or the pattern's first group if it has one |
    | `chars:START-END` | characters of the rendered text, counted from 0, END not included |

    A token is read if it covers at least one character of the words: a token that joins the end of
    a header and the beginning of an answer belongs to the answer.

    Example:
        >>> Span.parse("regex:city of (\\w+)")
        Span(name='regex', argument='city of (\\w+)')
        >>> print(Span("chars", "0-12"))
        chars:0-12
    """  # noqa: E501 (a table row cannot be broken)

    name: str = "last"
    argument: str = ""
    """The pattern of `regex`, the range of `chars`, otherwise empty."""

    def __post_init__(self) -> None:
        """Refuse a name that does not exist and an argument that cannot be meant."""
        if self.name not in (*PLAIN, *WITH_ARGUMENT):
            raise unknown("span", self.name, (*PLAIN, *WITH_ARGUMENT))
        if self.name in PLAIN and self.argument:
            raise InputError(
                f"Span {self.name!r} takes no argument, but {self.argument!r} was given. "
                f"Write {self.name!r} alone; arguments go to "
                f"{' and '.join(WITH_ARGUMENT.values())}."
            )
        if self.name == "regex":
            self._pattern()
        if self.name == "chars":
            self._bounds()

    def __str__(self) -> str:
        """Print as `answer` or `regex:PATTERN`."""
        return f"{self.name}:{self.argument}" if self.name in WITH_ARGUMENT else self.name

    @classmethod
    def parse(cls, text: str) -> "Span":
        """Read what `str` prints.

        Raises:
            InputError: no such span, a pattern that is no regular expression, a range that is
                none.
        """
        name, _, argument = text.partition(":")
        return cls(name.strip(), argument)

    def positions(self, rendered: Rendered, encoded: Encoded) -> list[int]:
        """Return the tokens that are read, as ascending indices into `encoded.ids`.

        Raises:
            InputError: there are none; the tokenizer is slow and the span needs to know the
                characters of a token (`last` and `all` do not); the tokenizer says of no token
                that it covers some of the words.
        """
        said = [index for index, added in enumerate(encoded.added) if not added]
        if self.name == "all":
            found = said
        elif self.name == "last" or (
            self.name == "last_prompt" and rendered.is_chat and not rendered.has_answer
        ):
            found = said[-1:]
        elif self.name == "last_prompt":
            found = self._before_answer(rendered, encoded, said)
        else:
            found = self._covering(self._ranges(rendered), rendered, encoded)
        if not found:
            raise self._empty(rendered)
        return found

    def _ranges(self, rendered: Rendered) -> list[tuple[int, int]]:
        """Return the ranges of characters that are meant; they may be empty or none."""
        if self.name == "regex":
            pattern = self._pattern()
            group = 1 if pattern.groups else 0
            return [match.span(group) for match in pattern.finditer(rendered.text)]
        if self.name == "chars":
            start, end = self._bounds()
            if end > len(rendered.text):
                raise InputError(
                    f"Span {str(self)!r} goes beyond the end of the example "
                    f"{quoted(rendered.words)}, which has {len(rendered.text)} characters as "
                    "rendered. Take a smaller range, or a span that adapts to the text."
                )
            return [(start, end)]
        if self.name == "think":
            return [_without_tags(rendered.text, *thought) for thought in rendered.thinks]
        if self.name == "answer":
            assistant = [part for part in rendered.parts if part.role == "assistant"]
            return [
                piece
                for part in assistant[-1:]
                for piece in _outside(rendered, part.start, part.end)
            ]
        return [(part.start, part.end) for part in rendered.parts if part.role == self.name]

    def _before_answer(self, rendered: Rendered, encoded: Encoded, said: list[int]) -> list[int]:
        """Return the last token before those of the answer that ends the chat."""
        if not rendered.has_answer:
            return []
        answer = (rendered.prompt_end, len(rendered.text))
        first = self._covering([answer], rendered, encoded)[:1]
        return [index for index in said if first and index < first[0]][-1:]

    def _covering(
        self, ranges: Iterable[tuple[int, int]], rendered: Rendered, encoded: Encoded
    ) -> list[int]:
        """Return the tokens that cover at least one character of the ranges."""
        wanted = {place for start, end in ranges for place in range(start, end)}
        if not wanted:
            return []
        if encoded.offsets is None:
            raise InputError(
                f"Span {str(self)!r} needs to know which characters a token covers, and this "
                "tokenizer is a slow one, which cannot tell. Load its fast version, or take "
                "'last' or 'all'."
            )
        found: list[int] = []
        covered: set[int] = set()
        for index, (start, end) in enumerate(encoded.offsets):
            places = wanted.intersection(range(start, end))
            if places:
                found.append(index)
                covered |= places
        # Some tokenizers have reported empty ranges for real tokens: their words would be passed
        # over without a sign.
        lost = sorted(place for place in wanted - covered if rendered.text[place].isalnum())
        if lost:
            raise InputError(
                f"Span {str(self)!r} of the example {quoted(rendered.words)} holds "
                f"{len(lost)} letters or digits that no token covers, the first is "
                f"{rendered.text[lost[0]]!r} at character {lost[0]}. The tokenizer drops them or "
                "reports wrong offsets: update the package tokenizers, or take 'last' or 'all'."
            )
        return found

    def _pattern(self) -> re.Pattern[str]:
        """Return the regular expression of a span `regex:PATTERN`."""
        if not self.argument:
            raise InputError("Span 'regex' needs a pattern; write regex:PATTERN.")
        try:
            return re.compile(self.argument)
        except re.error as error:
            raise InputError(
                f"{self.argument!r} is not a regular expression: {error}. Put a backslash before "
                r"signs that stand for themselves, such as \( or \?."
            ) from error

    def _bounds(self) -> tuple[int, int]:
        """Return the first character and the one after the last of a span `chars:START-END`."""
        match = re.fullmatch(r"([0-9]+)-([0-9]+)", self.argument)
        if match is None or int(match[1]) >= int(match[2]):
            raise InputError(
                f"{self.argument!r} is not a range of characters. Write chars:START-END with "
                "START smaller than END, such as chars:0-12 for the first twelve."
            )
        return int(match[1]), int(match[2])

    def _empty(self, rendered: Rendered) -> InputError:
        """Build the error for an example in which the span has no tokens."""
        roles = ", ".join(part.role for part in rendered.parts) or "none with words"
        thoughts = ", and a thought" if rendered.thinks else ""
        advice = _ADVICE.get(self.name, "Leave the example out, or take another span.")
        return InputError(
            f"Span {str(self)!r} covers no token of the example {quoted(rendered.words)}. "
            f"Its parts: {roles}{thoughts}. {advice}"
        )


def _outside(rendered: Rendered, start: int, end: int) -> list[tuple[int, int]]:
    """Return the range without the thoughts in it and without white space at the cuts."""
    pieces: list[tuple[int, int]] = []
    for first, after in rendered.thinks:
        if start <= first < end:
            pieces.append((start, first))
            start = after
    if not pieces:
        return [(start, end)]
    return [_trimmed(rendered.text, *piece) for piece in [*pieces, (start, end)]]


def _without_tags(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the range of a thought's words."""
    tags = list(_TAG.finditer(text, start, end))
    if tags and tags[0].start() == start:
        start = tags[0].end()
    if tags and tags[-1].end() == end and tags[-1].start() >= start:
        end = tags[-1].start()
    return _trimmed(text, start, end)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the range without white space at its ends."""
    inner = text[start:end]
    left = len(inner) - len(inner.lstrip())
    return start + left, start + left + len(inner.strip())
