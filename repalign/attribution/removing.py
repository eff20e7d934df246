"""Removing: a model without some weights, or without a subspace, while a context is open."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from repalign.attribution.finding import Matrix, chosen
from repalign.attribution.passing import inputs
from repalign.attribution.scoring import MEMORY, grouped
from repalign.attribution.texts import Text, texts_of, tokens_per_pass
from repalign.attribution.weight_sets import WeightSets
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel


@dataclass(frozen=True, eq=False)
class Removal:
    """What is taken out of one matrix's output, and what is spared."""

    removed: Float[Tensor, "d_out removed"]
    """Orthonormal columns that span what is removed."""
    kept: Float[Tensor, "d_out kept"]
    """Orthonormal columns that span what stays."""
    transposed: bool

    def change(self, weight: Tensor) -> Tensor:
        """`(I − Π_kept) Π_removed W`, in float64, in the shape of the parameter."""
        matrix = (weight.T if self.transposed else weight).double()
        removed, kept = self.removed.to(matrix), self.kept.to(matrix)
        part = removed @ (removed.T @ matrix)
        part = part - kept @ (kept.T @ part)
        return part.T if self.transposed else part


@contextmanager
def zeroed(model: LanguageModel, sets: WeightSets) -> Generator[None, None, None]:
    """Set weights to 0 while the context is open; afterwards every bit is as it was.

    Args:
        model: whose weights are edited in place.
        sets: places in the flattened matrices, such as `exclusive` returns.

    Raises:
        InputError: a parameter that the model does not have, or places outside of it.
    """
    flat: dict[str, Tensor] = {}
    for name, places in sets.items():
        weight = _parameter(model, name)
        if len(places) and not 0 <= int(places.min()) <= int(places.max()) < weight.numel():
            raise InputError(
                f"The weight set of {name} has places outside of its {weight.numel()} weights; it "
                "was made for another model."
            )
        flat[name] = places.to(weight.device)
    with torch.no_grad():
        before = {name: _parameter(model, name).view(-1)[at] for name, at in flat.items()}
    try:
        with torch.no_grad():
            for name, places in flat.items():
                _parameter(model, name).view(-1)[places] = 0
        yield
    finally:
        with torch.no_grad():
            for name, places in flat.items():
                _parameter(model, name).view(-1)[places] = before[name]


@contextmanager
def projected_out(
    model: LanguageModel, removals: Mapping[str, Removal]
) -> Generator[None, None, None]:
    """Take subspaces out of matrices while the context is open; afterwards every bit is as it was.

    A copy of each edited matrix is kept meanwhile.

    Raises:
        InputError: a parameter that the model does not have, or one of another shape.
    """
    for name, removal in removals.items():
        shape = _parameter(model, name).shape
        if shape[1 if removal.transposed else 0] != len(removal.removed):
            raise InputError(
                f"{name} has shape {tuple(shape)}; the removal is of {len(removal.removed)} "
                "outputs, and so of another model."
            )
    before = {name: _parameter(model, name).detach().clone() for name in removals}
    try:
        with torch.no_grad():
            for name, removal in removals.items():
                weight = _parameter(model, name)
                weight.copy_(weight.double() - removal.change(weight))
        yield
    finally:
        with torch.no_grad():
            for name, weight in before.items():
                _parameter(model, name).copy_(weight)


def low_rank(
    model: LanguageModel,
    wanted: Sequence[Example],
    others: Sequence[Example],
    *,
    rank: int,
    keep_rank: int,
    among: Sequence[Matrix] | None = None,
    span: str = "answer",
    memory: int = MEMORY,
    max_tokens: int | None = None,
) -> dict[str, Removal]:
    """Find what a matrix says in one set of responses and not in another (ActSVD).

    The first `rank` left singular vectors of `W X` on `wanted` span what is removed, the first
    `keep_rank` on `others` what is spared: `ΔW = (I − Π_others) Π_wanted W`, our reading of
    arXiv 2402.05162 and its code. Differs from that: the singular vectors are exact, from the
    eigenvectors of `W X Xᵀ Wᵀ`, and those of every layer come from the model as it is, not from
    one whose lower layers are edited already.

    Args:
        model: it stays as it is.
        wanted: whose subspace is removed.
        others: whose subspace is spared.
        rank: of what is removed, from each matrix.
        keep_rank: of what is spared; 0 spares nothing.
        among: some of `matrices(model)`; all unless given.
        span: which tokens are the response.
        memory: bytes of `X Xᵀ` kept at once; each group of matrices costs a pass over both sets.
        max_tokens: positions of a pass, padding included.

    Raises:
        InputError: a rank below 1 or above a matrix's outputs, or what `snip` refuses.
    """
    found = chosen(model, among)
    width = max_tokens or tokens_per_pass(model)
    least = min(min(matrix.shape) for matrix in found)
    if not 1 <= rank <= least or not 0 <= keep_rank <= least:
        raise InputError(
            f"A rank is 1 to {least}, and `keep_rank` 0 to {least}, the smallest side of these "
            f"matrices; {rank} and {keep_rank} were given."
        )
    readied = [texts_of(model, wanted, span, "wanted"), texts_of(model, others, span, "others")]
    removals: dict[str, Removal] = {}
    # Two sets, and float64.
    for group in grouped(found, lambda matrix: 2 * 8 * matrix.d_in**2, memory):
        grams = [_grams(model, texts, group, width) for texts in readied]
        for matrix in group:
            weight = matrix.weight(model).detach().double()
            weight = weight.T if matrix.transposed else weight
            spans = [
                _leading(weight @ gram.pop(matrix.name) @ weight.T, most)
                for gram, most in zip(grams, (rank, keep_rank), strict=True)
            ]
            removals[matrix.name] = Removal(spans[0], spans[1], matrix.transposed)
    return removals


def random_removals(removals: Mapping[str, Removal], seed: int = 0) -> dict[str, Removal]:
    """Random subspaces of the same ranks removed, the same ones spared: the control."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, one in sorted(removals.items()):
        drawn = torch.randn(one.removed.shape, generator=generator, dtype=torch.float64)
        found[name] = Removal(torch.linalg.qr(drawn).Q.to(one.removed), one.kept, one.transposed)
    return found


def _grams(
    model: LanguageModel, texts: Sequence[Text], group: Sequence[Matrix], max_tokens: int
) -> dict[str, Tensor]:
    """`X Xᵀ` of what enters each matrix, `[d_in d_in]`, float64."""
    grams = {
        matrix.name: torch.zeros(
            matrix.d_in, matrix.d_in, dtype=torch.float64, device=matrix.weight(model).device
        )
        for matrix in group
    }

    def consume(_index: int, matrix: Matrix, states: Tensor) -> None:
        high = states.double()
        grams[matrix.name] += high.T @ high

    inputs(model, texts, group, consume, max_tokens)
    return grams


def _leading(gram: Float[Tensor, "d_out d_out"], rank: int) -> Float[Tensor, "d_out rank"]:
    """Eigenvectors of the largest eigenvalues; fewer where the rest is 0."""
    values, vectors = torch.linalg.eigh(gram)
    real = int((values > values[-1].clamp(min=0) * 1e-12).sum())
    return vectors[:, len(values) - min(rank, real) :].flip(1)


def _parameter(model: LanguageModel, name: str) -> nn.Parameter:
    try:
        return model.network.get_parameter(name)
    except AttributeError as error:
        raise InputError(
            f"{model.name} has no parameter {name!r}; the set was made for another model."
        ) from error
