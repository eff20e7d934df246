"""Backward: the gradient of each text's loss by each matrix, for a group of matrices at a time.

With more than one group, a first pass over the texts keeps the states that enter each group's
lowest block and the gradients that come back to the output of its highest; then each group runs its
own blocks only. All groups together cost about twice what one pass over the whole model costs.
"""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from repalign.attribution.finding import Matrix
from repalign.attribution.modes import differentiating, skipped
from repalign.attribution.passing import (
    Consumer,
    losses,
    refuse_unreached,
    tapped,
    tells_rows_apart,
)
from repalign.attribution.texts import Text, batches
from repalign.errors import CheckError, InputError
from repalign.models import LanguageModel, StopForward
from repalign.models.hooking import SiteFunction
from repalign.sites import Site
from repalign.tokens import Tokens

# Relative difference of a gradient that rounding may make between two runs of the same blocks.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
_COARSE = 0.1


@dataclass(frozen=True, eq=False)
class _Kept:
    """What the first pass keeps of one batch; on the CPU, by layer."""

    entered: dict[int, Tensor] = field(default_factory=dict)
    """States that enter a block."""
    above: dict[int, Tensor] = field(default_factory=dict)
    """Gradients by a block's output."""
    below: dict[int, Tensor] = field(default_factory=dict)
    """Gradients by what enters a block."""


class Backward:
    """Gradients of the texts of one set.

    What is kept between groups is three states of `d_model` numbers for each group and position of
    the texts, on the CPU. Beyond that and the model, memory holds the graph of one pass through a
    group's blocks and one gradient.
    """

    def __init__(
        self,
        model: LanguageModel,
        texts: Sequence[Text],
        groups: Sequence[Sequence[Matrix]],
        max_tokens: int,
    ) -> None:
        """Prepare the passes; with more than one group, run the first.

        Args:
            model: read in evaluation mode; no parameter's `requires_grad` or `grad` changes.
            texts: what is read.
            groups: of matrices, each to be asked for with `run`.
            max_tokens: positions of a pass, padding included.

        Raises:
            InputError: a matrix runs twice in one pass.
        """
        self._model, self._texts = model, texts
        every = [matrix for group in groups for matrix in group]
        self._by_row = tells_rows_apart(model, every)
        self._batches = list(batches(texts, max_tokens, self._by_row))
        self._lengths: dict[int, int] = {}
        self._kept = [_Kept() for _ in self._batches] if len(groups) > 1 else []
        if self._kept:
            self._record([_ends(group) for group in groups])

    def run(self, group: Sequence[Matrix], consume: Consumer) -> None:
        """Hand over the gradient of each text's loss by each matrix of a group.

        Args:
            group: one of the groups.
            consume: called once for each text and matrix that the text reached, with the gradient
                in the matrix's shape, float32 at least.

        Raises:
            InputError: a matrix runs twice in one pass or in none, or its input is changed in
                place.
            CheckError: blocks pass on more than their output, such as shared keys and values.
        """
        reached: set[str] = set()
        for number, batch in enumerate(self._batches):
            reached |= self._one(number, batch, group, consume)
        refuse_unreached(self._model, group, reached)

    def _one(
        self, number: int, batch: list[int], group: Sequence[Matrix], consume: Consumer
    ) -> set[str]:
        model, texts = self._model, [self._texts[index] for index in batch]
        tokens = _tokens(model, texts)
        lengths = [len(text.ids) for text in texts] if self._by_row else None

        def tap(matrix: Matrix, entered: Tensor, output: Tensor) -> None:
            _follow(matrix, entered, output, batch, lengths, consume)

        low, high = _ends(group)
        with differentiating(model):
            if not self._kept:
                with (
                    model.hooked({Site(low, "resid_pre"): lambda states: _rooted(states)[1]}),
                    tapped(model, group, tap) as called,
                ):
                    loss = losses(model, tokens, texts).sum()
                loss.backward()
                return called
            kept = self._kept[number]
            root, out, called = self._replay(tokens, kept, (low, high), group, tap)
            torch.autograd.backward(out, kept.above[high].to(out))
            self._check(root, kept.below[low], low)
        return called

    def _record(self, ends: Sequence[tuple[int, int]]) -> None:
        """Run the whole model once, and keep what the groups begin and end with."""
        model = self._model
        lowest = min(low for low, _ in ends)
        for kept, batch in zip(self._kept, self._batches, strict=True):
            texts = [self._texts[index] for index in batch]
            functions: dict[Site, SiteFunction] = {}
            for layer in {low for low, _ in ends}:
                functions[Site(layer, "resid_pre")] = _enters(kept, layer, layer == lowest)
            for layer in {high for _, high in ends}:
                functions[Site(layer, "resid_post")] = _leaves(kept, layer)
            with differentiating(model):
                with model.hooked(functions), self._measured_outputs():
                    loss = losses(model, _tokens(model, texts), texts).sum()
                loss.backward()

    def _replay(
        self,
        tokens: Tokens,
        kept: _Kept,
        ends: tuple[int, int],
        group: Sequence[Matrix],
        tap: Any,
    ) -> tuple[Tensor, Tensor, set[str]]:
        """Run a group's blocks alone; what it begins and ends with, and the matrices that ran."""
        model, (low, high) = self._model, ends
        found: list[Tensor] = []

        def begin(states: Tensor) -> Tensor:
            root, entered = _rooted(kept.entered[low].to(states))
            found.append(root)
            return entered

        def end(states: Tensor) -> None:
            found.append(states)
            raise StopForward

        with (
            skipped(model.architecture.layers[:low], self._lengths),
            model.hooked({Site(low, "resid_pre"): begin, Site(high, "resid_post"): end}),
            tapped(model, group, tap) as called,
            suppress(StopForward),
        ):
            model.forward(tokens)
        return found[0], found[1], called

    def _check(self, root: Tensor, expected: Tensor, layer: int) -> None:
        """A group's blocks alone have to send down what the whole model sends down."""
        assert root.grad is not None
        whole = expected.to(root.grad)
        error = float((root.grad - whole).norm())
        allowed = _TOLERANCE.get(root.dtype, _COARSE) * float(whole.norm())
        if not error <= allowed + 1e-12:
            raise CheckError(
                f"The blocks of {self._model.name} from layer {layer} on pass on more than their "
                f"output: run by themselves, their gradient differs by {error:.2g} where "
                f"{allowed:.2g} is allowed. Give `memory` that holds all matrices at once, so that "
                "the whole model is run, or fewer matrices with `among`."
            )

    @contextmanager
    def _measured_outputs(self) -> Generator[None, None, None]:
        """Note of each block whether it puts out a tensor (0) or a tuple, and how long."""

        def hook(layer: int) -> Any:
            def function(_module: nn.Module, _args: Any, output: Any) -> None:
                self._lengths[layer] = len(output) if isinstance(output, tuple | list) else 0

            return function

        with ExitStack() as stack:
            for layer, block in enumerate(self._model.architecture.layers):
                stack.callback(block.register_forward_hook(hook(layer)).remove)
            yield


