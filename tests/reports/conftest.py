"""A probe run as `repalign probe` records it, with numbers that can be told apart."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from repalign.runs import Environment, Run

E = dict[str, Any]
Make = Callable[..., tuple[Run, dict[str, Any]]]
TOPICS = ("cities", "capitals", "comparison", "arithmetic", "spanish")


class Numbers:
    """Estimates that are all different, so that each can be found on a page."""

    def __init__(self) -> None:
        self.given: list[E] = []

    def __call__(self, value: float, around: float = 0.031, n: int = 293) -> E:
        shift = len(self.given) * 1e-4  # apart in the digits that a page shows
        value = float(value)
        low, high = value - around * (1 + shift), value + around * (0.7 + shift)
        self.given.append({"value": value, "low": low, "high": high, "n": n, "level": 0.95})
        return self.given[-1]


def by_site(number: Numbers, layers: int, probes: int) -> dict[str, list[E]]:
    names = ("logistic", "lda", "mean_difference", "contrast_pca", "ccs", "ttpd")
    return {
        names[probe]: [
            {
                "site": f"L{layer}.resid_post",
                "auroc": number(
                    0.5 + (0.43 - 0.03 * probe) * np.exp(-((layer / layers - 0.6) ** 2) / 0.08)
                ),
            }
            for layer in range(layers)
        ]
        for probe in range(probes)
    }


def matrix(number: Numbers, topics: tuple[str, ...]) -> dict[str, Any]:
    rows = [
        [
            None if row == column else number(0.3 + 0.6 * 0.8 ** abs(row - column) + 0.007 * row)
            for column in range(len(topics))
        ]
        for row in range(len(topics))
    ]
    return {"train": list(topics), "test": list(topics), "auroc": rows}


def results_of(number: Numbers, layers: int, probes: int, topics: tuple[str, ...]) -> E:
    site = f"L{round(0.6 * layers) if layers > 1 else 0}.resid_post"
    found = {
        "best": {
            "data": topics[0],
            "site": site,
            "probe": "logistic",
            "auroc": number(0.941, 0.021),
            "chosen": {f"{site} logistic": 4, f"{site} lda": 1},
        },
        "controls": {
            "shuffled": number(0.502, 0.011),
            "random_direction": number(0.561),
            "bag_of_words": number(0.487),
            "length": number(0.494),
        },
        "by_site": by_site(number, layers, probes),
        "readout": {
            "sites": [site, "L19.resid_post"],
            "probe": "pooled_lda",
            "kind": "pooled",
            "why": "It does better on topics left out than any single-topic direction.",
        },
        "transfer": {
            topic: {
                **number(0.93 - 0.6 * place / len(topics), 0.04, 250),
                "flipped": place == len(topics) - 1,
                "by_polarity": {
                    "affirmed": number(0.95 - 0.4 * place / len(topics), 0.04),
                    "negated": number(0.91 - 0.8 * place / len(topics), 0.04),
                },
            }
            for place, topic in enumerate(topics)
        },
        "transfer_matrix": matrix(number, topics),
        "pooled": {
            "mean": number(0.871),
            "best_single": {"topic": topics[-1], "mean": number(0.812)},
            "difference": number(0.059),
        },
        "thresholds": [
            {
                "target_fpr": target,
                "value": number(value, 0.24),
                "fpr": number(target, 0.4 * target, 200),
                "recall": number(recall, 0.05),
            }
            for target, value, recall in ((0.01, -1.517, 0.417), (0.05, -0.812, 0.684))
        ],
        "tests": {"held/inventions.csv": {"auroc": number(0.803), "n_examples": 400}},
    }
    return {**found, "threshold": found["thresholds"][0]}


def figures_of(topics: tuple[str, ...], texts: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    labels = np.arange(texts) % 2
    where = random.integers(len(topics), size=texts)
    x = random.normal(2.6 * labels - 1.3, 1.0)
    y = random.normal(2.0 * where, 0.7)
    words = ["The", " city", " of", " Izmir", " is", " not", " in", " Turkey", ".", "\n"]
    return {
        "scores": {
            "honest": x[labels == 1].tolist(),
            "dishonest": x[labels == 0].tolist(),
            "benign": random.normal(1.0, 1.1, 200).tolist(),
        },
        "projection": {
            "x": x.tolist(),
            "y": y.tolist(),
            "label": labels.tolist(),
            "topic": [topics[place] for place in where],
            "x_name": "truth score",
            "y_name": "first other component",
        },
        "tokens": [
            {
                "title": f"{topic} · label {place % 2} · affirmed",
                "pieces": [
                    [word, number >= 8, None if number == 0 else round(float(score), 3)]
                    for number, (word, score) in enumerate(
                        zip(words, random.normal(0, 1.5, len(words)), strict=True)
                    )
                ],
            }
            for place, topic in enumerate(topics[:3])
        ],
    }


@pytest.fixture(scope="session")
def make() -> Make:
    return make_run


def make_run(
    layers: int = 30,
    probes: int = 4,
    topics: tuple[str, ...] = TOPICS,
    texts: int = 586,
    without: tuple[str, ...] = (),
    **changed: Any,
) -> tuple[Run, dict[str, Any]]:
    """A run and its figures; `without` names results or figures to leave out."""
    number = Numbers()
    results = results_of(number, layers, probes, topics)
    card = {
        "title": "Cities in countries, affirmed",
        "label_meaning": "1 the statement is true, 0 it is false",
        "source": "GeoNames",
        "licence": "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
        "shortcuts": "Bag of words 0.47 to 0.55, length 0.47 to 0.50.",
        "notes": "",
    }
    checks = [
        {
            "name": name,
            "law": law,
            "error": error,
            "tolerance": 1e-3,
            "passed": True,
            "note": "",
            "inner": False,
        }
        for name, law, error in (
            ("padding", "rows of a ragged batch read as each text alone", 2.1e-6),
            ("identity", "writing with coefficient 0 leaves the logits bit-equal", 0.0),
        )
    ]
    fields: dict[str, Any] = {
        "verb": "probe",
        "asked": {"model": "smollm2", "data": list(topics), "seed": 0, "sites": None},
        "model": {
            "name": "smollm2",
            "revision": "embedded",
            "weights": "sha256:4f1c",
            "dtype": "float32",
            "layers": layers,
            "d_model": 576,
            "span": "last",
            "checks": checks,
        },
        "data": {
            topic: {"fingerprint": "9b1d", "examples": 586, "groups": 293, "card": card}
            for topic in topics
        },
        "environment": Environment(
            python="3.11.9", platform="Linux", packages={"torch": "2.13"}, commit=None
        ),
        "started": "2026-01-05T12:00:00+00:00",
        "seconds": 191.4,
        "results": results,
        **changed,
    }
    figures = figures_of(topics, texts)
    kept = {name: part for name, part in fields["results"].items() if name not in without}
    figures = {name: part for name, part in figures.items() if name not in without}
    return Run(**{**fields, "results": kept}), figures
