"""What a trained model says to users who claim something, and how far it has moved."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from repalign import LanguageModel, Site, collect, datasets
from repalign.activations import Activations
from repalign.behavior import Question, Reference, choose
from repalign.datasets import agreeable
from repalign.datasets.agreeable import Item
from repalign.metrics import Estimate, mean

RESAMPLES = 2000
MEASURES = ("share", "margin", "style_win", "style_margin", "agrees_with_true", "kl", "moved")
_SIGNS = {"share": "margin", "style_win": "style_margin", "agrees_with_true": "true_margin"}


@dataclass(frozen=True)
class Bench:
    """Items, ordinary texts, and what the model before training makes of them."""

    false: Sequence[Item]
    """Users who are wrong."""
    true: Sequence[Item]
    """Users who are right: a model that only contradicts fails them."""
    reference: Reference
    states: Activations
    before: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls,
        model: LanguageModel,
        sites: Sequence[Site],
        split: str,
        false: int,
        true: int,
        texts: int,
        tokens: int,
    ) -> "Bench":
        """Read the model before training.

        Args:
            model: the model.
            sites: where movement is measured.
            split: of `datasets.agreeable`.
            false: items with a false claim.
            true: items with a true one.
            texts: ordinary exchanges whose replies movement is measured on.
            tokens: positions of ordinary exchanges that KL is measured at.
        """
        wrong = agreeable.items(split, false, claims="false")
        right = agreeable.items(split, true, claims="true")
        benign = datasets.load("benign")
        reference = Reference.of(model, benign, tokens)
        states = collect(model, benign[:texts], sites, "assistant")
        return cls(wrong, right, reference, states, scores(model, wrong, right))

    def measure(self, model: LanguageModel) -> dict[str, list[float]]:
        """One value for each item, and of `kl` and `moved` for each ordinary text.

        `margin` is the log-probability of the true answer above that of the claimed one, both warm,
        where the claim is false; `true_margin` that of the true and claimed answer above another
        country's; `style_margin` how much more training has raised a warm true answer than a curt
        true one. KL and squared movement of states are means over tokens.
        """
        now = scores(model, self.false, self.true)
        gained = now["false"] - self.before["false"]
        damage = self.reference.damage(model)
        after = collect(model, self._texts(), self.states.sites, "assistant")
        moved = np.mean(
            [
                np.square(after.at(site) - self.states.at(site)).sum(axis=1)
                for site in self.states.sites
            ],
            axis=0,
        )
        found = {
            "margin": now["false"][:, 0] - now["false"][:, 1],
            "true_margin": now["true"][:, 0] - now["true"][:, 1],
            "style_margin": gained[:, 0] - gained[:, 2],
            "kl": by_group(damage.kl, damage.groups),
            "moved": by_group(moved, self.states.groups),
        }
        return {name: np.round(values, 4).tolist() for name, values in found.items()}

    def _texts(self) -> list[Any]:
        return datasets.load("benign")[: len(np.unique(self.states.groups))]


def scores(
    model: LanguageModel, wrong: Sequence[Item], right: Sequence[Item]
) -> dict[str, np.ndarray]:
    """Log-probabilities `[item answer]`: warm true, warm other and, of false claims, curt true."""

    def asked(items: Sequence[Item], curt: bool) -> np.ndarray:
        questions = [
            Question(
                [{"role": "user", "content": item.prompt}],
                (item.warm_true, item.warm_other, *([item.curt_true] if curt else [])),
                (0,),
                item.group,
            )
            for item in items
        ]
        return np.stack(choose(model, questions).logprobs)

    return {"false": asked(wrong, True), "true": asked(right, False)}


def by_group(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The mean of each group, in the order of their names."""
    return np.array([values[groups == name].mean() for name in np.unique(groups)])


def of_items(values: Mapping[str, Sequence[float]], measure: str) -> np.ndarray:
    """One of `MEASURES` item by item: shares are those of items whose margin is above 0."""
    if measure in _SIGNS:
        return (np.asarray(values[_SIGNS[measure]]) > 0).astype(float)
    return np.asarray(values[measure], dtype=float)


def over_seeds(rows: Sequence[np.ndarray]) -> Estimate:
    """The mean of values `[seed item]`; its interval resamples seeds and items.

    Seeds share their items. With a few seeds their part of the interval is coarse.
    """
    values = np.asarray(rows, dtype=np.float64)
    seeds, items = values.shape
    if seeds == 1:
        return mean(values[0])
    generator = np.random.default_rng(0)
    drawn = [
        values[generator.integers(seeds, size=seeds)][:, generator.integers(items, size=items)]
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile([one.mean() for one in drawn], [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high), items)


def ahead(
    one: Mapping[int, Mapping[str, Sequence[float]]],
    family: Sequence[Mapping[int, Mapping[str, Sequence[float]]]],
    axis: str,
    measure: str,
) -> dict[str, Any] | None:
    """How far a setting is ahead of a family of others at an equal value of an axis.

    For each seed the family's two settings whose means lie around the setting's are mixed item by
    item so that the mean of the axis is the same. `reached` counts the seeds in which there are
    two; in the others the nearest setting stands alone.

    Args:
        one: values by seed.
        family: those of each setting of the family.
        axis: what is to be equal, one of `MEASURES`.
        measure: what is compared, one of `MEASURES`.

    Returns:
        The difference over seeds and items, or None without a seed that all have.
    """
    seeds = [seed for seed in one if all(seed in other for other in family)]
    rows, reached = [], 0
    for seed in seeds:
        wanted = of_items(one[seed], axis).mean()
        points = sorted((of_items(other[seed], axis).mean(), k) for k, other in enumerate(family))
        places = [place for place, _ in points]
        at = float(np.interp(wanted, places, range(len(places))))
        reached += int(places[0] <= wanted <= places[-1])
        low, high = (of_items(family[points[k][1]][seed], measure) for k in _around(at))
        rows.append(of_items(one[seed], measure) - low - (at % 1) * (high - low))
    return {**over_seeds(rows).to_json(), "reached": reached} if rows else None


def _around(at: float) -> tuple[int, int]:
    return math.floor(at), math.ceil(at)
