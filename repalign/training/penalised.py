"""penalised(): a trainer of TRL whose loss also holds penalties on the states of its model."""

from collections.abc import Sequence

from repalign.training import methods
from repalign.training.checking import check_penalties
from repalign.training.penalties import Penalty, Together
from repalign.training.references import Given
from repalign.training.trainer import Penalised


def penalised(
    trainer_class: type,
    penalties: Sequence[Penalty | Together],
    *,
    reference: Given = None,
    label_column: str | None = None,
    same_weights: bool = True,
) -> type:
    """Make a trainer that adds penalties to the loss of another.

    Everything else is the trainer's own: arguments, data, logs, checkpoints. Each penalty reads the
    pass of the model that carries gradient, so never the reference, which DPO with an adapter runs
    through the same blocks. Evaluation has no penalty: `eval_loss` is the trainer's.

    | trainer | spans; the default first | reference |
    |---|---|---|
    | SFT | completion (the tokens of the loss), prompt, all | a pass of our own |
    | DPO, KTO | chosen, rejected, completion, prompt, all | the pass that the trainer makes |
    | Reward | chosen, rejected (whole texts), all | a pass of our own |
    | GRPO, RLOO | completion, prompt, all | a pass of our own |
    | ORPO, CPO (`trl.experimental`) | chosen, rejected, completion, prompt, all | of our own |

    The reference is the model before training: the trainer's `ref_model`, or the model with its
    adapter off (so the base, where an adapter is trained further and TRL keeps no copy of it). A
    pass of our own takes the time of a forward pass as far as the deepest site, and nothing of the
    head. Packed and padding-free batches are read text by text.

    A mean is over the positions (or texts) of a process's batch: with completions of different
    lengths, accumulation steps and processes weigh alike and not by their tokens. KTO's rows of the
    other kind count as zeros, as rows of another label do.

    Logged by name, as means over the positions read: `penalty/<name>`, unweighted;
    `projection/<site>` on the direction, in its units, and `projection/<site>/reference`;
    `score/<name>` of a probe; `weight/<name>` where it is measured or changes. `penalty_record` of
    the trainer, also written to every checkpoint, holds the settings and the measured weights, and
    under `rewards` those of the rewards and which weights score.

    GRPO and RLOO take the rewards of this room among their `reward_funcs`, also without a penalty:
    `penalised(GRPOTrainer, [])` lets those read the model that is trained. Where a penalty or such
    a reward reads a direction or a probe and `beta` is 0, making the trainer warns.

    Args:
        trainer_class: one of the trainers above, or a subclass of one.
        penalties: what to add. With none, or with weight 0 throughout, the loss is the trainer's
            own, bit for bit, and no hook is placed.
        reference: a frozen model to compare with and to score rewards with, or `"copy"` for a copy
            of the model that is trained, made when the trainer is. For full fine-tuning where the
            trainer has none.
        label_column: a column of the data set with 0 or 1, for penalties with a `label`.
        same_weights: refuse a direction or probe that says it was fitted on other weights than
            those that training starts from.

    Returns:
        A subclass of the trainer. Making one raises `InputError` for a site that the model lacks, a
        direction of another model, a site ahead of every weight that is trained, a reference that
        is needed and not there, and a label column that the data lack. Training raises
        `InputError` for a batch in which the span of a penalty has no token, and `RepalignError`
        unless exactly one pass through a site carries gradient. At a loss that is not finite it
        saves the model and the batch's texts to `stopped-<step>` and raises `RepalignError`.

    Raises:
        InputError: another trainer, something that is no penalty, a site inside a block, a span
            that the trainer does not tell apart, a label without a column.
        MissingExtraError: TRL is not installed.

    Example:
        >>> from repalign.training import delta, penalised
        >>> from trl import DPOTrainer                                       # doctest: +SKIP
        >>> Trainer = penalised(DPOTrainer, [delta(direction)])              # doctest: +SKIP
        >>> Trainer(model, args=args, train_dataset=pairs).train()           # doctest: +SKIP
    """
    method = methods.of(trainer_class)
    check_penalties(penalties, method, trainer_class.__name__, label_column)
    return type(
        f"Penalised{trainer_class.__name__}",
        (Penalised, trainer_class),
        {
            "__module__": trainer_class.__module__,
            "__doc__": f"`{trainer_class.__name__}` with penalties on states in its loss.",
            "penalties": tuple(penalties),
            "label_column": label_column,
            "_method": method,
            "_given": reference,
            "same_weights": same_weights,
        },
    )
