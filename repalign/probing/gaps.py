"""Gaps: how far a model's state is from where a better prompt would put it (arXiv 2510.02671).

A feature is a direction along which the states of an answer differ between two prompts, such as to
be honest and to lie. What the answer's state under a plain prompt lacks along it is taken for a
part of the model's unsureness.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from repalign.errors import InputError, unknown
from repalign.metrics import auroc
from repalign.metrics.rejection import prr

VARIANTS = ("paper", "sign-randomised", "mean-difference", "random")
ENSEMBLE = "ensemble"


def direction(
    differences: Float[np.ndarray, "item d_model"], variant: str, seed: int = 0
) -> Float[np.ndarray, " d_model"]:
    """A unit vector from the differences of states under two prompts.

    Args:
        differences: state under the better prompt less that under the worse one, one an item.
        variant: `paper`, the first principal component of the differences about their mean, which
            is how they vary and not where they point; `sign-randomised`, the same after each
            difference was turned round or not by chance (as in arXiv 2310.01405), so that where
            they point counts; `mean-difference`, their mean; `random`, drawn without a look.
        seed: of chance.

    Raises:
        InputError: no such variant, or differences of which nothing is left.
    """
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    rows = np.asarray(differences, dtype=np.float64)
    generator = np.random.default_rng(seed)
    if variant == "random":
        found = generator.standard_normal(rows.shape[1])
    elif variant == "mean-difference":
        found = rows.mean(axis=0)
    else:
        if variant == "sign-randomised":
            rows = rows * generator.choice([-1.0, 1.0], size=(len(rows), 1))
        centred = rows - rows.mean(axis=0)
        found = np.linalg.svd(centred, full_matrices=False)[2][0] if centred.any() else centred[0]
    length = np.linalg.norm(found)
    if not length > 0:
        raise InputError(
            f"The states of {len(rows)} items do not differ between the two prompts; a direction "
            f"of the variant {variant} needs differences."
        )
    return found / length


@dataclass(frozen=True, eq=False)
class Feature:
    """One direction at one layer, turned so that a higher projection is less sure."""

    layer: int
    """Place among the layers that were read."""
    vector: Float[np.ndarray, " d_model"]

    @classmethod
    def chosen(
        cls,
        differences: Float[np.ndarray, "item layer d_model"],
        states: Float[np.ndarray, "other layer d_model"],
        wrong: Bool[np.ndarray, " other"],
        variant: str,
        seed: int = 0,
    ) -> "Feature":
        """Fit a direction at each layer, and choose sign and layer on other items.

        The sign is that of the AUROC against wrong, the layer the one of the best PRR, as in the
        paper.

        Raises:
            InputError: the other items are all right or all wrong.
        """
        best, found = -np.inf, None
        labels, quality = wrong.astype(np.intp), 1.0 - wrong
        for layer in range(differences.shape[1]):
            vector = direction(differences[:, layer], variant, seed + layer)
            projected = states[:, layer].astype(np.float64) @ vector
            if auroc(labels, projected, resamples=0).value < 0.5:
                vector, projected = -vector, -projected
            value = prr(projected, quality, resamples=0).value
            if value > best:
                best, found = value, cls(layer, vector)
        if found is None:
            raise InputError("No layers were given to choose among.")
        return found

    def score(self, states: Float[np.ndarray, "item layer d_model"]) -> Float[np.ndarray, " item"]:
        """The projection of an answer's mean state; higher is less sure."""
        return states[:, self.layer].astype(np.float64) @ self.vector


@dataclass(frozen=True, eq=False)
class Gaps:
    """Several features and their weighted sum."""

    features: Mapping[str, Feature]
    middle: Float[np.ndarray, " feature"]
    spread: Float[np.ndarray, " feature"]
    weights: Float[np.ndarray, " feature"]
    """Of the scores, each less its `middle` and in units of its `spread`."""

    @classmethod
    def fit(
        cls,
        differences: Mapping[str, Float[np.ndarray, "item layer d_model"]],
        states: Float[np.ndarray, "other layer d_model"],
        wrong: Bool[np.ndarray, " other"],
        variant: str = "paper",
        seed: int = 0,
    ) -> "Gaps":
        """Fit directions on the differences, and layers, signs and weights on other items.

        The paper takes both from one set of 256 labelled items and reports on others; here what
        chooses was not fitted on, and neither may be what is reported. The paper's logistic
        regression sees raw scores; here each is standardised first.

        Args:
            differences: for each feature, of the items that directions are fitted on.
            states: mean states of the answers of other items, under the plain prompt.
            wrong: whether each of these answers is wrong.
            variant: of the directions.
            seed: of chance.

        Raises:
            InputError: no features, the other items are all right or all wrong, or states that do
                not differ between prompts.
        """
        if not differences:
            raise InputError("No features were given.")
        if wrong.all() or not wrong.any():
            raise InputError(
                f"All {len(wrong)} answers that choose layer and sign are "
                f"{'wrong' if wrong.any() else 'right'}; both are needed."
            )
        features = {
            name: Feature.chosen(found, states, wrong, variant, seed + 1000 * place)
            for place, (name, found) in enumerate(differences.items())
        }
        scores = np.stack([one.score(states) for one in features.values()], axis=1)
        middle, spread = scores.mean(axis=0), np.maximum(scores.std(axis=0), 1e-12)
        with warnings.catch_warnings():
            # 200 steps are the paper's; where they do not suffice the weights are good enough.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = LogisticRegression(max_iter=200).fit((scores - middle) / spread, wrong)
        return cls(features, middle, spread, np.asarray(fitted.coef_[0], dtype=np.float64))

    def scores(
        self, states: Float[np.ndarray, "item layer d_model"]
    ) -> dict[str, Float[np.ndarray, " item"]]:
        """Each feature's score, and the `ensemble`; higher is less sure."""
        each = {name: one.score(states) for name, one in self.features.items()}
        table = (np.stack(list(each.values()), axis=1) - self.middle) / self.spread
        return {**each, ENSEMBLE: table @ self.weights}

    @property
    def layers(self) -> Sequence[int]:
        """The place of each feature's layer."""
        return [one.layer for one in self.features.values()]
