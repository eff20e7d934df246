"""Uncertainty: how unsure a model is of an answer, from its log-probabilities. Higher is less sure.

Log-probabilities are natural, of each token of one answer or of whole sampled answers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from repalign.errors import InputError, unknown

Values = Sequence[float] | Sequence[int] | NDArray[Any]
Table = Sequence[Values] | NDArray[Any]
KINDS = ("sum", "direct", "frequency")
TEMPERATURE = 0.001
"""Of sentenceSAR, as published."""


def g_nll(tokens: Values) -> float:
    """−log-probability of a greedy answer (arXiv 2412.15176): long answers are less sure.

    Only of tokens that were chosen greedily; of others it is the surprise of one sample.

    Example:
        >>> round(g_nll(np.log([0.9, 0.5, 0.8])), 6)
        1.021651
    """
    return float(-_logprobs(tokens).sum())


def perplexity_score(tokens: Values) -> float:
    """−mean log-probability of an answer's tokens: the logarithm of its perplexity."""
    return float(-_logprobs(tokens).mean())


def token_quantile(tokens: Values, share: float) -> float:
    """A quantile of −log-probability over an answer's tokens (arXiv 2404.10136).

    The sum favours short answers and the mean hides single doubtful tokens in long ones; a high
    quantile does neither. A cascade defers to a larger model where it is high.

    Args:
        tokens: log-probabilities.
        share: 0 for the surest token, 1 for the least sure.
    """
    if not 0 <= share <= 1:
        raise InputError(f"A quantile is taken at a share from 0 to 1; {share} was given.")
    return float(np.quantile(-_logprobs(tokens), share))


def sequence_entropy(answers: Values) -> float:
    """−mean log-probability of sampled answers: a Monte Carlo estimate of the entropy."""
    return float(-_logprobs(answers).mean())


def semantic_classes(
    entails: Sequence[Sequence[bool]] | Sequence[Sequence[int]] | NDArray[Any],
) -> list[int]:
    """The class of each answer: answers that entail each other mean the same.

    Each answer joins the first class whose first answer it entails and is entailed by
    (arXiv 2302.09664), so where entailment is not transitive the order matters.

    Args:
        entails: `[answer answer]`, whether the one of the row entails the one of the column.

    Example:
        >>> semantic_classes([[1, 1, 0], [1, 1, 1], [0, 0, 1]])
        [0, 0, 1]
    """
    table = np.asarray(entails, dtype=bool)
    if table.ndim != 2 or table.shape[0] != table.shape[1]:
        raise InputError(f"Entailment is a square table of answers; its shape is {table.shape}.")
    firsts: list[int] = []
    found = []
    for answer in range(len(table)):
        same = [c for c, first in enumerate(firsts) if table[answer, first] & table[first, answer]]
        if not same:
            firsts.append(answer)
            same = [len(firsts) - 1]
        found.append(same[0])
    return found


def semantic_entropy(answers: Values, classes: Sequence[int], kind: str = "sum") -> float:
    """The entropy over meanings instead of wordings (arXiv 2302.09664).

    Args:
        answers: log-probability of each sampled answer.
        classes: the meaning of each, such as `semantic_classes` finds.
        kind: `sum`, −mean over answers of the log of their class's summed probability; `direct`,
            the entropy of the classes' probabilities, made to sum to 1; `frequency`, the entropy
            of how often each class was sampled, which needs no probabilities.

    Example:
        >>> round(semantic_entropy(np.log([0.2, 0.1, 0.3]), [0, 0, 1]), 6)
        1.203973
    """
    logs = _logprobs(answers)
    if len(classes) != len(logs):
        raise InputError(f"{len(classes)} classes were given for {len(logs)} answers.")
    codes = np.unique(np.asarray(classes), return_inverse=True)[1].reshape(-1)
    if kind == "frequency":
        return _entropy(np.bincount(codes).astype(np.float64))
    summed = np.full(codes.max() + 1, -np.inf)
    np.logaddexp.at(summed, codes, logs)
    if kind == "sum":
        return float(-summed[codes].mean())
    if kind == "direct":
        return _entropy(np.exp(summed - summed.max()))
    raise unknown("kind of semantic entropy", kind, KINDS)


