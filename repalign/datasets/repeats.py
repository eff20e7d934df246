"""Repeats: texts that occur twice, nearly twice, or on both sides of a split."""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from repalign.datasets.findings import Finding, at, numbers, quote
from repalign.datasets.shortcuts import instruction
from repalign.examples import Example

# Signs that only set a sentence off. Not -, /, * or %: there they may be the whole difference.
_SENTENCE_SIGNS = re.compile(r"""[.,;:!?…¡¿"'“”‘’«»()\[\]。，！？、；：]+""")
NEAR = 0.8
_MOST_COMPARED = 10_000
_BLOCK = 1_000


def exact_duplicates(rows: Sequence[Example]) -> Finding:
    """Look for texts, or whole conversations, that occur more than once."""
    found = _alike(example.messages for example in rows)
    if not found:
        return Finding("duplicates", "ok", "No text occurs twice.")
    first, extra = found[0], [row for same in found for row in same[1:]]
    apart = sum(_in_many_groups(rows, same) for same in found)
    leak = f", {apart} of them in several groups and so on both sides of a fold" if apart else ""
    return Finding(
        "duplicates",
        "warning" if apart else "note",
        f"{_texts(found)} more than once{leak}, such as {quote(rows[first[0]].text)} "
        f"({at(first)}): delete the repeats ({len(extra)} rows).",
        rows=numbers(extra),
    )


def loose_duplicates(rows: Sequence[Example]) -> Finding:
    """Look for texts that differ only in case, white space or the signs that set sentences off."""
    found = [
        same
        for same in _alike(map(_normalised, rows))
        if len({rows[row].messages for row in same}) > 1
    ]
    if not found:
        said = "No two texts differ in case, white space or punctuation alone."
        return Finding("loose_duplicates", "ok", said)
    first, extra = found[0], [row for same in found for row in same[1:]]
    apart = any(_in_many_groups(rows, same) for same in found)
    return Finding(
        "loose_duplicates",
        "warning" if apart else "note",
        f"{_texts(found)} again with other case, white space or punctuation alone, such as "
        f"{quote(rows[first[0]].text)} ({at(first)}): keep one of each, or give them one group.",
        rows=numbers(extra),
    )


def conflicting_labels(rows: Sequence[Example]) -> Finding:
    """Look for one text with both labels, case, white space and punctuation aside."""
    found = [
        same
        for same in _alike(map(_normalised, rows))
        if {0, 1} <= {rows[row].label for row in same}
    ]
    if not found:
        return Finding("conflicting_labels", "ok", "No text has two labels.")
    first = found[0]
    said = ", ".join(f"label {rows[row].label} in example {row + 1}" for row in first[:4])
    return Finding(
        "conflicting_labels",
        "warning",
        f"{_texts(found)} with label 1 and with label 0, case and punctuation aside, such as "
        f"{quote(rows[first[0]].text)} ({said}): correct or delete them.",
        rows=numbers(row for same in found for row in same),
    )


def straddling(rows: Sequence[Example], groups: Sequence[str]) -> Finding:
    """Look for groups with rows on more than one side of the split in `meta["split"]`."""
    splits: dict[str, set[str]] = defaultdict(set)
    for example, group in zip(rows, groups, strict=True):
        if "split" in example.meta:
            splits[group].add(example.meta["split"])
    if not splits:
        return Finding("straddling", "ok", "No split is stated; folds are cut between groups.")
    torn = sorted(group for group, found in splits.items() if len(found) > 1)
    if not torn:
        return Finding("straddling", "ok", "No group stands on two sides of the stated split.")
    return Finding(
        "straddling",
        "warning",
        f"{len(torn)} of {len(splits)} groups straddle the stated split, such as {quote(torn[0])} "
        f"in {' and '.join(sorted(splits[torn[0]]))}: move each group to one side.",
        rows=numbers(row for row, group in enumerate(groups) if group in set(torn)),
    )


