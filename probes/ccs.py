"""Contrast-consistent search: a score whose probabilities negate each other within pairs."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from .arrays import Bools, Floats
from .contrasts import Pairs, all_pairs, group_codes, pairs_in_order, polarity_codes
from .linear_probe import LinearProbe, LinearScore, positive, whole
from .pair_loss import PairTerm, contrast, fit_pair_loss
from .standardisation import Standardisation


class CCS(LinearProbe):
    """Find, from pairs of which one row is honest, a score that separates them confidently.

    Minimises over pairs `mean(min(p, q)^2 + (p + q - 1)^2) + alpha/2 |w|^2` with
    `p = sigmoid(w x + b)` for one row of the pair and `q` for the other. The labels say which
    rows form a pair (one of each label) and, at the end, which side of the score is honest; they
    do not say which row of a pair is which. So the search may find any contrast that every pair
    shows, honesty or not.

    The decision values are the logits `w x`, zero in the middle of the training pairs. The sign
    follows the majority of the *training* pairs.
    Nothing is re-oriented or re-centred at prediction: a probe that found the wrong contrast
    scores at or below chance on new rows, where the customary `max(accuracy, 1 - accuracy)` would
    never show less than 0.5.

    Source: CCS (arXiv 2212.03827). Where we differ:

    * Features are standardised (the paper's optional scaling). The paper subtracts from every row
      the mean of its role in the pair, in test sets from the test rows. Here roles are told by
      `polarity`, means are those of the training rows, and the axis between the role means is
      projected out: only then does one row, of whatever role, have one score linear in it.
    * The paper stops AdamW after 1000 epochs (rate 1e-3, decay 0.01), and has no finite optimum
      where the pairs are separable. We add the L2 penalty `alpha` and minimise to convergence by
      L-BFGS, all restarts side by side for some steps and then the best alone.
    * The paper starts at random. Here half the restarts begin at the axes along which the pairs
      differ most relative to the spread of the rows, which reach much lower losses.

    Args:
        alpha: Strength of the L2 penalty, in standardised features. With more features than
            pairs any assignment of signs to pairs fits, and the penalty decides between them in
            favour of contrasts of large variance.
        restarts: Number of starting points, half of them random.
        random_state: Seed of the random ones; the default makes `fit` deterministic.

    Attributes:
        pair_agreement_: Share of training pairs whose honest row scores higher. At least 0.5,
            because it chose the sign; near 0.5 the sign is a guess. No estimate of accuracy.
        loss_: Loss reached, penalty included.
        restart_losses_: Loss of every restart before the best was carried on.

    Example:
        >>> import numpy as np
        >>> from probes import CCS
        >>> rng = np.random.default_rng(0)
        >>> fact = np.repeat(rng.normal(size=(50, 1)), 2, axis=0)  # shared by the pair
        >>> y = np.tile([1, 0], 50)
        >>> X = np.hstack([fact, 2.0 * y[:, None] + 0.1 * rng.normal(size=(100, 1))])
        >>> probe = CCS().fit(X, y, groups=np.repeat(np.arange(50), 2))
        >>> float(probe.score(X, y)), probe.pair_agreement_
        (1.0, 1.0)
    """

    uses: ClassVar[frozenset[str]] = frozenset({"groups", "polarity"})
    needs: ClassVar[frozenset[str]] = frozenset({"groups"})

    pair_agreement_: float
    loss_: float
    restart_losses_: Floats

    def __init__(
        self,
        alpha: float = 0.01,
        restarts: int = 10,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
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
            groups: One name per row. Every honest row of a group is paired with every dishonest
                one; groups weigh the same. None pairs the i-th honest with the i-th dishonest
                row, as given, which suits rows that are sorted alike and is arbitrary otherwise.
            polarity: Role of every row, +1 affirmed, -1 negated, 0 neither; each with both
                labels. None: rows have no roles, and are centred together.

        Raises:
            ValueError: for a group or polarity without both labels, a parameter out of range, or
                unless `y` holds exactly two classes and `X` is finite.

        Warns:
            ConvergenceWarning: if the best restart did not reach a stationary point.
        """
        rows, honest = self._training_data(X, y)
        pairs = contrast_pairs(honest, groups)
        roles = None if polarity is None else polarity_codes(polarity, honest)
        frame = Standardisation.of(rows, roles)
        found = fit_pair_loss(
            frame.apply(rows),
            pairs,
            [PairTerm(contrast, pairs)],
            positive("alpha", self.alpha),
            whole("restarts", self.restarts),
            check_random_state(self.random_state),
        )
        self.loss_, self.restart_losses_ = found.loss, found.restart_losses
        score, self.pair_agreement_ = oriented(frame.unfold(found.score), rows, pairs)
        self._set_score(score)
        return self


def contrast_pairs(honest: Bools, groups: ArrayLike | None) -> Pairs:
    """Pairs of an honest row (left) and a dishonest row (right), within groups where given."""
    if groups is None:
        return pairs_in_order(honest)
    return all_pairs(group_codes(groups, honest), honest, ~honest)


def oriented(score: LinearScore, rows: Floats, pairs: Pairs) -> tuple[LinearScore, float]:
    """The score that ranks more left rows above their right rows, zero in the middle of pairs.

    A tie is broken by the mean difference. The offset that the loss found is replaced: the loss
    is not symmetric (the best constant probability is 0.4), so that offset would depend on which
    of the two signs the search happened to find. In the paper's comparison of the two rows of a
    pair it cancels.

    Returns:
        The score, and the share of pairs (ties count half) in which the left row scores higher.
    """
    left, right = rows[pairs.left] @ score.weights, rows[pairs.right] @ score.weights
    gaps = left - right
    # Rounded, so that a tie is a tie and 1 is 1 in whatever order the weights are added up.
    share = round(float(pairs.weight @ (0.5 + 0.5 * np.sign(gaps))), 9)
    middle = float(pairs.weight @ (left + right)) / 2
    if (share, float(pairs.weight @ gaps)) < (0.5, 0.0):
        return LinearScore(-score.weights, middle), 1.0 - share
    return LinearScore(score.weights, -middle), share
