"""agreement(): how well a judge says what people said of labelled answers."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from repalign.answering.asking import Progress
from repalign.judges.judge import Judge
from repalign.judges.rubric import Rubric
from repalign.metrics import mean
from repalign.metrics.agreement import Agreement


def agreement(
    judge: Judge,
    rubric: Rubric,
    *,
    keep: Path | str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Have a judge rule on the rubric's labelled cases, and compare.

    Args:
        judge: who rules.
        rubric: what on; its labelled cases are the package's.
        keep: a file for the judge's answers.
        progress: called with cases done and their number.

    Returns:
        Plain data: `cases`, `unread` (no ruling could be read), and, over those that could,
        `agreement` (the share with the label, within 1 point for scores), and `precision`,
        `recall` and `kappa` of a yes, or `correlation` (Spearman's) of a score. An entry is null
        where it is not defined.
    """
    labelled = rubric.labelled()
    rulings = judge.rules(rubric, [case for case, _ in labelled], keep=keep, progress=progress)
    pairs = [
        (label, ruling.value, case.question)
        for (case, label), ruling in zip(labelled, rulings, strict=True)
        if ruling.value is not None
    ]
    found: dict[str, Any] = {"cases": len(labelled), "unread": len(labelled) - len(pairs)}
    if not pairs:
        return {**found, "agreement": None}
    labels = np.array([label for label, _, _ in pairs])
    values = np.array([value for _, value, _ in pairs])
    groups = [question for _, _, question in pairs]
    if rubric.kind == "yes or no":
        both = Agreement.of(labels > 0.5, values > 0.5, groups)
        return {**found, "agreement": both.accuracy.to_json(), **both.to_json()}
    near = np.abs(labels - values) <= (1 if rubric.kind == "score" else 0)
    found["agreement"] = mean(near, groups).to_json()
    if rubric.kind == "score":
        varies = len(set(labels)) > 1 and len(set(values)) > 1
        # A plain number: it has no interval here, and stands beside the share that has one.
        ranks = rankdata(labels), rankdata(values)
        found["correlation"] = float(np.corrcoef(*ranks)[0, 1]) if varies else None
    return found
