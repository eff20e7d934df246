"""Contrast-consistent search that also has to flip when a statement is negated."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from .arrays import Bools, Floats, Indices
from .ccs import contrast_pairs, oriented
from .contrasts import all_pairs, group_codes, polarity_codes
from .linear_probe import LinearProbe, positive, whole
from .pair_loss import PairTerm, agreement, contradiction, contrast, fit_pair_loss
from .standardisation import Standardisation


class PolarityCCS(LinearProbe):
    """CCS on groups of four rows: an affirmed and a negated statement, each true and false.

    With `p` the probability of a row, `h` honest, `d` dishonest, `+` affirmed and `-` negated,
    minimises the mean over groups of

        1/2 CCS(h+, d+) + 1/2 CCS(h-, d-)
        + strength * [ ((p(h+) - p(h-))^2 + (p(d+) - p(d-))^2) / 2 ]      polar consistency
        + strength * [ p(h+) p(d-) + p(d+) p(h-) ]                        contradiction
        + alpha/2 |w|^2

    Evidence and reconstruction. PA-CCS (arXiv 2511.21737, and its code) fits the plain CCS loss,
    with every class of rows centred on its training mean, and *measures* polar consistency (PC)
    and the contradiction index (CI) afterwards. Putting the two into the loss, PC without its
    sign factor, is our reconstruction of what "polarity-aware" asks for, not the paper's method;
    `strength=0` leaves plain CCS within polarities. Optimiser, starting points, standardisation
    and orientation are those of `CCS`; the paper's `max(accuracy, 1 - accuracy)` is not used.

    As in `CCS` the loss stays the same when all labels of a group are exchanged: labels say how
    the rows of a group relate, and the sign of the final score.

    Args:
        strength: Weight of polar consistency and contradiction.
        alpha: Strength of the L2 penalty, in standardised features.
        restarts: Number of starting points, half of them random.
        random_state: Seed of the random ones; the default makes `fit` deterministic.

    Attributes:
        pair_agreement_: Share of training pairs whose honest row scores higher. At least 0.5,
            because it chose the sign; near 0.5 the sign is a guess. No estimate of accuracy.
        loss_: Loss reached, penalty included.
        restart_losses_: Loss of every restart before the best was carried on.

    Example:
        >>> import numpy as np
        >>> from probes import PolarityCCS
        >>> rng = np.random.default_rng(0)
        >>> y, polarity = np.tile([1, 0, 1, 0], 50), np.tile([1, 1, -1, -1], 50)
        >>> truth, form = 2.0 * y - 1.0, 9.0 * polarity  # polarity is far louder than truth
        >>> X = np.column_stack([truth, form]) + 0.1 * rng.normal(size=(200, 2))
        >>> groups = np.repeat(np.arange(50), 4)
        >>> probe = PolarityCCS().fit(X, y, groups=groups, polarity=polarity)
        >>> float(probe.score(X, y))
        1.0
    """

    uses: ClassVar[frozenset[str]] = frozenset({"groups", "polarity"})
    needs: ClassVar[frozenset[str]] = frozenset({"groups", "polarity"})

    pair_agreement_: float
    loss_: float
    restart_losses_: Floats

    def __init__(
        self,
        strength: float = 1.0,
        alpha: float = 0.01,
        restarts: int = 10,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.strength = strength
        self.alpha = alpha
        self.restarts = restarts
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        polarity: ArrayLike | None = None,
    ) -> Self:
        """Search with rows `X` of shape `(n, d)` and labels `y`.

        Args:
            X: Rows.
            y: Labels; `classes_[1]` is honest.
            groups: One name per row. With `polarity`, every group needs all four kinds of rows;
                where it has several of a kind, all combinations enter with equal weight.
            polarity: +1 affirmed, -1 negated. None fits plain `CCS` to `groups`.

        Raises:
            ValueError: for `polarity` without `groups`, a group that lacks one of the four kinds
                of rows, a polarity other than +1 or -1, a parameter out of range, or unless `y`
                holds exactly two classes and `X` is finite.

        Warns:
            ConvergenceWarning: if the best restart did not reach a stationary point.
        """
        rows, honest = self._training_data(X, y)
        if not self.strength >= 0:
            raise ValueError(f"strength={self.strength!r}; it has to be 0 or greater.")
        pairs = contrast_pairs(honest, groups)
        if polarity is None:
            signs, terms = None, [PairTerm(contrast, pairs)]
        elif groups is None:
            raise ValueError(
                "polarity was given without groups; PolarityCCS compares affirmed and negated "
                "rows of the same group: give groups too, or pass polarity=None."
            )
        else:
            signs = polarity_codes(polarity, honest)
            terms = polarity_terms(group_codes(groups, honest), honest, signs, self.strength)
        frame = Standardisation.of(rows, signs)
        found = fit_pair_loss(
            frame.apply(rows),
            pairs,
            terms,
            positive("alpha", self.alpha),
            whole("restarts", self.restarts),
            check_random_state(self.random_state),
        )
        self.loss_, self.restart_losses_ = found.loss, found.restart_losses
        score, self.pair_agreement_ = oriented(frame.unfold(found.score), rows, pairs)
        self._set_score(score)
        return self


def polarity_terms(
    codes: Indices, honest: Bools, signs: NDArray[np.int_], strength: float
) -> list[PairTerm]:
    """The penalties on groups that hold both labels in both polarities.

    Raises:
        ValueError: for a row that is neither affirmed nor negated, or an incomplete group.
    """
    if (signs == 0).any():
        raise ValueError(
            f"{(signs == 0).sum()} rows have polarity 0; PolarityCCS needs +1 or -1: drop them, "
            "or use CCS."
        )
    kinds = [(honest == label) & (signs == sign) for label in (True, False) for sign in (1, -1)]
    counts = np.stack([np.bincount(codes, kind) for kind in kinds])
    incomplete = (counts == 0).any(axis=0)
    if incomplete.any():
        raise ValueError(
            f"{incomplete.sum()} of {len(incomplete)} groups lack one of the four kinds of rows "
            "(honest and dishonest, affirmed and negated): drop these groups, or use CCS."
        )

    honest_yes, honest_no, dishonest_yes, dishonest_no = kinds
    table = (
        (contrast, honest_yes, dishonest_yes, 0.5),
        (contrast, honest_no, dishonest_no, 0.5),
        (agreement, honest_yes, honest_no, strength),
        (agreement, dishonest_yes, dishonest_no, strength),
        (contradiction, honest_yes, dishonest_no, strength),
        (contradiction, dishonest_yes, honest_no, strength),
    )
    return [
        PairTerm(penalty, all_pairs(codes, left, right), weight)
        for penalty, left, right, weight in table
    ]
