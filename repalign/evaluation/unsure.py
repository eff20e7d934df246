"""Unsure: every measure of how unsure a model is of one answer. Higher is less sure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np

from repalign.answering import Reply
from repalign.evaluation.meaning import Entailment, Lexical, Similarity
from repalign.metrics import uncertainty
from repalign.verdicts import without_thought

QUANTILE = 0.9
"""Of the token quantile: the surprise that nine of ten tokens stay below."""


@dataclass(frozen=True, eq=False)
class Means:
    """What measures rest on besides the answers."""

    similarity: Similarity = field(default_factory=Lexical)
    entailment: Entailment = field(default_factory=Lexical)
    tokenizer: Any = None
    """Of the model that answered; None where a server did not give its tokens away."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A question, its greedy answer, and answers sampled at temperature 1."""

    question: str
    greedy: Reply
    samples: Sequence[Reply]
    """Those that came; at least one."""
    means: Means = field(default_factory=Means)
    p_true: float | None = None
    """The probability of `True` where the model judges its own answer."""

    @property
    def has_logprobs(self) -> bool:
        """Whether every sampled answer has log-probabilities."""
        return bool(self.samples) and all(one.logprobs for one in self.samples)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The samples and, last, the greedy answer, without thoughts."""
        return tuple(without_thought(one.text or "") for one in (*self.samples, self.greedy))

    @cached_property
    def logprobs(self) -> np.ndarray:
        """Of each sampled answer as a whole."""
        return np.array([_total(one.logprobs) for one in self.samples])

    @cached_property
    def classes(self) -> list[int]:
        """The meaning of each sample and, last, of the greedy answer."""
        distinct = list(dict.fromkeys(self.texts))
        table = np.eye(len(distinct), dtype=bool)
        places = [(i, j) for i in range(len(distinct)) for j in range(len(distinct)) if i != j]
        said = self.means.entailment.entails(
            self.question, [(distinct[i], distinct[j]) for i, j in places]
        )
        for (i, j), entailed in zip(places, said, strict=True):
            table[i, j] = entailed
        of = dict(zip(distinct, uncertainty.semantic_classes(table), strict=True))
        return [of[text] for text in self.texts]

    @cached_property
    def alike(self) -> np.ndarray:
        """How like the samples are to one another, `[sample sample]`; read in one order."""
        texts = self.texts[:-1]
        places = list(combinations(range(len(texts)), 2))
        found = np.eye(len(texts))
        said = self.means.similarity.similarities([(texts[i], texts[j]) for i, j in places])
        for (i, j), value in zip(places, said, strict=True):
            found[i, j] = found[j, i] = value
        return found

    @property
    def disagreement(self) -> float:
        """The share of samples that mean something else than the greedy answer."""
        return float(np.mean([one != self.classes[-1] for one in self.classes[:-1]]))

    def token_sar(self, reply: Reply) -> float | None:
        """`uncertainty.token_sar` of an answer; None where its tokens are not known."""
        tokenizer = self.means.tokenizer
        if tokenizer is None or not reply.ids or len(reply.ids) != len(reply.logprobs):
            return None
        ids, special = list(reply.ids), set(tokenizer.all_special_ids)
        whole = self._with(ids)
        real = [place for place, token in enumerate(ids) if token not in special]
        without = [(whole, self._with(ids[:place] + ids[place + 1 :])) for place in real]
        similar = np.ones(len(ids))
        similar[real] = np.clip(self.means.similarity.similarities(without), 0, 1)
        return uncertainty.token_sar(_capped(reply.logprobs), similar)

    def _with(self, ids: list[int]) -> str:
        return f"{self.question} {self.means.tokenizer.decode(ids, skip_special_tokens=True)}"


def _quantile(drawn: Drawn) -> float:
    return uncertainty.token_quantile(_capped(drawn.greedy.logprobs), QUANTILE)


def _sar(drawn: Drawn) -> float | None:
    found = [drawn.token_sar(one) for one in drawn.samples]
    told = [one for one in found if one is not None]
    return uncertainty.sar(told, drawn.alike) if len(told) == len(found) else None


def _frequency(drawn: Drawn) -> float:
    classes = drawn.classes[:-1]
    return uncertainty.semantic_entropy(np.zeros(len(classes)), classes, "frequency")


_GREEDY: dict[str, Callable[[Drawn], float | None]] = {
    "g-nll": lambda one: uncertainty.g_nll(_capped(one.greedy.logprobs)),
    "perplexity": lambda one: uncertainty.perplexity_score(_capped(one.greedy.logprobs)),
    "token quantile": _quantile,
    "tokenSAR": lambda one: one.token_sar(one.greedy),
}
_SAMPLED: dict[str, Callable[[Drawn], float | None]] = {
    "sequence entropy": lambda one: uncertainty.sequence_entropy(one.logprobs),
    "semantic entropy": lambda one: uncertainty.semantic_entropy(one.logprobs, one.classes[:-1]),
    "semantic entropy, direct": lambda one: uncertainty.semantic_entropy(
        one.logprobs, one.classes[:-1], "direct"
    ),
    "sentenceSAR": lambda one: uncertainty.sentence_sar(one.logprobs, one.alike),
    "SAR": _sar,
}
_BY_WORDS: dict[str, Callable[[Drawn], float | None]] = {
    "semantic entropy, frequency": _frequency,
    "disagreement": lambda one: one.disagreement,
}
SCORES = (*_GREEDY, *_SAMPLED, *_BY_WORDS, "p(true)")
"""In the order of reports."""
WHY_NOT: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys((*_GREEDY, *_SAMPLED), "the server gives no log-probabilities"),
        **dict.fromkeys(
            ("tokenSAR", "SAR"), "which token is which is known of a model that runs here only"
        ),
        **dict.fromkeys(_BY_WORDS, "no sampled answer came"),
        "p(true)": "options are weighed by a model that runs here only",
    }
)
"""What it most likely is where a score could not be computed for any question."""


def scores(drawn: Drawn) -> dict[str, float]:
    """Every score that can be computed from what is there, by name; higher is less sure.

    `perplexity` is the logarithm, `p(true)` is 1 less the probability; the tokens of a thought
    count, its words do not.
    """
    found: dict[str, float | None] = {}
    if drawn.greedy.logprobs:
        found |= {name: score(drawn) for name, score in _GREEDY.items()}
    if drawn.has_logprobs:
        found |= {name: score(drawn) for name, score in _SAMPLED.items()}
    if drawn.samples:
        found |= {name: score(drawn) for name, score in _BY_WORDS.items()}
    if drawn.p_true is not None:
        found["p(true)"] = 1 - drawn.p_true
    return {name: value for name in SCORES if (value := found.get(name)) is not None}


def _total(logprobs: Sequence[float]) -> float:
    return float(_capped(logprobs).sum())


def _capped(logprobs: Sequence[float]) -> np.ndarray:
    """Rounding on a server may leave a sure token above 0, which no log-probability is."""
    return np.minimum(np.asarray(logprobs, dtype=np.float64), 0.0)
