"""Stopping a training whose loss is no number."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Never

from repalign.errors import RepalignError
from repalign.storage import write_json
from repalign.training.methods import Layout

_SHOWN = 4
"""Rows of a batch that the message shows."""
_LENGTH = 60


def stop(trainer: Any, layout: Layout | None, wrong: Sequence[str]) -> Never:
    """Save the model and the texts of the batch, and end the training.

    Args:
        trainer: the trainer.
        layout: of the batch; None where it could not be read.
        wrong: what is not finite.

    Raises:
        RepalignError: always.
    """
    step = trainer.state.global_step
    folder = Path(trainer.args.output_dir) / f"stopped-{step}"
    trainer.save_model(str(folder))
    texts = _texts(trainer, layout)
    if texts:
        rank = trainer.args.process_index
        write_json(
            folder / f"batch-{rank}.json", {"step": step, "not_finite": [*wrong], "texts": texts}
        )
    shown = "; ".join(repr(text[:_LENGTH]) for text in texts[:_SHOWN])
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    raise RepalignError(
        f"Training was stopped at step {step}: {' and '.join(wrong)} is not finite. The batch "
        f"holds {shown or 'texts that cannot be shown'}{more}. The model as it was before this "
        f"step and the texts are in {folder}. Look at these rows, lower the learning rate or the "
        "weights of the penalties, or train in float32."
    )


def _texts(trainer: Any, layout: Layout | None) -> list[str]:
    words = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
    if layout is None or words is None:
        return []
    rows = zip(layout.ids.tolist(), layout.attended.tolist(), strict=True)
    return [
        words.decode([token for token, kept in zip(ids, attended, strict=True) if kept])
        for ids, attended in rows
    ]
