"""Normalising: texts without what does not change an answer."""

import re
import unicodedata

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_GROUPED = re.compile(r"(?<=\d)[,'’](?=\d{3}\b)")
# A point between digits belongs to the number.
_PUNCTUATION = re.compile(r"(?!(?<=\d)\.(?=\d))[\W_]")
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


def normal(text: str) -> str:
    """A text as TriviaQA compares answers: lower case, no punctuation, no English articles.

    Differs in that accents are folded, digits grouped by thousands are joined, and decimals stay.

    Example:
        >>> normal("The São_Tomé: 1,250 metres!")
        'sao tome 1250 metres'
    """
    folded = unicodedata.normalize("NFKD", _GROUPED.sub("", text)).casefold()
    kept = "".join(c for c in folded if not unicodedata.combining(c))
    spaced = _PUNCTUATION.sub(" ", kept)
    return " ".join(_ARTICLES.sub(" ", spaced).split())


def spoken(text: str) -> str:
    """A text in which phrases are looked for: lower case, plain apostrophes, single spaces."""
    return " ".join(text.replace("’", "'").lower().split())


def without_thought(text: str) -> str:
    """An answer without `<think>…</think>`; a thought that never ends leaves nothing.

    Example:
        >>> without_thought("<think>Paris? Yes.</think>\\nParis.")
        'Paris.'
    """
    begun = text.rfind("</think>")
    if begun >= 0 and "<think>" not in text:
        # The prompt opened the thought.
        text = text[begun + len("</think>") :]
    return _THOUGHT.sub("", text).strip()