def token_sar(tokens: Values, similarities: Values) -> float:
    """−log-probability of an answer, each token weighed by what it matters (arXiv 2307.01379).

    Args:
        tokens: log-probabilities.
        similarities: how similar, 0 to 1, the answer stays without each token. Where no token
            matters all weigh the same, which the paper leaves open.

    Example:
        >>> round(token_sar(np.log([0.9, 0.5, 0.8]), [0.95, 0.4, 0.85]), 6)
        0.568285
    """
    logs, similar = _logprobs(tokens), np.asarray(similarities, dtype=np.float64)
    if similar.shape != logs.shape or not ((similar >= 0) & (similar <= 1)).all():
        raise InputError(
            f"Similarities are one a token, from 0 to 1; {similar.tolist()[:8]} were given for "
            f"{len(logs)} tokens."
        )
    matters = 1 - similar
    total = matters.sum()
    weights = matters / total if total > 0 else np.full(len(logs), 1 / len(logs))
    return float(-(weights * logs).sum())


def sentence_sar(
    answers: Values,
    similarities: Table,
    temperature: float = TEMPERATURE,
) -> float:
    """Surprise of sampled answers, less where others say the like (arXiv 2307.01379); may be < 0.

    Args:
        answers: log-probability of each; for SAR proper −`token_sar` of each.
        similarities: `[answer answer]`; the diagonal is not read.
        temperature: divides what the others add.

    Example:
        >>> like = [[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]]
        >>> round(sentence_sar(np.log([0.2, 0.1, 0.3]), like), 6)
        -4.655521
    """
    logs, similar = _logprobs(answers), np.array(similarities, dtype=np.float64)
    if similar.shape != (len(logs), len(logs)) or not np.isfinite(similar).all():
        raise InputError(
            f"Similarities are a finite square table of {len(logs)} answers; the shape is "
            f"{similar.shape}."
        )
    if not temperature > 0:
        raise InputError(f"The temperature is above 0; {temperature} was given.")
    np.fill_diagonal(similar, 0.0)
    # In logarithms throughout: a long answer's probability is below the least number there is.
    shared = np.eye(len(logs)) + similar / temperature
    table = np.tile(logs, (len(logs), 1))
    supported, sign = logsumexp(table, b=shared, axis=1, return_sign=True)
    if not (sign > 0).all():
        raise InputError(
            "An answer's probability and what others add to it sum to 0 or less: similarities "
            "have to be 0 or more."
        )
    return float(-supported.mean())


def sar(
    token_sars: Values,
    similarities: Table,
    temperature: float = TEMPERATURE,
) -> float:
    """`sentence_sar` with the weighed surprise of each answer in place of its plain one."""
    return sentence_sar(-np.asarray(token_sars, dtype=np.float64), similarities, temperature)


def _entropy(weights: NDArray[np.float64]) -> float:
    shares = weights[weights > 0] / weights.sum()
    return float(-(shares * np.log(shares)).sum())


def _logprobs(values: Values) -> NDArray[np.float64]:
    logs = np.asarray(values, dtype=np.float64)
    if logs.ndim != 1 or not len(logs):
        raise InputError(
            f"Log-probabilities are one number a token or answer, at least one; the shape is "
            f"{logs.shape}."
        )
    # Rounding may leave the logarithm of a sure token a little above 0.
    if not (np.isfinite(logs) & (logs <= 1e-6)).all():
        raise InputError(
            f"Log-probabilities are finite and at most 0; these reach from {logs.min():g} to "
            f"{logs.max():g}."
        )
    return logs
