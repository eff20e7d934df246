"""Fits of many probes at once against the same loops in scikit-learn, side by side in one run.

    python -m benchmarks.probes [--rounds 3] [--sites 30]

(With `-m`, from the root: run by its path, this file would be what `import probes` finds.)

Activations of the embedded model on cities and negated cities, last token, all layers. Logistic
regression on every layer, 5 folds and 5 strengths, and LDA on every layer and fold. The contenders
take turns, so that a slow minute of a shared machine falls on all of them; ratios are medians over
rounds with their range. Every contender may use all cores as it can.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy
import sklearn
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression as Peer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info

from probes import LDA, LogisticRegression, Problem, fit_together
from repalign import LanguageModel, collect, datasets
from repalign.probing.cross_validation import in_threads
from repalign.probing.folds import Fold, grouped_folds

RESULTS = Path(__file__).parent / "results" / "probes.json"
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
TOLERANCES = (1e-4, 1e-7, 1e-8, 1e-9)
AGREEMENT = 1e-4
"""Largest difference of decision values that counts as the same."""
Scores = list[np.ndarray]
"""Decision values of all rows for every fit: site by site, fold by fold, strength by strength."""


class Task(NamedTuple):
    """What is fitted."""

    values: np.ndarray
    """`[row site d_model]`."""
    labels: np.ndarray
    folds: Sequence[Fold]

    @classmethod
    def of(cls, sites: int) -> "Task":
        """The activations of some layers, spread over all."""
        model = LanguageModel.load("smollm2")
        chosen = np.linspace(0, len(model.sites()) - 1, sites).round().astype(int)
        examples = [*datasets.load("cities"), *datasets.load("cities_negated")]
        found = collect(model, examples, [model.sites()[place] for place in chosen])
        folds = grouped_folds(found.labels, found.groups, 5, seed=0)
        return cls(np.asarray(found.values), found.labels, folds)

    def exact(self) -> "Task":
        """The same in double precision; in single, scikit-learn's solver ends far from 1e-4."""
        return self._replace(values=self.values.astype(np.float64))

    def parts(self) -> Iterator[tuple[np.ndarray, Fold]]:
        """Values of every site, with every fold."""
        return product((self.values[:, place] for place in range(self.values.shape[1])), self.folds)


def together(estimators: dict[str, Any], task: Task) -> Scores:
    """Our fits, as a sweep runs them: sites side by side, everything of a site in one call."""
    problems = [Problem(fold.train, task.labels[fold.train] == 1) for fold in task.folds]

    def at_site(place: int) -> Scores:
        values = np.asarray(task.values[:, place], dtype=np.float64)
        found = fit_together(estimators, values, problems)
        return [
            values @ found[name][fold].weights + found[name][fold].offset
            for fold, name in product(range(len(problems)), estimators)
        ]

    sites = range(task.values.shape[1])
    return [scores for _, found in in_threads(at_site, sites) for scores in found]


def our_logistic(task: Task) -> Scores:
    """All strengths of all folds of a site in one go."""
    return together({f"{C}": LogisticRegression(C=C) for C in STRENGTHS}, task)


def our_lda(task: Task) -> Scores:
    """All folds of a site in one go."""
    return together({"lda": LDA()}, task)


def one_by_one(estimators: Sequence[Any], task: Task) -> Scores:
    """The loop in scikit-learn."""
    return [
        estimator.fit(values[fold.train], task.labels[fold.train]).decision_function(values)
        for (values, fold), estimator in product(task.parts(), estimators)
    ]


def peers(tolerance: float, **options: Any) -> list[Any]:
    """scikit-learn's logistic regressions."""
    return [
        make_pipeline(StandardScaler(), Peer(C=C, tol=tolerance, max_iter=1_000_000, **options))
        for C in STRENGTHS
    ]


def difference(some: Scores, others: Scores) -> float:
    """Largest difference of decision values, relative where they are above 1."""
    return max(
        float((np.abs(one - other) / np.maximum(1.0, np.abs(other))).max())
        for one, other in zip(some, others, strict=True)
    )


