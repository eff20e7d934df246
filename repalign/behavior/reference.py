"""Reference: what the plain model expects in ordinary texts, to measure damage against."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from repalign.behavior.answers import Answers
from repalign.behavior.conditions import check_lengths, origin, refuse_unlike_generation
from repalign.behavior.damage import Damage, perplexity_of
from repalign.behavior.foretelling import Foretold, foretell
from repalign.errors import InputError
from repalign.examples import Example
from repalign.metrics import Estimate
from repalign.models import LanguageModel
from repalign.models.hooking import writings
from repalign.spans import render
from repalign.spans.encoding import encode_all

Texts = Answers | Iterable[Example | str]


@dataclass(frozen=True, eq=False)
class _Read:
    """Texts as tokens. Positions are counted through all texts."""

    ids: Sequence[Sequence[int]]
    groups: Sequence[str]
    names: Sequence[str]
    """What messages call each text."""

    @property
    def text(self) -> Int[np.ndarray, " entry"]:
        """The text of each position."""
        return np.repeat(np.arange(len(self.ids)), [len(row) for row in self.ids])

    @property
    def targets(self) -> Int[np.ndarray, " entry"]:
        """The token after each position; -1 at the end of a text."""
        return np.array([token for row in self.ids for token in (*row[1:], -1)])

    def name(self, entry: int) -> str:
        """What a message calls the text of a position."""
        return self.names[int(self.text[entry])]


@dataclass(frozen=True, eq=False)
class Reference:
    """Next-token log-probabilities of the plain model at every position of some texts.

    They are kept in float32 on the device of the model's head: 4 bytes × vocabulary × positions,
    200 MB for 1024 positions and 49152 tokens. A beginning that several texts share, such as a
    system prompt, is kept and counted once.
    """

    model: LanguageModel
    read: _Read
    """The texts that were used; of the last one, perhaps the beginning only."""
    rows: Int[np.ndarray, " entry"]
    """For each position of the texts its row in `logprobs`."""
    logprobs: Float[Tensor, "row vocab"]

    @classmethod
    def of(cls, model: LanguageModel, texts: Texts, max_tokens: int = 1024) -> "Reference":
        """Read the plain model.

        Args:
            model: the model, with nothing written to it; its first use runs its self-checks.
            texts: ordinary ones, such as `datasets.load("benign")`; strings are plain texts.
                Conversations are rendered, and every token of them counts.
            max_tokens: how many positions are kept. Texts are used in their order; the one that
                does not fit is used as far as it goes, and those after it are left out. `tokens`
                and `texts` say how many were used.

        Raises:
            InputError: no texts; a text longer than the context; something is being written to the
                model; values that are not finite.
            CheckError: the model fails a self-check.
        """
        if writings(model.architecture):
            raise InputError(
                "Something is being written to the model by intervene(), and a reference is of the "
                "plain model. Build it before, outside of the context, and call damage() inside."
            )
        if max_tokens < 2:
            raise InputError(f"A reference needs two positions or more; {max_tokens} was given.")
        read, rows = _fitting(_read(model, texts), max_tokens)
        kept: Tensor | None = None
        for found in _every_position(model, read):
            if kept is None:
                shape = (int(rows.max()) + 1, found.logprobs.shape[1])
                kept = torch.empty(shape, device=found.logprobs.device)
            kept[torch.from_numpy(rows[_any_entry(found)]).to(kept.device)] = found.logprobs
        assert kept is not None
        return cls(model, read, rows, kept)

    @property
    def tokens(self) -> int:
        """How many positions are kept."""
        return len(self.logprobs)

    @property
    def texts(self) -> int:
        """How many texts they are of."""
        return len(self.read.ids)

    def damage(self, model: LanguageModel | None = None) -> Damage:
        """Measure how far the model has moved, inside whatever `intervene` is open.

        With nothing written it is 0 exactly.

        Args:
            model: another model with the same vocabulary, such as one with edited weights; without
                it the one that the reference was read from.

        Raises:
            InputError: another vocabulary; something is written by where a prompt ends or by rows;
                probabilities that are not finite.
        """
        model = self.model if model is None else model
        refuse_unlike_generation(model)
        targets, ends = self.read.targets, self.read.targets >= 0
        kl, surprise, surprise_before = (np.zeros(len(targets)) for _ in range(3))
        agreed = np.zeros(len(targets), dtype=bool)
        for found in _every_position(model, self.read):
            now = found.logprobs
            if now.shape[1] != self.logprobs.shape[1]:
                raise InputError(
                    f"{model.name} has {now.shape[1]} tokens in its vocabulary, the reference "
                    f"{self.logprobs.shape[1]}: their probabilities cannot be compared."
                )
            rows = torch.from_numpy(self.rows[_any_entry(found)]).to(self.logprobs.device)
            before = self.logprobs[rows].to(now.device)
            moved = _divergence(before, now).double().cpu().numpy()
            same = (before.argmax(dim=1) == now.argmax(dim=1)).cpu().numpy()
            kl[found.entries], agreed[found.entries] = moved[found.source], same[found.source]
            surprise[found.entries] = _surprise(found, now, targets)
            surprise_before[found.entries] = _surprise(found, before, targets)
        if not np.isfinite(kl).all():
            name = self.read.name(int(np.flatnonzero(~np.isfinite(kl))[0]))
            raise InputError(
                f"In {name}, {model.name} rules out a token that the plain model finds possible: "
                "the KL is infinite. Push less far."
            )
        groups = np.array(self.read.groups)[self.read.text]
        _, first = np.unique(self.rows, return_index=True)
        return Damage(
            kl[first],
            agreed[first],
            surprise[ends],
            surprise_before[ends],
            groups[first],
            groups[ends],
            MappingProxyType(origin(model)),
        )


def perplexity(model: LanguageModel, texts: Texts, max_tokens: int | None = None) -> Estimate:
    """The perplexity of texts: `exp` of the mean surprise of every token but the first of each.

    Within `intervene` it is that of the model as it is written to.

    Args:
        model: the model; its first use runs its self-checks.
        texts: examples or plain texts; conversations are rendered, and every token counts.
        max_tokens: positions in one pass, padding included; None takes what suits the machine.

    Returns:
        Perplexity over all tokens, with an interval from resampling texts by group.

    Raises:
        InputError: no texts, or none of two tokens; a text longer than the context; something is
            written by where a prompt ends or by rows; probabilities that are not finite.
        CheckError: the model fails a self-check.
    """
    refuse_unlike_generation(model)
    read = _read(model, texts)
    targets, ends = read.targets, read.targets >= 0
    surprise = np.zeros(len(targets))
    for found in _every_position(model, read, max_tokens):
        surprise[found.entries] = _surprise(found, found.logprobs, targets)
    return perplexity_of(surprise[ends], np.array(read.groups)[read.text][ends])


def _read(model: LanguageModel, texts: Texts) -> _Read:
    given = texts.examples() if isinstance(texts, Answers) else list(texts)
    rows = [Example.of_text(one) if isinstance(one, str) else one for one in given]
    encoded = encode_all(model.tokenizer, [render(model.tokenizer, row) for row in rows])
    ids = [tokens.ids for tokens in encoded]
    if all(len(row) < 2 for row in ids):
        raise InputError(f"{len(ids)} texts were given, and none has two tokens or more.")
    names = [f"text {index} ({row.text[:40]!r})" for index, row in enumerate(rows)]
    check_lengths(model, ids, names)
    return _Read(ids, [row.group or f"text {i}" for i, row in enumerate(rows)], names)


def _fitting(read: _Read, most: int) -> tuple[_Read, Int[np.ndarray, " entry"]]:
    """The texts up to a number of distinct prefixes, and the number of each position's prefix."""
    number: dict[tuple[int, int], int] = {}
    kept: list[Sequence[int]] = []
    rows: list[int] = []
    for ids in read.ids:
        before, length = -1, 0
        for token in ids:
            if (before, token) not in number and len(number) == most:
                break
            before = number.setdefault((before, token), len(number))
            rows.append(before)
            length += 1
        kept.append(ids[:length])
        if len(number) == most:
            break
    count = len(kept)
    return _Read(kept, read.groups[:count], read.names[:count]), np.array(rows)


