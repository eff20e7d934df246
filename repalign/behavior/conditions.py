"""Conditions: what has to hold before behaviour is measured, and what records say of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from repalign.errors import InputError
from repalign.models import LanguageModel
from repalign.models.hooking import writings


def check_lengths(
    model: LanguageModel, texts: Sequence[Sequence[int]], names: Sequence[str], more: int = 0
) -> None:
    """Refuse texts that are longer than the model's context.

    Args:
        model: the model.
        texts: token ids of each text.
        names: what messages call each text.
        more: tokens that are to follow.
    """
    context = model.architecture.context
    for ids, name in zip(texts, names, strict=True):
        if context is not None and len(ids) + more > context:
            follow = f" and {more} to follow" if more else ""
            raise InputError(
                f"{name} has {len(ids)} tokens{follow}, more than the {context} that {model.name} "
                "can read; repalign never truncates. Shorten or drop it."
            )


def written(model: LanguageModel) -> list[dict[str, Any]]:
    """What is being written to the model, as records keep it."""
    return [dict(one) for writing in writings(model.architecture) for one in writing.record]


def origin(model: LanguageModel) -> dict[str, Any]:
    """What behaviour is of: model, weights, and what is being written to it."""
    return {
        "model": model.name,
        "weights": model.fingerprint,
        "interventions": written(model),
    }


def refuse_by_row(model: LanguageModel) -> None:
    """Refuse what is written by the rows of a batch: batches here are not the user's.

    Raises:
        InputError: such a writing is open.
    """
    if any(writing.by_row for writing in writings(model.architecture)):
        raise InputError(
            "What intervene() writes depends on the rows of a batch (Patch, Contrast), and texts "
            "are put into batches of their own here. Use model.forward() or model.generate()."
        )


def refuse_unlike_generation(model: LanguageModel) -> None:
    """Refuse what is written by where a prompt ends: a given text is read in one pass.

    Raises:
        InputError: such a writing is open, or one by the rows of a batch.
    """
    refuse_by_row(model)
    for one in written(model):
        if "where" in one or _decides_by_prompt(one):
            how = f"where={one['where']!r}" if "where" in one else "Conditional(scope='row')"
            raise InputError(
                f"Given texts are read in one pass, in which {how} would write elsewhere than when "
                "the model generates: the pass knows no end of the prompt. Write at all positions "
                "(where='all'), or let the model generate with ask()."
            )


def _decides_by_prompt(record: Mapping[str, Any]) -> bool:
    inside = [value for value in record.values() if isinstance(value, Mapping)]
    return record.get("scope") == "row" or any(map(_decides_by_prompt, inside))
