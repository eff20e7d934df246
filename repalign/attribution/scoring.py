"""Importance: how much each weight matters for a set of responses, one matrix after another."""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from repalign.attribution.backward import Backward
from repalign.attribution.finding import Matrix, chosen
from repalign.attribution.passing import inputs
from repalign.attribution.texts import texts_of, tokens_per_pass
from repalign.errors import InputError, unknown
from repalign.examples import Example
from repalign.models import LanguageModel

MEMORY = 2**30
"""Bytes of sums kept at once, beyond the model and the graph of one pass."""
METHODS = ("snip", "wanda")
Progress = Callable[[int, int], None]
"""Called with groups of matrices done and groups in all."""
Scored = tuple[Matrix, Float[Tensor, "rows columns"]]


def snip(
    model: LanguageModel,
    examples: Sequence[Example],
    *,
    reduce: str = "sum",
    among: Sequence[Matrix] | None = None,
    span: str = "answer",
    memory: int = MEMORY,
    max_tokens: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Scored]:
    """SNIP importance `|W| · Σₙ |dLₙ/dW|`, Lₙ the mean loss of example n's response tokens.

    As arXiv 2402.05162 and its code sum it: the gradient of each example by itself, in absolute
    value. With `reduce="mean"` it is the mean of `|W · dLₙ/dW|`, that is the sum divided by the
    number of examples: every ranking is the same.

    The sums of as many matrices as fit into `memory` are kept at once, at least one's. Where that
    is not all of them, a first pass keeps states and gradients between such groups, three numbers
    of `d_model` for each position and group, and each group then runs its own blocks: about twice
    the time of a single pass, however many groups there are, plus the blocks that several groups
    share. Nothing is computed before the first matrix is asked for.

    Args:
        model: it stays as it is.
        examples: chats that end in an answer, or whatever `span` reads.
        reduce: `sum` or `mean` over examples.
        among: some of `matrices(model)`; all unless given.
        span: which tokens are the response; the others are context and have no loss.
        memory: bytes of sums kept at once.
        max_tokens: positions of a pass, padding included; None takes what suits the device. The
            scores do not depend on it, but for rounding.
        progress: called after each group of matrices.

    Yields:
        Each matrix with its scores in the parameter's own shape, float32 at least.

    Raises:
        InputError: an example without response tokens, weights that cannot be scored (see
            `matrices`), or a module that is not run in the plain way.
    """
    if reduce not in ("sum", "mean"):
        raise unknown("way to reduce", reduce, ("sum", "mean"))
    texts = texts_of(model, examples, span)
    groups = grouped(chosen(model, among), lambda matrix: 4 * matrix.size, memory)
    backward = Backward(model, texts, groups, max_tokens or tokens_per_pass(model))
    for number, group in enumerate(groups, start=1):
        sums = _summed_gradients(model, backward, group)
        for matrix in group:
            total = sums.pop(matrix.name)
            size = matrix.weight(model).detach().abs().to(total.dtype)
            scores = total.mul_(size)
            yield matrix, scores.div_(len(texts)) if reduce == "mean" else scores
        if progress is not None:
            progress(number, len(groups))


def wanda(
    model: LanguageModel,
    examples: Sequence[Example],
    *,
    among: Sequence[Matrix] | None = None,
    span: str = "answer",
    max_tokens: int | None = None,
) -> Iterator[Scored]:
    """Wanda importance `|W_ij| · ‖X_j‖₂`, X what enters the matrix at the response's tokens.

    Of arXiv 2306.11695, with the prompt's tokens left out as in the code of 2402.05162. One pass
    over the examples, forward only; what is kept is one number for each input of each matrix.

    Args:
        model: it stays as it is.
        examples: as for `snip`.
        among: some of `matrices(model)`; all unless given.
        span: which tokens count.
        max_tokens: positions of a pass, padding included.

    Yields:
        Each matrix with its scores in the parameter's own shape, float32 at least.

    Raises:
        InputError: as `snip`; and a matrix that does not see every token, such as an expert.
    """
    texts = texts_of(model, examples, span)
    found = chosen(model, among)
    squares = {one.name: torch.zeros(one.d_in, dtype=torch.float64) for one in found}

    def consume(_index: int, matrix: Matrix, states: Tensor) -> None:
        squares[matrix.name] += states.double().square().sum(0).cpu()

    inputs(model, texts, found, consume, max_tokens or tokens_per_pass(model))
    for matrix in found:
        yield matrix, wanda_scores(model, matrix, squares[matrix.name])


def importance(
    model: LanguageModel, examples: Sequence[Example], method: str = "snip", **options: object
) -> Iterator[Scored]:
    """`snip` or `wanda`, by name.

    Raises:
        InputError: there is no such method.
    """
    if method not in METHODS:
        raise unknown("importance", method, METHODS)
    function: Callable[..., Iterator[Scored]] = snip if method == "snip" else wanda
    return function(model, examples, **options)


def grouped(
    among: Sequence[Matrix], bytes_of: Callable[[Matrix], int], memory: int
) -> list[list[Matrix]]:
    """Cut matrices into runs that fit into `memory` bytes; a run has one matrix at least."""
    if memory <= 0:
        raise InputError(f"`memory` is a number of bytes above 0; {memory} was given.")
    groups: list[list[Matrix]] = []
    held = 0
    for matrix in among:
        needed = bytes_of(matrix)
        if not groups or held + needed > memory:
            groups.append([])
            held = 0
        groups[-1].append(matrix)
        held += needed
    return groups


def _summed_gradients(
    model: LanguageModel, backward: Backward, group: Sequence[Matrix]
) -> dict[str, Tensor]:
    """The sum of the absolute gradients of all texts by each matrix of a group."""
    sums = {
        matrix.name: torch.zeros(
            matrix.shape, dtype=sum_dtype(model, matrix), device=matrix.weight(model).device
        )
        for matrix in group
    }

    def consume(_index: int, matrix: Matrix, gradient: Tensor) -> None:
        sums[matrix.name] += gradient.abs_()

    backward.run(group, consume)
    return sums


def sum_dtype(model: LanguageModel, matrix: Matrix) -> torch.dtype:
    """The number format of sums: float32, or float64 of a model in float64."""
    return torch.promote_types(matrix.weight(model).dtype, torch.float32)


def wanda_scores(
    model: LanguageModel, matrix: Matrix, squares: Float[Tensor, " d_in"]
) -> Float[Tensor, "rows columns"]:
    """`|W|` times the norm of each of its inputs, from the sums of their squares."""
    size = matrix.weight(model).detach().abs().to(sum_dtype(model, matrix))
    norms = squares.sqrt().to(size)
    return size * (norms[:, None] if matrix.transposed else norms)
