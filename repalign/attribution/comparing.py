"""conflict(): do sets of responses need the same weights, and want the same change of them?"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from repalign.attribution.backward import Backward
from repalign.attribution.blocks import in_blocks
from repalign.attribution.calibrating import calibration
from repalign.attribution.comparison import Conflict
from repalign.attribution.counting import Counts, Scorer, count
from repalign.attribution.finding import Matrix, chosen
from repalign.attribution.passing import inputs
from repalign.attribution.scoring import (
    MEMORY,
    METHODS,
    Progress,
    grouped,
    sum_dtype,
    wanda_scores,
)
from repalign.attribution.texts import Text, texts_of, tokens_per_pass
from repalign.errors import InputError, unknown
from repalign.examples import Example
from repalign.models import LanguageModel


def conflict(
    model: LanguageModel,
    sets: Mapping[str, Sequence[Example]] | None = None,
    *,
    q: float = 0.1,
    method: str = "snip",
    among: Sequence[Matrix] | None = None,
    span: str = "answer",
    blocks: int = 8,
    seed: int = 0,
    memory: int = MEMORY,
    max_tokens: int | None = None,
    progress: Progress | None = None,
) -> Conflict:
    """Compare sets of responses by the weights that matter for them and by their gradients.

    For each matrix, each layer, each kind of matrix and the whole model: the Jaccard overlap of the
    top-q weights (arXiv 2402.05162, ranked in each matrix) between its ceiling and its floor, and
    the signed side that an absolute value hides: the cosine of the two mean gradients, and the
    share of equal signs among the top weights of either set. The ceilings, the floor, the signed
    measures and all intervals are our own; see `Measured`.

    The gradients of as many matrices as fit into `memory` are summed at once, in 2 · blocks · sets
    sums of four bytes a weight. Several such groups cost about twice the time of one, see `snip`.

    Args:
        model: it stays as it is.
        sets: two or more, by name; `calibration()` unless given.
        q: share of each matrix that counts as important.
        method: of importance, `snip` or `wanda`; the signed measures are the same for both.
        among: some of `matrices(model)`; all unless given.
        span: which tokens are the response.
        blocks: into how many parts the groups of each set go; intervals leave out one at a time.
        seed: of the parts, and of the shuffles for the floor.
        memory: bytes of sums kept at once; at least one matrix's are.
        max_tokens: positions of a pass, padding included.
        progress: called after each group of matrices.

    Raises:
        InputError: fewer than two sets, a set with fewer groups than blocks, an example without
            response tokens, or weights that cannot be scored (see `matrices`).
    """
    given = calibration(seed=seed) if sets is None else sets
    if len(given) < 2:
        raise InputError(f"A conflict is between two sets at least; {len(given)} was given.")
    if method not in METHODS:
        raise unknown("importance", method, METHODS)
    if not 0 < q < 1:
        raise InputError(f"`q` is a share of the weights between 0 and 1; {q} was given.")
    found = chosen(model, among)
    names = list(given)
    texts = [texts_of(model, rows, span, name) for name, rows in given.items()]
    assigned = in_blocks([[text.group for text in rows] for rows in texts], names, blocks, seed)
    work = _Work(model, texts, assigned, blocks, method, max_tokens or tokens_per_pass(model))
    groups = grouped(found, work.bytes_of, memory)
    work.begin(groups)
    generator = torch.Generator().manual_seed(seed)
    counts: list[Counts] = []
    for number, group in enumerate(groups, start=1):
        signed, sums = work.summed(group)
        for matrix in group:
            parts = signed.pop(matrix.name), sums.pop(matrix.name)
            counts.append(count(*parts, work.scorer(matrix), q, generator))
        if progress is not None:
            progress(number, len(groups))
    return Conflict(
        tuple(names),
        tuple(combinations(names, 2)),
        tuple(found),
        tuple(counts),
        {name: len({text.group for text in rows}) for name, rows in zip(names, texts, strict=True)},
        q,
        {
            "model": model.name,
            "fingerprint": model.fingerprint,
            "importance": method,
            "span": span,
            "blocks": blocks,
            "seed": seed,
            "groups_of_matrices": len(groups),
            "examples": {name: len(rows) for name, rows in zip(names, texts, strict=True)},
            "response_tokens": {
                name: sum(len(text.response) for text in rows)
                for name, rows in zip(names, texts, strict=True)
            },
        },
    )


class _Work:
    """Sums over the examples of each block, for a group of matrices at a time."""

    def __init__(
        self,
        model: LanguageModel,
        texts: Sequence[Sequence[Text]],
        assigned: Sequence[np.ndarray],
        blocks: int,
        method: str,
        max_tokens: int,
    ) -> None:
        self.model, self.texts, self.assigned = model, texts, assigned
        self.blocks, self.method, self.max_tokens = blocks, method, max_tokens
        self.backwards: list[Backward] = []

    def begin(self, groups: Sequence[Sequence[Matrix]]) -> None:
        self.backwards = [
            Backward(self.model, texts, groups, self.max_tokens) for texts in self.texts
        ]

    def bytes_of(self, matrix: Matrix) -> int:
        kinds = 2 if self.method == "snip" else 1
        return 4 * kinds * len(self.texts) * self.blocks * matrix.size

    def scorer(self, matrix: Matrix) -> Scorer:
        if self.method == "wanda":
            return lambda squares: wanda_scores(self.model, matrix, squares)
        size = matrix.weight(self.model).detach().abs()
        return lambda summed: summed * size

    def summed(self, group: Sequence[Matrix]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Gradients, and what importance is made of, by block: `[set block …]` of each matrix."""
        signed = {matrix.name: self._zeros(matrix, matrix.shape) for matrix in group}
        if self.method == "wanda":
            sums = {matrix.name: self._zeros(matrix, (matrix.d_in,)) for matrix in group}
        else:
            sums = {matrix.name: self._zeros(matrix, matrix.shape) for matrix in group}
        for number, (texts, block) in enumerate(zip(self.texts, self.assigned, strict=True)):

            def add(
                index: int,
                matrix: Matrix,
                gradient: Tensor,
                at: int = number,
                block: np.ndarray = block,
            ) -> None:
                signed[matrix.name][at, block[index]] += gradient
                if self.method == "snip":
                    sums[matrix.name][at, block[index]] += gradient.abs_()

            def square(
                index: int,
                matrix: Matrix,
                states: Tensor,
                at: int = number,
                block: np.ndarray = block,
            ) -> None:
                sums[matrix.name][at, block[index]] += states.to(torch.float32).square().sum(0)

            self.backwards[number].run(group, add)
            if self.method == "wanda":
                inputs(self.model, texts, group, square, self.max_tokens)
        return signed, sums

    def _zeros(self, matrix: Matrix, shape: tuple[int, ...]) -> Tensor:
        weight = matrix.weight(self.model)
        return torch.zeros(
            len(self.texts),
            self.blocks,
            *shape,
            dtype=sum_dtype(self.model, matrix),
            device=weight.device,
        )
