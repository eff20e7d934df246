"""Passing: the loss of responses, and what enters each matrix, by hooks on the matrices' modules.

The gradient of one text by a linear map is `deltaᵀ x`: what comes back to its output times what
went into it. Both can be tapped, so a padded batch gives every text its own gradient, no weight
needs `requires_grad`, and a gradient lives for the time of one call only (`backward`).
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from repalign.attribution.finding import Matrix
from repalign.attribution.texts import Text, batches
from repalign.errors import InputError
from repalign.models import LanguageModel
from repalign.models.compiling import uncompiled
from repalign.models.modes import evaluating
from repalign.sites import Site
from repalign.tokens import Tokens

Consumer = Callable[[int, Matrix, Tensor], None]
"""Takes the text's index, the matrix, and a tensor that is valid until it returns."""


def losses(model: LanguageModel, tokens: Tokens, texts: Sequence[Text]) -> Float[Tensor, " batch"]:
    """Negative log-likelihood of each text's response given what precedes it, in nats.

    The mean over the response's tokens, so that long responses weigh no more than short ones.

    Args:
        model: the model.
        tokens: the texts, padded on the right.
        texts: one a row.
    """
    rows = [row for row, text in enumerate(texts) for _ in text.response]
    places = [place for text in texts for place in text.response]
    row = torch.tensor(rows, device=model.device)
    place = torch.tensor(places, device=model.device)
    targets = tokens.ids.to(model.device)[row, place]
    logits = _logits(model, tokens, row, place - 1)
    each = nn.functional.cross_entropy(logits.float(), targets.to(logits.device), reduction="none")
    counts = torch.tensor([len(text.response) for text in texts], device=logits.device)
    total = each.new_zeros(len(texts)).index_add(0, row.to(logits.device), each)
    return total / counts


def _logits(
    model: LanguageModel, tokens: Tokens, row: Int[Tensor, " read"], place: Int[Tensor, " read"]
) -> Float[Tensor, "read vocab"]:
    """Logits at the given positions; the head sees those only."""
    entered: list[bool] = []

    def pick(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        hidden = args[0]
        if hidden.shape[:2] != tokens.ids.shape:
            return None
        entered.append(True)
        return (hidden[row.to(hidden.device), place.to(hidden.device)].unsqueeze(0), *args[1:])

    head = model.network.get_output_embeddings()
    handle = None if head is None else head.register_forward_pre_hook(pick, prepend=True)
    try:
        logits: Tensor = model.forward(tokens).logits
    finally:
        if handle is not None:
            handle.remove()
    if entered and logits.shape[:2] == (1, len(row)):
        return logits[0]
    if entered or logits.shape[:2] != tokens.ids.shape:
        raise InputError(
            f"{model.name} gives logits of shape {tuple(logits.shape)} for tokens of shape "
            f"{tuple(tokens.ids.shape)}: its positions cannot be told apart."
        )
    return logits[row.to(logits.device), place.to(logits.device)]


def inputs(
    model: LanguageModel,
    texts: Sequence[Text],
    group: Sequence[Matrix],
    consume: Consumer,
    max_tokens: int,
) -> None:
    """Hand over what enters each matrix of a group at the tokens of each text's response.

    The tokens are those of the response itself, as in the authors' code of arXiv 2402.05162, not
    the positions that predict them. The pass ends after the group's highest layer.

    Args:
        model: read in evaluation mode.
        texts: what is read.
        group: the matrices.
        consume: called once for each text and matrix, with `[token d_in]`.
        max_tokens: positions of a pass, padding included.

    Raises:
        InputError: a matrix runs twice in one pass or in none, or does not see every token.
    """
    by_row = tells_rows_apart(model, group)
    reached: set[str] = set()
    last = Site(max(matrix.layer for matrix in group), "resid_post")
    for batch in batches(texts, max_tokens, by_row):
        rows = [texts[index] for index in batch]
        tokens = Tokens.pad([text.ids for text in rows], model.pad_id)
        shape = tuple(tokens.ids.shape)

        def tap(
            matrix: Matrix,
            entered: Tensor,
            _output: Tensor,
            batch: list[int] = batch,
            shape: tuple[int, ...] = shape,
        ) -> None:
            if entered.shape[:-1].numel() != shape[0] * shape[1]:
                raise InputError(
                    f"{matrix} of {model.name} sees {tuple(entered.shape)} for tokens of shape "
                    f"{shape}: which of them are the response's cannot be told. Leave it out with "
                    "`among`."
                )
            states = entered.reshape(*shape, -1)
            for place, index in enumerate(batch):
                consume(index, matrix, states[place, texts[index].response])

        with evaluating(model.network), torch.no_grad(), tapped(model, group, tap) as called:
            model.capture(tokens, [last], lambda tensor: tensor[:0])
        reached |= called
    refuse_unreached(model, group, reached)


@contextmanager
def tapped(
    model: LanguageModel,
    group: Sequence[Matrix],
    tap: Callable[[Matrix, Tensor, Tensor], None],
) -> Generator[set[str], None, None]:
    """Call `tap` with what enters and leaves each matrix; yield the names of those that ran."""
    called: set[str] = set()

    def hook(matrix: Matrix) -> Any:
        def function(
            _module: nn.Module, args: tuple[Any, ...], given: dict[str, Any], output: Any
        ) -> None:
            if matrix.name in called:
                raise InputError(
                    f"{matrix} of {model.name} runs more than once in a pass; its gradient is a "
                    "sum that cannot be split by text. Leave it out with `among`."
                )
            called.add(matrix.name)
            tap(matrix, args[0] if args else next(iter(given.values())), output)

        return function

    with uncompiled(), ExitStack() as stack:
        for matrix in group:
            module = matrix.module(model)
            handle = module.register_forward_hook(hook(matrix), with_kwargs=True, prepend=True)
            stack.callback(handle.remove)
        yield called


def tells_rows_apart(model: LanguageModel, group: Sequence[Matrix]) -> bool:
    """Whether every matrix sees `[batch pos d_in]`; experts see a heap of tokens, or none."""
    tokens = Tokens.pad([[model.pad_id] * 3] * 2, model.pad_id)
    apart: list[bool] = []

    def tap(_matrix: Matrix, entered: Tensor, _output: Tensor) -> None:
        apart.append(entered.ndim == 3 and entered.shape[:2] == tokens.ids.shape)

    last = Site(max(matrix.layer for matrix in group), "resid_post")
    with evaluating(model.network), tapped(model, group, tap):
        model.capture(tokens, [last], lambda tensor: tensor[:0])
    return len(apart) == len(group) and all(apart)


def refuse_unreached(model: LanguageModel, group: Sequence[Matrix], reached: set[str]) -> None:
    """Refuse matrices that no text reached: their scores would be 0 for the wrong reason."""
    missing = [str(matrix) for matrix in group if matrix.name not in reached]
    if missing:
        raise InputError(
            f"No text reached {', '.join(missing[:4])} of {model.name}: the block uses the weight "
            "without running its module, or routes nothing there. Leave it out with `among`."
        )
