"""Twins: a model before and after training, which must differ in their weights alone."""

from collections.abc import Sequence

from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.spans import render
from repalign.spans.encoding import encode_all


def check_twins(before: LanguageModel, after: LanguageModel) -> None:
    """Refuse two models whose states cannot be compared.

    Raises:
        InputError: another width or number of layers, or weights that lie in memory once.
    """
    for what, one, two in (
        ("width", before.d_model, after.d_model),
        ("number of layers", before.n_layers, after.n_layers),
    ):
        if one != two:
            raise InputError(
                f"{before.name} has {what} {one} and {after.name} {two}: an audit compares a model "
                "with itself before training. Give the base that was trained as `before`."
            )
    ours = {id(weight) for weight in before.network.parameters()}
    if any(id(weight) in ours for weight in after.network.parameters()):
        raise InputError(
            f"{before.name} and {after.name} share weights in memory, so nothing could be seen to "
            "differ: an adapter is put into the modules of the model that it is trained on. Load "
            "the model before training once more and give that as `before`."
        )


def check_tokens(before: LanguageModel, after: LanguageModel, texts: Sequence[Example]) -> None:
    """Refuse tokenizers or chat templates that make other tokens of these texts.

    Raises:
        InputError: which text is read as other tokens.
    """
    one, two = (_tokens(model, texts) for model in (before, after))
    for text, first, second in zip(texts, one, two, strict=True):
        if first != second:
            raise InputError(
                f"{before.name} and {after.name} read {text.text[:60]!r} as different tokens "
                f"({len(first)} and {len(second)}): their tokenizers or chat templates differ, and "
                "an audit compares scores of the same tokens. Load both with one tokenizer: "
                "LanguageModel.load(…, tokenizer=before.tokenizer)."
            )


def _tokens(model: LanguageModel, texts: Sequence[Example]) -> list[list[int]]:
    rendered = [render(model.tokenizer, text) for text in texts]
    return [found.ids for found in encode_all(model.tokenizer, rendered)]
