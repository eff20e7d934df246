"""Branches: the state of answers that grow side by side, one row for each distinct beginning."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from repalign.models import LanguageModel
from repalign.tokens import Tokens


class Branches:
    """Rows of a batch that goes on token by token; rows can be doubled, moved and dropped.

    Padding is on the left. The state lies in room that is set aside once, so a step writes its own
    column only, and doubling or dropping a row copies that row only.
    """

    def __init__(
        self,
        model: LanguageModel,
        texts: Sequence[Sequence[int]],
        common: Sequence[DynamicLayer],
        rows: int,
        more: int,
    ) -> None:
        """Read prompts, all but the last token of each.

        Args:
            model: the model, whose state is a key-value cache.
            texts: token ids of each prompt: the first rows.
            common: the state of tokens that all of them begin with; see `beginning`.
            rows: room for rows.
            more: room for tokens after each prompt.
        """
        self._model = model
        tokens = Tokens.pad(texts, model.pad_id, side="left").to(model.device)
        width = tokens.ids.shape[1]
        self._pads = width - tokens.attended.sum(dim=1)
        self._columns = torch.arange(width + more, device=model.device)
        self._cache = DynamicCache()
        # What it makes a layer of, when a pass reaches one.
        self._cache.layer_class_to_replicate = partial(_Rows, rows, width + more)  # pyright: ignore[reportAttributeAccessIssue]
        self._read = 0
        if common:
            self._read = common[0].keys.shape[-2]  # pyright: ignore[reportOptionalMemberAccess]
            # Where a prompt is shorter than the longest, its beginning stands further right.
            columns = (self._columns[: self._read] - self._pads[:, None]).clamp(min=0)
            for index, layer in enumerate(common):
                keys, values = (
                    state[0][:, columns.to(state.device)].transpose(0, 1) for state in _state(layer)
                )
                self._cache.update(keys, values, index)
        if self._read < width - 1:
            self._pass(model.architecture.decoder, tokens.ids[:, self._read : -1])
        self._last = tokens.ids[:, -1:]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._pads)

    def logits(self) -> Tensor:
        """Read the last token of each row; what may follow, `[row vocab]`."""
        return self._pass(self._model.network, self._last).logits[:, -1]

    def go_on(self, parents: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Go on with other rows: each is one of the present rows and a token after it.

        Args:
            parents: the present row that each new row goes on from, ascending.
            tokens: the token that each adds.

        Returns:
            Where each new row is.
        """
        places = _places(parents)
        moved = np.flatnonzero(places != parents)
        here = torch.from_numpy(parents[moved]).to(self._model.device)
        there = torch.from_numpy(places[moved]).to(self._model.device)
        last = np.empty(len(places), dtype=np.int64)
        last[places] = tokens
        pads = self._pads.new_empty(max(len(places), len(self)))
        pads[: len(self)] = self._pads
        pads[there] = self._pads[here]
        self._pads = pads[: len(places)]
        self._last = torch.from_numpy(last).to(self._model.device)[:, None]
        if len(moved):
            for layer in self._cache.layers:
                assert isinstance(layer, _Rows)
                layer.move(here, there)
        return places

    def _pass(self, module: Any, ids: Tensor) -> Any:
        self._read += ids.shape[1]
        columns = self._columns[: self._read]
        inputs = {"attention_mask": (columns >= self._pads[:, None]).long()}
        if "position_ids" in self._model.architecture.forward_names:
            places = columns[-ids.shape[1] :] - self._pads[:, None]
            inputs["position_ids"] = places.clamp(min=0)
        return module(input_ids=ids, past_key_values=self._cache, use_cache=True, **inputs)


def beginning(model: LanguageModel, ids: Sequence[int]) -> list[DynamicLayer]:
    """The state of tokens that several prompts begin with, one entry a layer."""
    cache = DynamicCache()
    tokens = Tokens.pad([ids], model.pad_id).to(model.device)
    inputs = {"attention_mask": tokens.attended.long()}
    if "position_ids" in model.architecture.forward_names:
        inputs["position_ids"] = tokens.position_ids
    model.architecture.decoder(
        input_ids=tokens.ids, past_key_values=cache, use_cache=True, **inputs
    )
    layers: list[Any] = cache.layers
    return layers


def _state(layer: Any) -> tuple[Tensor, Tensor]:
    return layer.keys, layer.values


def _places(parents: np.ndarray) -> np.ndarray:
    """Where to put rows: the first of each parent stays if it can, the others fill the gaps.

    A gap is a row that nothing goes on from, so no row is overwritten before it is copied.
    """
    count = len(parents)
    stays = np.diff(parents, prepend=-1) > 0
    stays &= parents < count
    places = np.where(stays, parents, -1)
    places[~stays] = np.setdiff1d(np.arange(count), parents[stays])
    return places


class _Rows(DynamicLayer):
    """Keys and values `[row head pos d_head]`, the rows and columns in use of what is set aside."""

    def __init__(self, rows: int, length: int) -> None:
        super().__init__()
        self._room = rows, length
        self._held: tuple[Tensor, ...] = ()
        self._length = 0

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add columns, and return all of them."""
        added = (key_states, value_states)
        rows, length = self._room
        if not self._held:
            self._held = tuple(
                new.new_empty(rows, new.shape[1], length, new.shape[3]) for new in added
            )
            self.dtype, self.device = key_states.dtype, key_states.device
            self.is_initialized = True
        start, self._length = self._length, self._length + key_states.shape[2]
        for held, new in zip(self._held, added, strict=True):
            held[: len(new), :, start : self._length] = new
        keys, values = (held[: len(key_states), :, : self._length] for held in self._held)
        self.keys, self.values = keys, values
        return keys, values

    def move(self, here: Tensor, there: Tensor) -> None:
        """Copy rows to other places."""
        for held in self._held:
            # Layers may lie on other devices than the embedding.
            rows = held.index_select(0, here.to(held.device))
            held.index_copy_(0, there.to(held.device), rows)