def near_duplicates(rows: Sequence[Example], groups: Sequence[str]) -> Finding:
    """Look for texts of two groups that are nearly one.

    Near is a cosine of at least 0.8 between the TF-IDF weights of their words and pairs of words,
    which counts the words of a shared template little. Of more than 10,000 examples only the first
    10,000 are compared, and the finding says so.
    """
    compared = min(len(rows), _MOST_COMPARED)
    limit = f" (the first {compared} of {len(rows)} were compared)" if compared < len(rows) else ""
    pairs = _near_pairs([example.text for example in rows[:compared]], groups)
    pairs = [(i, j) for i, j in pairs if _normalised(rows[i]) != _normalised(rows[j])]
    if not pairs:
        said = f"No two groups hold nearly the same text{limit}."
        return Finding("near_duplicates", "ok", said)
    concerned = numbers(row for pair in pairs for row in pair)
    share = len(concerned) / compared
    left, right = pairs[0]
    return Finding(
        "near_duplicates",
        "warning" if share > 0.05 else "note",
        f"{len(concerned)} of {compared} texts nearly recur in another group{limit}, such as "
        f"{quote(rows[left].text)} and {quote(rows[right].text)} ({at(pairs[0])}): where they are "
        "about the same fact, give them one group (column 'group').",
        rows=concerned,
    )


def shared_prompts(rows: Sequence[Example], groups: Sequence[str]) -> Finding:
    """Look for prompts that stand in several groups, though not in all of them."""
    prompts: dict[str, list[int]] = defaultdict(list)
    for row, example in enumerate(rows):
        if example.is_chat and (prompt := _normalise(instruction(example))):
            prompts[prompt].append(row)
    shared = [same for same in prompts.values() if len({groups[row] for row in same}) > 1]
    # A handful of prompts for the whole data set is its format, not a leak.
    if not shared or len(prompts) <= max(2, len(rows) // 50):
        return Finding("shared_prompts", "ok", "No prompt stands in several groups by accident.")
    first = shared[0]
    concerned = numbers(row for same in shared for row in same)
    return Finding(
        "shared_prompts",
        "note",
        f"{len(shared)} of {len(prompts)} prompts stand in several groups, such as "
        f"{quote(instruction(rows[first[0]]))} ({at(first)}): a probe may know them from the other "
        "side of a fold; give the rows of one prompt one group.",
        rows=concerned,
    )


def _alike(keys: Iterable[Hashable]) -> list[list[int]]:
    """Row numbers of equal keys, where there is more than one."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        found[key].append(row)
    return [same for same in found.values() if len(same) > 1]


def _normalise(text: str) -> str:
    return " ".join(_SENTENCE_SIGNS.sub(" ", text.casefold()).split())


def _normalised(example: Example) -> tuple[tuple[str, str], ...]:
    return tuple((message.role, _normalise(message.content)) for message in example.messages)


def _in_many_groups(rows: Sequence[Example], same: Sequence[int]) -> bool:
    return len({rows[row].group or row for row in same}) > 1


def _texts(found: Sequence[object]) -> str:
    return "1 text occurs" if len(found) == 1 else f"{len(found)} texts occur"


def _near_pairs(texts: Sequence[str], groups: Sequence[str]) -> list[tuple[int, int]]:
    if not any(re.search(r"\w", text) for text in texts):
        return []
    # Words with their hyphens: thirty-nine has nothing of thirty.
    words = TfidfVectorizer(token_pattern=r"\w+(?:[-'’]\w+)*", ngram_range=(1, 2))
    vectors = words.fit_transform(texts)
    codes = np.unique(np.asarray(groups[: len(texts)]), return_inverse=True)[1]
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(texts), _BLOCK):
        likeness = (vectors[start : start + _BLOCK] @ vectors.T).tocoo()
        left, right = likeness.row + start, likeness.col
        near = (likeness.data >= NEAR) & (left < right) & (codes[left] != codes[right])
        pairs += zip(left[near].tolist(), right[near].tolist(), strict=True)
    return pairs
