"""Nonlinear conjugate gradients for many logistic regressions at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from .arrays import Bools, Floats, Indices

TRIALS = 4
"""Lengths tried along a direction."""
FLAT = 0.1
"""A slope of less than this share of the first one is flat enough."""


@dataclass
class Descent:
    """Where each problem stands; one row a problem, in every array."""

    place: Indices
    """Its index among all problems."""
    points: Floats
    """Weights and intercept; shape `(p, k + 1)`."""
    signs: Floats
    """+1, -1, or 0 for a row that is not in the problem; shape `(p, n)`."""
    ridge: Floats
    """Penalty of every weight, 0 for the intercept; shape `(p, k + 1)`."""
    reach: Floats
    """Length of every row, its features divided by the root of the ridge; shape `(p, n)`."""
    scores: Floats
    """Of all rows at the points; shape `(p, n)`."""
    slack: Floats
    """Probability of the other label; shape `(p, n)`."""
    direction: Floats
    along: Floats
    """What the direction adds to the scores."""
    last_gradient: Floats
    last_product: Floats
    """Of the last gradient with its preconditioned self."""
    factor: Indices
    """Which preconditioner; its owner's to set."""
    renewals: Indices
    """How often the preconditioner was replaced."""
    steps: Indices
    """Taken since the preconditioner was set."""
    first: Floats
    """The size of the first of them: how far it would move a score."""

    @classmethod
    def start(
        cls, points: Floats, features: Floats, signs: Floats, ridge: Floats, reach: Floats
    ) -> Self:
        """Begin at some points."""
        scores = points @ features.T
        count = len(points)
        return cls(
            place=np.arange(count),
            points=points,
            signs=signs,
            ridge=ridge,
            reach=reach,
            scores=scores,
            slack=expit(-signs * scores),
            direction=np.zeros_like(points),
            along=np.zeros_like(scores),
            last_gradient=np.zeros_like(points),
            last_product=np.full(count, np.inf),
            factor=np.zeros(count, dtype=np.intp),
            renewals=np.zeros(count, dtype=np.intp),
            steps=np.zeros(count, dtype=np.intp),
            first=np.ones(count),
        )

    def rows(self, keep: Bools) -> Self:
        """Some of the problems."""
        return type(self)(**{name: part[keep] for name, part in vars(self).items()})

    def curvature(self, rows: Indices | slice = slice(None)) -> Floats:
        """Second derivative of the loss of every row, 0 outside the problem."""
        slack = self.slack[rows]
        return self.signs[rows] ** 2 * slack * (1.0 - slack)

    def forget(self, rows: Indices) -> None:
        """Start again from where some problems are, with another preconditioner."""
        self.renewals[rows] += 1
        self.steps[rows] = 0
        self.last_product[rows] = np.inf
        self.direction[rows] = 0.0
        self.along[rows] = 0.0

    def rescore(self, features: Floats) -> None:
        """Compute the scores anew, without the rounding that steps have added up."""
        self.scores = self.points @ features.T
        self.slack = expit(-self.signs * self.scores)

    def gradient(self, features: NDArray[Any]) -> Floats:
        """Of the penalised losses, in the precision of the features."""
        residual = (-self.signs * self.slack).astype(features.dtype)
        return (residual @ features).astype(np.float64) + self.ridge * self.points

    def rate(self, size: Floats) -> Floats:
        """Take down the size of the next steps; how much smaller each has become, on average."""
        new = self.steps == 0
        self.first = np.where(new, size, self.first)
        self.steps = self.steps + 1
        return np.where(new, 0.5, (size / self.first) ** (1.0 / np.maximum(self.steps - 1, 1)))

    def bound(self, gradient: Floats) -> Floats:
        """Upper bound on how far the score of any row is from its value at the optimum.

        Relative to the score where that is above 1. The Hessian `H` of the weights, once the
        intercept follows them, is at least the ridge, whatever the curvatures. So the error
        `(z_i - z)^T H^-1 g` of the score of row `i`, with `z` some mean of the training rows, is at
        most the length of `z_i - z` times that of `g`, both divided by the root of the ridge. The
        gradient of the intercept is brought to zero first, to first order.
        """
        inner = gradient[:, :-1] ** 2 / self.ridge[:, :-1]
        lift = np.abs(gradient[:, -1])
        widest = (self.reach * (self.signs != 0)).max(axis=1)
        length = np.sqrt(inner.sum(axis=1)) + widest * lift
        far = (self.reach + widest[:, np.newaxis]) / np.maximum(1.0, np.abs(self.scores))
        bend = np.maximum(self.curvature().sum(axis=1), 1e-100)
        return far.max(axis=1) * length + lift / bend

    def turn(self, gradient: Floats, newton: Floats, moves: NDArray[Any]) -> None:
        """Set the next direction: downhill, and conjugate to the last one (Polak and Ribiere)."""
        product = np.einsum("pk,pk->p", gradient, newton)
        change = product - np.einsum("pk,pk->p", self.last_gradient, newton)
        memory = np.maximum(0.0, change / self.last_product)[:, np.newaxis]
        self.direction = memory * self.direction - newton
        self.along = memory * self.along - moves
        uphill = np.einsum("pk,pk->p", gradient, self.direction) >= 0
        self.direction[uphill], self.along[uphill] = -newton[uphill], -moves[uphill]
        self.last_gradient, self.last_product = gradient, product

    def search(self) -> None:
        """Move along the directions to where the loss is about flat.

        The loss is convex, so a slope of either sign bounds the length; Newton steps that leave the
        bounds are replaced by doubling or halving.
        """
        weighted = self.ridge * self.direction
        linear = np.einsum("pk,pk->p", weighted, self.points)
        quadratic = np.einsum("pk,pk->p", weighted, self.direction)
        pull = -self.signs * self.along
        steepest = np.abs(np.einsum("pn,pn->p", pull, self.slack) + linear)
        low, high = np.zeros(len(self.points)), np.full(len(self.points), np.inf)
        length = np.ones(len(self.points))
        for trial in range(1, TRIALS + 1):
            scores = self.scores + length[:, np.newaxis] * self.along
            slack = expit(-self.signs * scores)
            slope = np.einsum("pn,pn->p", pull, slack) + linear + length * quadratic
            if trial == TRIALS or (np.abs(slope) <= FLAT * steepest).all():
                self.scores, self.slack = scores, slack
                break
            low, high = np.where(slope < 0, length, low), np.where(slope > 0, length, high)
            bend = np.einsum("pn,pn->p", slack * (1.0 - slack), pull**2) + quadratic
            newton = length - slope / bend
            halfway = np.where(np.isinf(high), 2 * length, (low + high) / 2)
            length = np.where((newton > low) & (newton < high), newton, halfway)
        self.points = self.points + length[:, np.newaxis] * self.direction
