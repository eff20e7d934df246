"""Lint: what in a data set could flatter a probe, found before a model is run."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from repalign.datasets import repeats
from repalign.datasets.findings import Finding as Finding
from repalign.datasets.findings import Severity, at, numbers, quote
from repalign.datasets.shortcuts import SHORTCUTS, Fold, out_of_fold
from repalign.datasets.shortcuts import shortcut_scores as shortcut_scores
from repalign.errors import InputError
from repalign.examples import Example
from repalign.metrics import Estimate, auroc

FEW_GROUPS = 50
MAX_FOLDS = 5
NOTED_AUROC, WARNED_AUROC = 0.55, 0.65
REVERSED_AUROC = 0.35
_NOTED_SHARE, _WARNED_SHARE = 0.4, 0.25  # of the rarer class


@dataclass(frozen=True)
class LintReport:
    """What `lint` found: every check with its outcome, also where nothing is amiss."""

    examples: int
    groups: int
    labels: tuple[int, int, int]
    """How many have label 0, label 1 and none."""
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> Severity:
        """The worst of all findings."""
        order: tuple[Severity, ...] = ("warning", "note", "ok")
        found = {finding.severity for finding in self.findings}
        return next(severity for severity in order if severity in found)

    def finding(self, check: str) -> Finding:
        """Give the finding of one check by its name; KeyError if there is none."""
        return {finding.check: finding for finding in self.findings}[check]

    def to_json(self) -> dict[str, Any]:
        """As plain data: numbers, text, lists and dictionaries only."""
        return {
            "examples": self.examples,
            "groups": self.groups,
            "labels": dict(zip(("0", "1", "none"), self.labels, strict=True)),
            "severity": self.severity,
            "findings": [
                {**asdict(finding), "rows": list(finding.rows)} for finding in self.findings
            ],
        }


def lint(examples: Sequence[Example], *, seed: int = 0) -> LintReport:
    """Look for what lets a probe score well without reading honesty or truth.

    Checked are size, labels, balance (also of each topic), empty parts, white space at the end,
    duplicates, groups that straddle the split stated in `meta["split"]`, near-duplicates and
    prompts shared across groups, and shortcuts (`shortcuts.SHORTCUTS`; `instruction` for
    conversations only). A shortcut's value is the AUROC of logistic regression on that cue alone,
    scored by cross-validation that keeps groups together (five folds, fewer if a class has fewer
    groups), with a 95% interval from resampling groups: `note` from 0.55, `warning` from 0.65, each
    only if the interval lies above 0.5. Far below chance (0.35 and less) is a `note` too: then
    groups that share words have opposite labels, so grouping is too fine. Examples without a group
    are groups of their own.

    Args:
        examples: any, labelled or not; shortcuts are read on the labelled ones.
        seed: of the folds and the resampling.

    Raises:
        InputError: there are no examples.
    """
    rows = list(examples)
    if not rows:
        raise InputError("There are no examples to lint; give at least one.")
    groups = [example.group or f"row {number}" for number, example in enumerate(rows, start=1)]
    counts = Counter(example.label for example in rows)
    findings = (
        _size(groups),
        _unlabelled(rows),
        _balance(counts),
        _topics(rows),
        _empty_parts(rows),
        _white_space(rows),
        repeats.exact_duplicates(rows),
        repeats.loose_duplicates(rows),
        repeats.conflicting_labels(rows),
        repeats.straddling(rows, groups),
        repeats.near_duplicates(rows, groups),
        repeats.shared_prompts(rows, groups),
        *_shortcuts(rows, groups, seed),
    )
    labels = (counts[0], counts[1], counts[None])
    return LintReport(len(rows), len(set(groups)), labels, findings)


def _size(groups: list[str]) -> Finding:
    number = len(set(groups))
    said = f"{len(groups)} examples in {number} groups"
    if number >= FEW_GROUPS:
        return Finding("size", "ok", f"{said}.")
    advice = f"intervals rest on groups and will be wide; aim at {FEW_GROUPS} or more"
    return Finding("size", "note", f"{said}: {advice}.")


def _unlabelled(rows: list[Example]) -> Finding:
    without = [row for row, example in enumerate(rows) if example.label is None]
    if not without:
        return Finding("labels", "ok", "Every example has a label.")
    return Finding(
        "labels",
        "note",
        f"{len(without)} of {len(rows)} examples have no label ({at(without)}); they can be "
        "scored, but label them before fitting a probe.",
        rows=numbers(without),
    )


def _balance(counts: Counter[int | None]) -> Finding:
    total = counts[0] + counts[1]
    if not total:
        return Finding("balance", "note", "No example has a label; label some with 1 and some 0.")
    share = min(counts[0], counts[1]) / total
    said = f"{counts[1]} examples have label 1 and {counts[0]} have label 0"
    if share >= _NOTED_SHARE:
        return Finding("balance", "ok", f"{said}.")
    rarer = int(counts[1] < counts[0])
    return Finding(
        "balance",
        "note" if share >= _WARNED_SHARE else "warning",
        f"{said}: read AUROC, not accuracy, and add examples with label {rarer}.",
    )


def _topics(rows: list[Example]) -> Finding:
    labels: dict[str, set[int]] = defaultdict(set)
    for example in rows:
        if example.label is not None:
            labels[example.topic].add(example.label)
    single = sorted(topic for topic, found in labels.items() if len(found) == 1)
    if len(labels) > 1 and single:
        return Finding(
            "topics",
            "warning",
            f"{len(single)} of {len(labels)} topics have one label only ("
            f"{', '.join(map(quote, single[:5]))}), so a probe may read the topic: give each "
            "examples of both labels, or leave it out.",
        )
    return Finding("topics", "ok", "No topic gives the label away.")


def _empty_parts(rows: list[Example]) -> Finding:
    empty = [
        row
        for row, example in enumerate(rows)
        if any(not message.content.strip() for message in example.messages)
    ]
    if not empty:
        return Finding("empty_parts", "ok", "No message is empty.")
    return Finding(
        "empty_parts",
        "warning",
        f"An empty message stands in {at(empty)}, and a span in it reads nothing: fill in the "
        "message or leave it out.",
        rows=numbers(empty),
    )


def _white_space(rows: list[Example]) -> Finding:
    texts = [example.messages[-1].content for example in rows]
    padded = [row for row, text in enumerate(texts) if text != text.rstrip()]
    if not padded:
        return Finding("white_space", "ok", "No text ends in white space.")
    return Finding(
        "white_space",
        "note",
        f"White space ends {at(padded)}, so the last token may be a blank: trim it unless it is "
        "meant.",
        rows=numbers(padded),
    )


_CUES = {
    "length_characters": ("the number of characters", "match the lengths of the two classes"),
    "length_tokens": ("the number of words", "match the lengths of the two classes"),
    "first_token": ("the first word", "let both classes begin alike"),
    "last_token": ("the last word", "let both classes end alike"),
    "punctuation": ("the punctuation", "punctuate both classes alike"),
    "bag_of_words": ("the words without their order", "use the same words for both labels"),
    "instruction": (
        "what stands before the reply",
        "give both classes the same prompts, or a probe may read what was asked",
    ),
}


def _shortcuts(rows: list[Example], groups: list[str], seed: int) -> list[Finding]:
    kept = [row for row, example in enumerate(rows) if example.label is not None]
    labelled_rows = [rows[row] for row in kept]
    labelled_groups = np.array([groups[row] for row in kept])
    labels = np.array([example.label for example in labelled_rows])
    folds = _folds(labels, labelled_groups, seed)
    if folds is None:
        said = "Shortcuts need at least two groups with each label: add groups to measure them."
        return [Finding("shortcuts", "note", said)]
    findings = []
    for name, read in SHORTCUTS.items():
        if name == "instruction" and not any(example.is_chat for example in labelled_rows):
            continue
        scores = out_of_fold(read, labelled_rows, folds)
        estimate = auroc(labels, scores, labelled_groups, seed=seed)
        findings.append(_shortcut(name, estimate))
    return findings


def _folds(labels: np.ndarray, groups: np.ndarray, seed: int) -> list[Fold] | None:
    """Cut folds between groups, each with both labels on the side that is fitted, if there are."""
    least = min((len(set(groups[labels == label])) for label in (0, 1)), default=0)
    for number in range(min(MAX_FOLDS, least), 1, -1):
        splitter = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
        folds = [(fitted, scored) for fitted, scored in splitter.split(labels, labels, groups)]
        if all(len(set(labels[fitted])) == 2 and len(scored) for fitted, scored in folds):
            return folds
    return None


def _shortcut(name: str, estimate: Estimate) -> Finding:
    cue, advice = _CUES[name]
    said = f"AUROC {estimate} from {cue} alone"
    if estimate.low > 0.5 and estimate.value >= NOTED_AUROC:
        strong = estimate.value >= WARNED_AUROC
        message = f"{said}: {advice}, and read a probe's AUROC against this figure."
        return Finding(name, "warning" if strong else "note", message, estimate)
    if estimate.value <= REVERSED_AUROC:
        message = (
            f"{said}, far below chance: the cue recurs with the other label in other groups, which "
            "misleads a probe under cross-validation too; give rows on one subject one group."
        )
        return Finding(name, "note", message, estimate)
    return Finding(name, "ok", f"{said}: no shortcut.", estimate)
