"""Greedy decoding of two copies of a model in lockstep, token by token.

The speed of a shared machine changes from second to second by more than steering costs, so two
generations one after the other cannot tell a few percent. Two passes one after the other can. It
needs nothing but torch and transformers, for the peers' environments.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from transformers import DynamicCache

BLOCK, PROMPT = 48, 16
"""Tokens decoded after a prompt, and the prompt's."""
Contest = tuple[Any, Any, Callable[[], AbstractContextManager[Any]]]
"""A plain network, another that is steered, and the context in which it is."""


def ratios(contests: Sequence[Contest], batch: int, blocks: int) -> list[float]:
    """Seconds of a steered pass over those of a plain one, of every pair of passes.

    Args:
        contests: take turns, a block each. Two in which two copies of a model change sides leave
            neither an advantage from its place in memory.
        batch: rows.
        blocks: prompts; each gives `BLOCK` pairs. One more warms up.
    """
    found = []
    for block in range(blocks + 1):
        plain, steered, context = contests[block % len(contests)]
        ids = torch.randint(100, 20000, (batch, PROMPT), generator=torch.Generator().manual_seed(1))
        beside = _Decoding(plain, ids)
        with context():
            within = _Decoding(steered, ids)
            for number in range(BLOCK):
                if number % 2:
                    before, now = beside.step(), within.step()
                else:
                    now, before = within.step(), beside.step()
                if block:
                    found.append(now / before)
    return found


class _Decoding:
    """One greedy generation, a token at a time."""

    def __init__(self, network: Any, ids: torch.Tensor) -> None:
        self.network, self.cache = network, DynamicCache()
        self.token = self._next(ids)

    def step(self) -> float:
        """Decode one token; the seconds that took."""
        start = time.perf_counter()
        self.token = self._next(self.token)
        return time.perf_counter() - start

    def _next(self, ids: torch.Tensor) -> torch.Tensor:
        start = self.cache.get_seq_length()
        # Given, as `generate` gives them: repeng reads them.
        places = torch.arange(start, start + ids.shape[1]).expand(len(ids), -1)
        with torch.no_grad():
            found = self.network(
                input_ids=ids, position_ids=places, past_key_values=self.cache, use_cache=True
            )
        return found.logits[:, -1:].argmax(dim=-1)
