"""Encoding: a rendered text as token ids, with the characters that each token covers."""

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
    """Turn a rendered text into token ids.

    A chat is encoded as it stands, as transformers' own `apply_chat_template(tokenize=True)` does:
    a template writes the special tokens itself. A plain text gets the tokenizer's default special
    tokens, unless it already begins with the beginning-of-text token.

    Nothing is truncated.
    """
    text = rendered.text
    fast = bool(tokenizer.is_fast)
    begins = isinstance(tokenizer.bos_token, str) and text.startswith(tokenizer.bos_token)
    add = not rendered.is_chat and not begins
    encoding = tokenizer(
        text,
        add_special_tokens=add,
        truncation=False,
        return_attention_mask=False,
        return_special_tokens_mask=add,
        return_offsets_mapping=fast,
    )
    ids = [int(token) for token in encoding["input_ids"]]
    flags = encoding["special_tokens_mask"] if add else [0] * len(ids)
    added = [bool(flag) for flag in flags]
    if ids and ids[0] == tokenizer.bos_token_id:
        added[0] = True
    if not fast:
        return Encoded(ids, None, added)
    offsets = [(int(start), int(end)) for start, end in encoding["offset_mapping"]]
    return Encoded(ids, offsets, added)
