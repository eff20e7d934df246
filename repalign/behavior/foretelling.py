"""Foretelling: which token a model expects after given ones, at few positions or at all."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from repalign import checks
from repalign.activations.conditions import whole_texts
from repalign.errors import InputError
from repalign.models import LanguageModel, Team, passes
from repalign.models.memory import positions_per_pass
from repalign.models.modes import evaluating
from repalign.prefixes import Plan, Trie, cut_into_pieces
from repalign.sites import Site
from repalign.tokens import Tokens

_LOGIT_BYTES = 2**28
"""Of float32 logits in one pass, about."""
_PIECE_TOKENS = 4096
"""Distinct prefixes that are planned together, at least as many as eight passes have."""


class Foretold(NamedTuple):
    """What one pass foretells. Positions are counted through all texts, those asked for only."""

    entries: np.ndarray
    """Which of the positions asked for were read."""
    source: np.ndarray
    """For each of them its row in `logprobs`: texts with one beginning share rows."""
    logprobs: Tensor
    """Of the next token, `[row vocab]`, float32, on the device of the head."""


def foretell(
    model: LanguageModel,
    texts: Sequence[Sequence[int]],
    positions: Sequence[Sequence[int]],
    max_tokens: int | None = None,
) -> Iterator[Foretold]:
    """Read next-token log-probabilities of texts.

    Each distinct prefix is computed once where the model and what is written to it allow that, and
    the language-model head sees only the positions asked for.

    Args:
        model: the model; its first use runs its self-checks.
        texts: token ids of each text.
        positions: ascending positions of each text, none empty.
        max_tokens: positions of one pass, padding included; None takes what suits the machine.

    Yields:
        What each pass foretells; every position comes in one pass.

    Raises:
        CheckError: the model fails a self-check.
    """
    report = checks.ensure(model)
    share = whole_texts(model, report, max(map(len, texts))) is None
    limit = _limit(model, texts, positions) if max_tokens is None else max_tokens
    limit = Team.of(model).agree(limit) or limit
    counts = np.array([len(kept) for kept in positions])
    starts = np.cumsum(counts) - counts
    reader, site = _AtHead(model), model.sites()[-1]
    for piece in cut_into_pieces(
        texts,
        counts.tolist(),
        max_tokens=max(_PIECE_TOKENS, 8 * limit),
        max_rows=int(counts.sum()),
    ):
        inside = [texts[index] for index in piece]
        trie = Trie.of(inside, [positions[index] for index in piece], share=share)
        plan = Plan.of(trie, limit) if share else Plan.whole(trie, _of_whole(model, inside, limit))
        entries = np.concatenate([starts[i] + np.arange(counts[i]) for i in piece])
        row = np.full(len(trie), -1)
        with evaluating(model.network):
            for found in passes.run(reader, plan, [site]):
                if not len(found.nodes):
                    continue
                row[:] = -1
                row[found.nodes] = np.arange(len(found.nodes))
                source = row[trie.wanted]
                read = source >= 0
                logprobs = torch.log_softmax(found.values[site], dim=-1)
                yield Foretold(entries[read], source[read], logprobs)


def _limit(
    model: LanguageModel, texts: Sequence[Sequence[int]], positions: Sequence[Sequence[int]]
) -> int:
    share = sum(map(len, positions)) / sum(map(len, texts))
    vocabulary = model.network.config.get_text_config(decoder=True).vocab_size
    fitting = int(_LOGIT_BYTES / (4 * vocabulary * share))
    return max(1, min(positions_per_pass(model), fitting))


def _of_whole(model: LanguageModel, texts: Sequence[Sequence[int]], limit: int) -> int:
    """Positions of a pass of whole texts."""
    scaled = model.architecture.scaled_beyond
    # In a batch the longest text would scale the positions of all.
    return 1 if scaled is not None and max(map(len, texts)) > scaled else limit


class _AtHead(LanguageModel):
    """A model that is read where the states enter its head: what is read there is logits."""

    def __init__(self, model: LanguageModel) -> None:
        self.__dict__.update(model.__dict__)

    def capture(
        self,
        tokens: Tokens,
        sites: Sequence[Site],
        keep: Callable[[Tensor], Tensor] = lambda tensor: tensor,
        **options: Any,
    ) -> dict[Site, Tensor]:
        """Run a whole pass; give the logits, float32, of what `keep` keeps as all sites' values."""
        entered: list[int] = []

        def pick(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
            hidden = args[0]
            if hidden.shape[:2] != tokens.ids.shape:
                return None
            kept = keep(hidden).to(hidden.device, hidden.dtype)
            entered.append(len(kept))
            # Some heads do not take an empty input.
            rows = kept if len(kept) else hidden[0, :1]
            return (rows.unsqueeze(0), *args[1:])

        head = self.network.get_output_embeddings()
        # At the head's door, so that what a family does to its logits afterwards is done too.
        handle = None if head is None else head.register_forward_pre_hook(pick, prepend=True)
        try:
            with torch.no_grad():
                logits: Tensor = self.forward(tokens, **options).logits
        finally:
            if handle is not None:
                handle.remove()
        if entered and logits.shape[:2] == (1, max(1, entered[0])):
            return dict.fromkeys(sites, logits[0, : entered[0]].float())
        if entered or logits.shape[:2] != tokens.ids.shape:
            raise InputError(
                f"{self.name} gives logits of shape {tuple(logits.shape)} for tokens of shape "
                f"{tuple(tokens.ids.shape)}: its positions cannot be told apart."
            )
        return dict.fromkeys(sites, keep(logits))
