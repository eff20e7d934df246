"""Presets: penalties put together as papers did, each named for what it is."""

from collections.abc import Sequence

from repalign.directions import Direction
from repalign.sites import Site
from repalign.training.penalties.movement import Movement
from repalign.training.penalties.penalty import Where
from repalign.training.penalties.reroute import Reroute
from repalign.training.penalties.retain import Retain
from repalign.training.penalties.target import Target
from repalign.training.penalties.together import Together
from repalign.training.schedules import Constant, Ramp, Schedule


def delta(
    directions: Direction | Sequence[Direction],
    weight: float | None = None,
    *,
    auto_weight: float | None = None,
    margin: float = 0.25,
    retain: float = 0.1,
    span: Where | None = None,
    schedule: Schedule = Constant(),  # noqa: B008
) -> Together:
    """A hinge on movement along the honest direction, and `retain` times the movement off it.

    A RECONSTRUCTION of the regulariser of "Dishonesty in Helpful and Harmless Alignment" (arXiv
    2406.01931). What is known of it: a representation regulariser on the preference loss, along an
    honest direction. Its formula, sign, layers, tokens and coefficients were not readable, so
    everything here, every default included, is ours and not the paper's.

    Args:
        directions: one a site.
        weight: of the two together.
        auto_weight: instead of a weight: the share of the gradient norm of the trainer's own loss
            at step 0. Without either, 0.3.
        margin: the movement that is asked for, in units of `direction.scale`. At 0 there is no
            gradient at step 0, and so no auto_weight.
        retain: weight of the movement off the direction, relative to the hinge's.
        span: which tokens; the chosen completion by default.
        schedule: factor of both by step.
    """
    if weight is None and auto_weight is None:
        auto_weight = 0.3
    return Together(
        (
            Movement(directions, 1.0, margin, span=span, schedule=schedule),
            Retain(directions, retain, span=span, schedule=schedule),
        ),
        weight,
        auto_weight,
        name="delta",
    )


def lorra(
    directions: Direction | Sequence[Direction],
    weight: float | None = None,
    *,
    auto_weight: float | None = None,
    alpha: float = 5.0,
    span: Where | None = None,
    schedule: Schedule = Constant(),  # noqa: B008
) -> Target:
    """The loss of LoRRA (arXiv 2310.01405) as a penalty: go to `h_ref + alpha·scale·v`.

    The paper trains on this loss alone, takes the difference of each text's states under two
    prompts and not one direction for all texts, and gives alpha 5, the even layers 10 to 20 and 64
    response tokens for a model of 7B. Without weight or auto_weight the weight is 1.
    """
    if weight is None and auto_weight is None:
        weight = 1.0
    return Target(
        directions,
        weight,
        alpha,
        auto_weight=auto_weight,
        span=span,
        schedule=schedule,
        name="lorra",
    )


def circuit_breaker(
    reroute: Site | Sequence[Site],
    retain: Site | Sequence[Site] | None = None,
    weight: float = 10.0,
    *,
    steps: int = 150,
    span: Where | None = "completion",
) -> Together:
    """Circuit breakers (arXiv 2406.04313) for dishonesty, over rows labelled 0 and 1.

    Rows of label 0 (dishonest) are rerouted, `relu(cos(h_ref, h))`, with factor `1 − t/(2·steps)`;
    rows of label 1 are retained, `‖h − h_ref‖₂`, with factor `t/(2·steps)` at step t. Give
    `penalised` the `label_column`. The paper breaks harmful and not dishonest completions, trains
    on these two terms alone, with separate batches, and gives weight 10, layers 10 and 20 for the
    first, all layers for the second and 150 steps for a model of 8B; here the trainer's own loss
    stands beside them, and in a mixed batch each kind counts by the number of its rows.

    Args:
        reroute: sites of the first term.
        retain: sites of the second; those of the first by default.
        weight: of both.
        steps: how long training is; at its end each factor is at a half.
        span: which tokens.
    """
    return Together(
        (
            Reroute(reroute, 1.0, label=0, span=span, schedule=Ramp(1.0, 0.0, 2 * steps)),
            Retain(
                (),
                1.0,
                reroute if retain is None else retain,
                squared=False,
                label=1,
                span=span,
                schedule=Ramp(0.0, 1.0, 2 * steps),
            ),
        ),
        weight,
        name="circuit_breaker",
    )