def loosest_tolerance(task: Task) -> float:
    """The loosest `tol` with the same decision values as the optimum; tried on two sites."""
    places = [task.values.shape[1] // 3, task.values.shape[1] - 1]
    sample = Task(task.values[:, places], task.labels, task.folds[:1]).exact()
    wanted = one_by_one(peers(1e-10, solver="newton-cholesky"), sample)
    for tolerance in TOLERANCES:
        found = difference(one_by_one(peers(tolerance), sample), wanted)
        print(f"scikit-learn at tol={tolerance:.0e}: {found:.1e} from the optimum", flush=True)
        if found <= AGREEMENT:
            return tolerance
    raise RuntimeError("scikit-learn reaches the optimum at no tolerance that was tried")


def race(
    contenders: dict[str, Callable[[], Scores]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, Scores]]:
    """Seconds of each contender in each round, and its last scores."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    scores: dict[str, Scores] = {}
    for count in range(1, rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            scores[name] = run()
            seconds[name].append(time.perf_counter() - start)
            print(f"round {count}: {name} {seconds[name][-1]:.2f} s", flush=True)
    return seconds, scores


def ratios(seconds: dict[str, list[float]], ours: str) -> dict[str, dict[str, float]]:
    """How many times as long the others take."""
    found = {}
    for name, times in seconds.items():
        if name != ours:
            each = [other / own for other, own in zip(times, seconds[ours], strict=True)]
            found[name] = {"median": statistics.median(each), "low": min(each), "high": max(each)}
    return found


def logistic(task: Task, rounds: int) -> dict[str, Any]:
    """All strengths, against scikit-learn at its default tolerance and at the accuracy promised.

    Both on double precision: on the single precision that models give out, its solver took
    several times as long at the default tolerance.
    """
    tolerance, exact = loosest_tolerance(task), task.exact()
    contenders: dict[str, Callable[[], Scores]] = {
        "ours": lambda: our_logistic(task),
        "default_tolerance": lambda: one_by_one(peers(1e-4), exact),
        "same_accuracy": lambda: one_by_one(peers(tolerance), exact),
    }
    seconds, scores = race(contenders, rounds)
    return {
        "fits": len(scores["ours"]),
        "strengths": STRENGTHS,
        "same_accuracy_tolerance": tolerance,
        "seconds": {name: statistics.median(times) for name, times in seconds.items()},
        "times_as_fast_as": ratios(seconds, "ours"),
        "largest_difference_from_ours": {
            name: difference(found, scores["ours"])
            for name, found in scores.items()
            if name != "ours"
        },
    }


def lda(task: Task, rounds: int) -> dict[str, Any]:
    """All folds. The estimates of the covariance differ: scikit-learn shrinks by class."""
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    contenders: dict[str, Callable[[], Scores]] = {
        "ours": lambda: our_lda(task),
        "scikit_learn": lambda: one_by_one([theirs], task),
    }
    seconds, scores = race(contenders, rounds)
    pairs = zip(scores["ours"], scores["scikit_learn"], strict=True)
    return {
        "fits": len(scores["ours"]),
        "seconds": {name: statistics.median(times) for name, times in seconds.items()},
        "times_as_fast_as": ratios(seconds, "ours"),
        "smallest_correlation_of_scores": min(
            float(np.corrcoef(one, other)[0, 1]) for one, other in pairs
        ),
    }


def main() -> None:
    """Run both races, write the figures and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sites", type=int, default=30)
    options = parser.parse_args()
    task = Task.of(options.sites)
    libraries = {info["internal_api"]: info["num_threads"] for info in threadpool_info()}
    outcome = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": libraries,
        "date": time.strftime("%Y-%m-%d"),
        "versions": {lib.__name__: lib.__version__ for lib in (np, scipy, sklearn)},
        "rows": len(task.labels),
        "features": task.values.shape[2],
        "sites": options.sites,
        "folds": len(task.folds),
        "rounds": options.rounds,
        "logistic": logistic(task, options.rounds),
        "lda": lda(task, options.rounds),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(outcome, indent=2) + "\n")
    print(f"\n{'':36}{'times as fast':>14}{'range':>16}")
    for work in ("logistic", "lda"):
        for name, ratio in outcome[work]["times_as_fast_as"].items():
            spread = f"{ratio['low']:.1f} to {ratio['high']:.1f}"
            print(f"{work + ' / ' + name:36}{ratio['median']:14.1f}{spread:>16}")


if __name__ == "__main__":
    main()