def _ends(group: Sequence[Matrix]) -> tuple[int, int]:
    layers = [matrix.layer for matrix in group]
    return min(layers), max(layers)


def _tokens(model: LanguageModel, texts: Sequence[Text]) -> Tokens:
    return Tokens.pad([text.ids for text in texts], model.pad_id)


def _rooted(states: Tensor) -> tuple[Tensor, Tensor]:
    """A leaf that collects the gradient, and a copy of it, for a block may write to its input."""
    root = states.detach().clone().requires_grad_(True)
    return root, root.clone()


def _enters(kept: _Kept, layer: int, lowest: bool) -> SiteFunction:
    def function(states: Tensor) -> Tensor | None:
        kept.entered[layer] = states.detach().to("cpu", copy=True)
        new = _rooted(states)[1] if lowest else states
        new.register_hook(lambda delta: kept.below.update({layer: delta.to("cpu", copy=True)}))
        return new if lowest else None

    return function


def _leaves(kept: _Kept, layer: int) -> SiteFunction:
    def function(states: Tensor) -> None:
        states.register_hook(lambda delta: kept.above.update({layer: delta.to("cpu", copy=True)}))

    return function


def _follow(
    matrix: Matrix,
    entered: Tensor,
    output: Tensor,
    batch: Sequence[int],
    lengths: Sequence[int] | None,
    consume: Consumer,
) -> None:
    """Have each text's gradient consumed as soon as the backward pass comes by.

    Args:
        matrix: what ran.
        entered: what went into it.
        output: what came out.
        batch: which texts are in the pass.
        lengths: of each row without padding; None if the pass holds one text.
        consume: takes the gradients.
    """
    entered = entered.detach()
    version = entered._version

    def back(delta: Tensor) -> None:
        if entered._version != version:
            raise InputError(
                f"What {matrix} was given was changed in place afterwards: its gradient is lost. "
                "Leave it out with `among`."
            )
        kind = torch.promote_types(delta.dtype, torch.float32)
        for place, index in enumerate(batch):
            read = (entered, delta)
            if lengths is not None:
                read = (entered[place, : lengths[place]], delta[place, : lengths[place]])
            into, out = (tensor.reshape(-1, tensor.shape[-1]).to(kind) for tensor in read)
            consume(index, matrix, into.T @ out if matrix.transposed else out.T @ into)

    output.register_hook(back)
