"""A sweep as plain data: the figures of its Run, and what its report draws."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from repalign.activations import collect, mean_by_example
from repalign.examples import Example
from repalign.metrics import Threshold, auroc, mean, threshold_at
from repalign.models import LanguageModel
from repalign.probing.sources import Source
from repalign.probing.sweep import FALSE_POSITIVE_RATES, Sweep
from repalign.probing.transfer import Transfer
from repalign.readouts import Readout
from repalign.spans import Span, pieces, read

_SHOWN_EXAMPLES = 6
_SHOWN_POINTS = 1500


def results(found: Sweep) -> dict[str, Any]:
    """The figures of a sweep; each is value, low, high, n and level."""
    return {
        "best": {
            "data": found.data,
            "site": str(found.best.site),
            "probe": found.best.probe,
            "auroc": found.auroc.to_json(),
            "chosen": dict(Counter(f"{c.site} {c.probe}" for c in found.nested.chosen)),
        },
        "controls": {name: value.to_json() for name, value in found.controls.items()},
        "by_site": _by_site(found),
        "readout": {
            "sites": [str(site) for site in found.readout.sites],
            "probe": "pooled_lda" if found.pooled else found.best.probe,
            "kind": "pooled" if found.pooled else "single",
            "why": _why(found),
        },
        **_transfer(found.transfer),
        **_thresholds(found.thresholds),
        "tests": {},
    }


def score_examples(
    model: LanguageModel, readout: Readout, examples: Sequence[Example], progress: Any = None
) -> np.ndarray:
    """Score examples with a readout, one number each; higher is honest.

    Raises:
        InputError: the readout was fitted on another model.
    """
    readout.check_model(model)
    activations = collect(model, examples, readout.sites, readout.span, progress=progress)
    return mean_by_example(readout.score(activations), activations.example)


def judge_scores(
    examples: Sequence[Example], scores: np.ndarray, threshold: float | None
) -> dict[str, Any]:
    """Figures of a readout on labelled examples it was not fitted on.

    Args:
        examples: labelled.
        scores: one an example.
        threshold: of the readout; the share of dishonest texts below it is reported.
    """
    labels = np.array([example.label for example in examples])
    groups = np.array([e.group or f"example {i}" for i, e in enumerate(examples)])
    strata = np.array([example.polarity for example in examples])
    figures: dict[str, Any] = {
        "auroc": auroc(labels, scores, groups).to_json(),
        "examples": len(examples),
    }
    if len(np.unique(strata)) > 1:
        figures["auroc_within_polarity"] = auroc(labels, scores, groups, strata=strata).to_json()
    if threshold is not None:
        below = labels == 0
        figures["recall"] = mean(scores[below] < threshold, groups[below]).to_json()
    return figures


def figures(found: Sweep, sources: Mapping[str, Source], model: LanguageModel) -> dict[str, Any]:
    """What the report draws: scores, a projection, and examples token by token."""
    scores, labels = _held_out_scores(found)
    benign = [] if found.benign_scores is None else found.benign_scores.tolist()
    return {
        "scores": {
            "honest": scores[labels == 1].tolist(),
            "dishonest": scores[labels == 0].tolist(),
            "benign": benign,
        },
        "projection": _projection(found, sources[found.data]),
        "tokens": [token_view(model, found.readout, example) for example in _shown(sources)],
    }


def token_view(model: LanguageModel, readout: Readout, example: Example) -> dict[str, Any]:
    """One example token by token: text, whether the span reads it, and its score."""
    reading = read(model.tokenizer, example, readout.span)
    every = collect(model, [example], readout.sites, Span.parse("all"))
    by_position = dict(zip(every.pos.tolist(), readout.score(every).tolist(), strict=True))
    described = [example.topic, f"label {example.label}", example.meta.get("polarity", "")]
    return {
        "title": " · ".join(part for part in described if part),
        "pieces": [
            [piece.text, piece.kept, by_position.get(position)]
            for position, piece in enumerate(pieces(model.tokenizer, reading))
        ],
    }


def _by_site(found: Sweep) -> dict[str, list[dict[str, Any]]]:
    by_probe: dict[str, list[dict[str, Any]]] = {}
    for choice, value in sorted(found.by_choice.items(), key=lambda item: item[0].site):
        row = {"site": str(choice.site), "auroc": value.to_json()}
        by_probe.setdefault(choice.probe, []).append(row)
    return by_probe


def _why(found: Sweep) -> str:
    if found.pooled is None:
        return (
            "One topic was given, so the probe and site that do best in cross-validation are kept; "
            "how they do on another topic is not known."
        )
    return (
        f"{len(found.pooled.topics)} topics were given, so class differences and covariances are "
        "pooled over them, and what is read is where left-out topics are told apart best."
    )


def _transfer(transfer: Transfer | None) -> dict[str, Any]:
    if transfer is None:
        return {"transfer": {}, "transfer_matrix": None, "pooled": None}
    topics = list(transfer.left_out)
    return {
        "transfer": {
            topic: {
                **left.auroc.to_json(),
                "flipped": left.flipped,
                "by_polarity": {name: e.to_json() for name, e in left.by_polarity.items()},
            }
            for topic, left in transfer.left_out.items()
        },
        "transfer_matrix": {
            "train": topics,
            "test": topics,
            "auroc": [
                [None if a == b else transfer.matrix[a, b].to_json() for b in topics]
                for a in topics
            ],
        },
        "pooled": {
            "mean": transfer.mean.to_json(),
            "best_single": {
                "topic": transfer.best_single,
                "mean": transfer.best_single_mean.to_json(),
            },
            "difference": transfer.difference.to_json(),
        },
    }


def _thresholds(thresholds: Mapping[float, Threshold]) -> dict[str, Any]:
    rows = [
        {
            "target_fpr": target,
            "value": threshold.value.to_json(),
            "fpr": threshold.fpr.to_json(),
            "recall": threshold.recall.to_json(),
        }
        for target, threshold in thresholds.items()
    ]
    return {"threshold": rows[0] if rows else None, "thresholds": rows}


def _held_out_scores(found: Sweep) -> tuple[np.ndarray, np.ndarray]:
    """Scores of labelled examples by readouts that did not see them, on the kept readout's scale.

    Each of those readouts has a zero of its own; they are shifted so that their thresholds on the
    benign texts meet the threshold of the readout that is kept.
    """
    scores = []
    for judged in found.held_out:
        shift = 0.0
        if judged.benign is not None and found.readout.threshold is not None:
            shift = found.readout.threshold - threshold_at(judged.benign, FALSE_POSITIVE_RATES[0])
        scores.append(judged.scores + shift)
    return np.concatenate(scores), np.concatenate([judged.labels for judged in found.held_out])


def _projection(found: Sweep, source: Source) -> dict[str, Any]:
    """The first data set at the best site: along the direction, and the main axis across it."""
    part = source.activations.rows(np.arange(min(_SHOWN_POINTS, len(source.activations))))
    values = part.at(found.best.site).astype(np.float64)
    vector = found.direction.vector.astype(np.float64)
    across = values - np.outer(values @ vector, vector)
    across -= across.mean(axis=0)
    axis = np.linalg.svd(across, full_matrices=False)[2][0]
    return {
        "x": found.direction.project(values).tolist(),
        "y": (across @ axis / found.direction.scale).tolist(),
        "label": part.labels.tolist(),
        "topic": part.topics.tolist(),
        "x_name": f"along the direction at {found.best.site}, fitted on these texts",
        "y_name": "main axis across it",
    }


def _shown(sources: Mapping[str, Source]) -> list[Example]:
    """Two examples of each of the first data sets, one of each label."""
    shown: list[Example] = []
    for source in sources.values():
        for label in (1, 0):
            shown += [e for e in source.examples if e.label == label][:1]
    return shown[:_SHOWN_EXAMPLES]
