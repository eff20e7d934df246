"""Shortcut: a cue on the surface of a text that may tell the classes apart without its meaning."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from repalign.errors import InputError
from repalign.examples import Example, labelled

Fold = tuple[NDArray[Any], NDArray[Any]]
"""Row numbers to fit on, row numbers to score."""
Features = Mapping[str, int]
"""How often or how much of each feature a text has; a feature left out is 0."""
_WORD = re.compile(r"\w+")


def _characters(example: Example) -> Features:
    return {"characters": len(example.text)}


def _tokens(example: Example) -> Features:
    return {"tokens": len(example.text.split())}


def _length(example: Example) -> Features:
    return {**_characters(example), **_tokens(example)}


def _first_token(example: Example) -> Features:
    # Of a conversation: of the reply, since the first of all is the system prompt's.
    last = example.messages[-1]
    text = last.content if last.role == "assistant" else example.text
    return Counter(text.split()[:1])


def _last_token(example: Example) -> Features:
    return Counter(example.text.split()[-1:])


def _punctuation(example: Example) -> Features:
    return Counter(sign for sign in example.text if unicodedata.category(sign).startswith("P"))


def _words(text: str) -> Features:
    return Counter(_WORD.findall(text.lower()))


def _bag_of_words(example: Example) -> Features:
    return _words(example.text)


def instruction(example: Example) -> str:
    """Give what stands before the reply: system and user turns, or the system turns if no reply."""
    roles = {message.role for message in example.messages}
    asked = ("system", "user") if "assistant" in roles else ("system",)
    return "\n".join(message.content for message in example.messages if message.role in asked)


def _instruction(example: Example) -> Features:
    return _words(instruction(example))


SHORTCUTS: Mapping[str, Callable[[Example], Features]] = {
    "length_characters": _characters,
    "length_tokens": _tokens,
    "first_token": _first_token,
    "last_token": _last_token,
    "punctuation": _punctuation,
    "bag_of_words": _bag_of_words,
    "instruction": _instruction,
}
"""What each shortcut reads. Tokens are what stands between white space."""
_BASELINES: Mapping[str, Callable[[Example], Features]] = {
    "length": _length,
    "bag_of_words": _bag_of_words,
}


def shortcut_scores(
    examples: Sequence[Example], folds: Sequence[Fold]
) -> dict[str, NDArray[np.float64]]:
    """Score examples by their length and by their words, each fitted on the other folds.

    These are the baselines a probe is compared with; give the folds of the probe.

    Args:
        examples: labelled, of both classes.
        folds: pairs of row numbers to fit on and row numbers to score; no row is scored twice.

    Returns:
        For `length` (characters and tokens) and `bag_of_words`, one score per example, higher =
        label 1; NaN for an example that no fold scores.

    Raises:
        InputError: examples without a label or of one class, in all or in the rows a fold fits on;
            a row that is both fitted on and scored in a fold, or scored in two folds.
    """
    return {name: out_of_fold(read, examples, folds) for name, read in _BASELINES.items()}


def out_of_fold(
    read: Callable[[Example], Features], examples: Sequence[Example], folds: Sequence[Fold]
) -> NDArray[np.float64]:
    """Score each example `[row]` by logistic regression on one shortcut, as `shortcut_scores`."""
    rows = labelled(examples)
    labels = np.array([example.label for example in rows])
    features = [read(example) for example in rows]
    # One vocabulary for all folds leaks nothing: under an L2 penalty the weight of a word that the
    # fitted rows do not hold stays 0.
    design = DictVectorizer().fit_transform(features) if any(features) else None
    scores = np.full(len(rows), np.nan)
    for number, (fitted, scored) in enumerate(folds, start=1):
        if np.intersect1d(fitted, scored).size:
            raise InputError(f"Fold {number} scores rows that it is fitted on; give disjoint rows.")
        if not np.isnan(scores[scored]).all():
            raise InputError(f"Fold {number} scores rows that another fold scores; give each once.")
        if len(set(labels[fitted])) < 2:
            raise InputError(
                f"Fold {number} is fitted on {len(fitted)} rows of one class; use fewer folds or "
                "smaller groups."
            )
        if design is None:
            scores[scored] = 0.0  # no text has any such feature
            continue
        # Balanced weights, so that the intercept does not carry the share of labels of the fitted
        # rows, which is the opposite of that of the scored rows, into the pooled AUROC. A cue that
        # does not vary then scores exactly 0 in every fold.
        model = make_pipeline(
            MaxAbsScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)
        )
        model.fit(design[fitted], labels[fitted])
        scores[scored] = model.decision_function(design[scored])
    return scores
