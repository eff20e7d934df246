"""Extraction: what is read of a set of examples, in pieces that can be read one by one."""

import hashlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repalign import checks
from repalign.activations.conditions import origin, whole_texts, width, written
from repalign.activations.index import Index
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel, Team, passes
from repalign.models.memory import positions_per_pass
from repalign.models.modes import evaluating
from repalign.prefixes import Plan, Trie, common_prefix, cut_into_pieces
from repalign.sites import Site
from repalign.spans import Reading, Span, read_all

_PIECE_BYTES = 64 * 2**20
"""Of float32 values, at most, in a piece of several texts: what is lost when a process is killed,
and what a store holds in memory."""
_SHARED_PIECES = 16
"""Into about so many pieces a small collection is cut that processes may share."""
_PIECE_TOKENS = 4096
"""Distinct prefixes in a piece, at least as many as eight passes have."""


@dataclass(frozen=True, eq=False)
class Extraction:
    """The work of reading examples at sites.

    Texts are kept as token ids up to the last position that is read; they are sorted and cut into
    pieces that hardly share a beginning with each other.
    """

    model: LanguageModel
    sites: tuple[Site, ...]
    span: Span
    texts: Sequence[Sequence[int]]
    positions: Sequence[Sequence[int]]
    index: Index
    pieces: Sequence[Sequence[int]]
    """Indices of the examples of each piece."""
    max_tokens: int
    """Positions in one pass, padding included."""
    whole: str | None
    """Why texts are read one by one; None where they share the state of common beginnings."""
    origin: Mapping[str, Any]
    """What the values come from, as `Activations.origin` keeps it."""

    @classmethod
    def of(
        cls,
        model: LanguageModel,
        examples: Sequence[Example],
        sites: Sequence[Site],
        where: str | Span = "last",
        max_tokens: int | None = None,
        *,
        shared: bool = False,
    ) -> "Extraction":
        """Tokenize examples, find what is read of them and cut the work into pieces.

        Args:
            model: the model to read; its first use runs its self-checks.
            examples: texts or conversations.
            sites: where to read.
            where: which tokens to read.
            max_tokens: positions in one pass; None takes what suits the machine.
            shared: cut smaller pieces where there is little to do, so that several processes find
                work; each piece computes its trunks anew.

        Raises:
            InputError: no examples or sites, an empty span, or a text longer than the context.
            CheckError: the model fails a self-check.
        """
        if not examples:
            raise InputError("No examples were given to collect activations from.")
        wanted = tuple(dict.fromkeys(sites))
        if not wanted:
            raise InputError("No sites were given to read; model.sites() lists them.")
        for site in wanted:
            model.architecture.check(site)
        report = checks.ensure(model, wanted)
        span = Span.parse(where) if isinstance(where, str) else where
        readings = readable(model, examples, span)
        # Compact copies: lists of Python integers take ten times the room.
        positions = [array("i", reading.positions) for reading in readings]
        whole = whole_texts(model, report, max(len(reading.ids) for reading in readings))
        # What follows the last position read cannot change it; in a model that is not causal, which
        # is read whole, it can.
        ends = [
            len(r.ids) if whole else k[-1] + 1 for r, k in zip(readings, positions, strict=True)
        ]
        texts = [array("i", r.ids[:end]) for r, end in zip(readings, ends, strict=True)]
        limit = positions_per_pass(model) if max_tokens is None else max_tokens
        limit = Team.of(model).agree(limit) or limit
        row_bytes = 4 * width(model, wanted) * len(wanted)
        return cls(
            model=model,
            sites=wanted,
            span=span,
            texts=texts,
            positions=positions,
            index=_index(examples, positions),
            pieces=cut_into_pieces(
                texts,
                [len(kept) for kept in positions],
                max_tokens=max(_PIECE_TOKENS, 8 * limit),
                pieces_wanted=_SHARED_PIECES if shared else 1,
                least_tokens=limit,
                max_rows=max(1, _PIECE_BYTES // row_bytes),
            ),
            max_tokens=limit,
            whole=whole,
            origin={
                **origin(model, span),
                "prefixes": "shared" if whole is None else f"whole texts: {whole}",
                "max_tokens": limit,
                "checks": report.to_json(),
                **written(model),
            },
        )

    @property
    def width(self) -> int:
        """Width of the states at every site."""
        return width(self.model, self.sites)

    @property
    def tokens(self) -> int:
        """Tokens of all texts up to the last position read."""
        return sum(map(len, self.texts))

    @property
    def distinct(self) -> int:
        """Tokens that are computed: the distinct prefixes of every piece."""
        if self.whole is not None:
            return self.tokens
        shared = sum(
            common_prefix(self.texts[one], self.texts[other])
            for piece in self.pieces
            for one, other in pairwise(piece)
        )
        return self.tokens - shared

    def fingerprint(self) -> str:
        """A hash of every text's tokens and of the positions read."""
        found = hashlib.sha256()
        for parts in (self.texts, self.positions):
            for part in parts:
                found.update(len(part).to_bytes(4, "little"))
                found.update(np.asarray(part, dtype="<i4").tobytes())
        return found.hexdigest()[:32]

    def rows(self, piece: int) -> np.ndarray:
        """The rows of a piece: its examples in their order there, positions in order."""
        starts = self._starts
        return np.concatenate(
            [np.arange(starts[i], starts[i] + len(self.positions[i])) for i in self.pieces[piece]]
        )

    def read(self, piece: int) -> Iterator[tuple[np.ndarray, dict[Site, Tensor]]]:
        """Read a piece, pass by pass.

        Yields:
            Places in `rows(piece)`, and at every site the values of those rows, float32 on the CPU.

        Raises:
            InputError: values that are not finite, or an intervention that was opened or closed
                since the work was planned.
        """
        if written(self.model).get("interventions") != self.origin.get("interventions"):
            raise InputError(
                "What intervene() writes has changed since this reading began. Read all of it "
                "within the same context, or all of it outside."
            )
        trie, plan = self.plan(piece)
        rows = self.rows(piece)
        order = np.argsort(trie.wanted, kind="stable")
        sorted_nodes = trie.wanted[order]
        with evaluating(self.model.network):
            for found in passes.run(self.model, plan, self.sites):
                left = np.searchsorted(sorted_nodes, found.nodes, "left")
                right = np.searchsorted(sorted_nodes, found.nodes, "right")
                # Several rows may read one node: texts may be equal, or one the beginning of
                # another.
                source = torch.from_numpy(np.repeat(np.arange(len(left)), right - left))
                places = order[_ranges(left, right)]
                values = {site: tensor[source] for site, tensor in found.values.items()}
                self._check_finite(values, piece, rows[places])
                yield places, values

    def plan(self, piece: int) -> tuple[Trie, Plan]:
        """The trie of a piece and the passes that compute it."""
        texts = [self.texts[i] for i in self.pieces[piece]]
        positions = [self.positions[i] for i in self.pieces[piece]]
        if self.whole is not None:
            trie = Trie.of(texts, positions, share=False)
            scaled = self.model.architecture.scaled_beyond
            # In a batch the longest text would scale the positions of all.
            alone = scaled is not None and max(map(len, texts)) > scaled
            return trie, Plan.whole(trie, 1 if alone else self.max_tokens)
        trie = Trie.of(texts, positions)
        return trie, Plan.of(trie, self.max_tokens)

    @cached_property
    def _starts(self) -> np.ndarray:
        counts = np.array([len(kept) for kept in self.positions])
        return np.cumsum(counts) - counts

    def _check_finite(self, values: dict[Site, Tensor], piece: int, rows: np.ndarray) -> None:
        for site in self.sites:
            # Looking at every value is slow; their sum is not finite where one of them is not.
            if torch.isfinite(values[site].sum()):
                continue
            bad = ~torch.isfinite(values[site]).all(dim=1)
            if bad.any():
                if self.whole is None:
                    # A weight of zero times NaN is NaN: one text spoils all of its row. Read text
                    # by text, the one at fault names itself.
                    for _ in replace(self, whole="some values are not finite").read(piece):
                        pass
                example = int(self.index.example[rows[int(bad.nonzero()[0])]])
                text = self.model.tokenizer.decode(
                    list(self.texts[example])[:20], skip_special_tokens=True
                )
                raise InputError(
                    f"{int(bad.sum())} of {len(rows)} activations of {self.model.name} are NaN or "
                    f"infinite, first at {site} in example {example} ({text!r}). Load the model "
                    "with dtype='float32' or 'bfloat16'; float16 overflows in many models."
                )


def readable(model: LanguageModel, examples: Sequence[Example], span: Span) -> list[Reading]:
    """Render, encode and find the span of every example, without running the model.

    Raises:
        InputError: an empty span, a chat without a template, or a text longer than the context.
    """
    readings = read_all(model.tokenizer, examples, span)
    context = model.architecture.context
    for index, (example, reading) in enumerate(zip(examples, readings, strict=True)):
        if context is not None and len(reading.ids) > context:
            raise InputError(
                f"Example {index} has {len(reading.ids)} tokens, more than the {context} that "
                f"{model.name} can read; repalign never truncates. Shorten or drop it. It begins: "
                f"{example.text[:60]!r}"
            )
    return readings


def _index(examples: Sequence[Example], positions: Sequence[Sequence[int]]) -> Index:
    example = np.repeat(np.arange(len(positions)), [len(kept) for kept in positions])
    labels = np.array([-1 if row.label is None else row.label for row in examples])
    groups = [row.group or f"example {index}" for index, row in enumerate(examples)]
    topics = np.array([row.topic for row in examples], dtype=np.str_)
    return Index(
        example=example,
        pos=np.concatenate([np.asarray(kept, dtype=np.int64) for kept in positions]),
        labels=labels[example],
        groups=np.array(groups, dtype=np.str_)[example],
        topics=topics[example],
        polarity=np.array([row.polarity for row in examples])[example],
    )


def _ranges(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """`left[0] … right[0] - 1, left[1] … right[1] - 1, …`."""
    counts = right - left
    offsets = np.repeat(left - (np.cumsum(counts) - counts), counts)
    return offsets + np.arange(int(counts.sum()))
