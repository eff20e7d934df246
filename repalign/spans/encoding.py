"""Encoding: a rendered text as token ids, with the characters that each token covers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from repalign.spans.rendering import Rendered


@dataclass(frozen=True)
class Encoded:
    """Token ids of one text. The lists have one entry a token."""

    ids: list[int]
    offsets: list[tuple[int, int]] | None
    """Characters that each token covers; an empty range for tokens that the tokenizer added. The
    bytes of one character can be several tokens, which then cover the same character. None if
    the tokenizer cannot tell (a slow one)."""
    added: list[bool]
    """True at tokens that are no part of what the text says: those that the tokenizer added before
    or after it, and a beginning-of-text token in first place, whose state is the same whatever
    follows."""


def encode(tokenizer: PreTrainedTokenizerBase, rendered: Rendered) -> Encoded:
    """Turn a rendered text into token ids; see `encode_all`."""
    return encode_all(tokenizer, [rendered])[0]


def encode_all(tokenizer: PreTrainedTokenizerBase, rendered: Sequence[Rendered]) -> list[Encoded]:
    """Turn rendered texts into token ids, all in one call of the tokenizer where that can be.

    A chat is encoded as it stands, as transformers' own `apply_chat_template(tokenize=True)` does:
    a template writes the special tokens itself. A plain text gets the tokenizer's default special
    tokens, unless it already begins with the beginning-of-text token.

    Nothing is truncated.
    """
    bos = tokenizer.bos_token if isinstance(tokenizer.bos_token, str) else None
    found: dict[int, Encoded] = {}
    for add in (False, True):
        places = [
            place
            for place, one in enumerate(rendered)
            if add is not (one.is_chat or (bos is not None and one.text.startswith(bos)))
        ]
        if places:
            texts = [rendered[place].text for place in places]
            found |= zip(places, _encoded(tokenizer, texts, add), strict=True)
    return [found[place] for place in range(len(rendered))]


def _encoded(tokenizer: PreTrainedTokenizerBase, texts: list[str], add: bool) -> Iterator[Encoded]:
    fast = bool(tokenizer.is_fast)
    encoding = tokenizer(
        texts,
        add_special_tokens=add,
        truncation=False,
        return_attention_mask=False,
        return_special_tokens_mask=add,
        return_offsets_mapping=fast,
    )
    for place, tokens in enumerate(encoding["input_ids"]):
        ids = [int(token) for token in tokens]
        flags = encoding["special_tokens_mask"][place] if add else [0] * len(ids)
        added = [bool(flag) for flag in flags]
        if ids and ids[0] == tokenizer.bos_token_id:
            added[0] = True
        offsets = None
        if fast:
            offsets = [(int(start), int(end)) for start, end in encoding["offset_mapping"][place]]
        yield Encoded(ids, offsets, added)