def _every_position(
    model: LanguageModel, read: _Read, max_tokens: int | None = None
) -> Iterable[Foretold]:
    every = [range(len(row)) for row in read.ids]
    for found in foretell(model, read.ids, every, max_tokens):
        # NaN and infinite logits make all of a row NaN; −∞ alone is a token that is ruled out.
        bad = torch.isnan(found.logprobs[:, :1]).squeeze(1).cpu().numpy()
        if bad.any():
            name = read.name(int(found.entries[np.flatnonzero(bad[found.source])[0]]))
            raise InputError(
                f"{model.name} gives probabilities that are not numbers in {name}. Load it with "
                "dtype='float32' or 'bfloat16', and push less far where something is written."
            )
        yield found


def _any_entry(found: Foretold) -> Int[np.ndarray, " row"]:
    """A position that each row was read for."""
    entries = np.zeros(len(found.logprobs), dtype=np.int64)
    entries[found.source] = found.entries
    return entries


def _divergence(before: Tensor, now: Tensor) -> Tensor:
    """KL of each row. A token that the plain model rules out adds nothing."""
    chance = before.exp()
    terms = torch.where(chance > 0, chance * (before - now), 0.0)
    # It is never negative, but its sum in float32 can be by a rounding error.
    return terms.sum(dim=1).clamp(min=0.0)


def _surprise(found: Foretold, logprobs: Tensor, targets: np.ndarray) -> np.ndarray:
    """−log-probability of the token after each position; of no account at the end of a text."""
    source = torch.from_numpy(found.source).to(logprobs.device)
    wanted = torch.from_numpy(targets[found.entries]).to(logprobs.device)
    return -logprobs[source, wanted].double().cpu().numpy()
