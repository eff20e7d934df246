"""Labels: a column of the data set carried to the loss, for penalties on rows of one label."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from repalign.errors import InputError
from repalign.training.methods import Method

KEY = "repalign_label"
"""Where a batch holds them."""


class Labelled:
    """A collator that adds the labels to what another one makes."""

    def __init__(self, collator: Callable[[list[dict[str, Any]]], Any], column: str) -> None:
        """Wrap a collator.

        Args:
            collator: the trainer's own.
            column: the column with the labels.
        """
        self._collator = collator
        self._column = column

    def __call__(self, rows: list[dict[str, Any]]) -> Any:
        """Collate, and add the labels."""
        labels = read(rows, self._column)
        # `label` is a column that KTO needs itself; other collators might take an unknown one for
        # something else.
        if self._column != "label":
            rows = [{k: v for k, v in row.items() if k != self._column} for row in rows]
        return {**self._collator(rows), KEY: labels}


def read(rows: Sequence[Mapping[str, Any]], column: str) -> Tensor:
    """The labels of rows.

    Raises:
        InputError: a row without a label, or with another one than 0 or 1.
    """
    found = [row.get(column) for row in rows]
    wrong = [label for label in found if label not in (0, 1)]
    if wrong:
        raise InputError(
            f"The column {column!r} holds labels, 0 or 1, and a row has {wrong[0]!r}. Say "
            "label_column=… for another column, or leave rows without a label out."
        )
    return torch.tensor([int(label) for label in found if label is not None])


def apart(inputs: Any) -> tuple[Any, Tensor | None]:
    """A batch without its labels, which models do not know, and the labels."""
    if not isinstance(inputs, Mapping) or KEY not in inputs:
        return inputs, None
    return {name: value for name, value in inputs.items() if name != KEY}, inputs[KEY]


def check_column(trainer: Any, column: str) -> None:
    """Refuse data in which the column is missing or would get lost.

    Raises:
        InputError: no such column, or packing, which puts several rows into one.
    """
    if getattr(trainer.args, "packing", False):
        raise InputError(
            "Packing cuts and joins the rows, and their labels would get lost. Set packing=False; "
            "padding_free=True keeps the labels."
        )
    names = getattr(trainer.train_dataset, "column_names", None)
    if names is not None and column not in names:
        raise InputError(
            f"The training data have no column {column!r} for the labels of penalties; they have "
            f"{', '.join(sorted(names))}."
        )


class CarriesLabels:
    """Goes ahead of a trainer of TRL, and carries the labels from its data to its batches."""

    label_column: str | None
    _method: Method
    # The trainer's own.
    model: Any
    data_collator: Any
    accelerator: Any
    _signature_columns: list[str] | None

    def _set_signature_columns_if_needed(self) -> None:
        base: Any = super()
        base._set_signature_columns_if_needed()
        columns = self._signature_columns
        if self.label_column is not None and columns is not None:
            self._signature_columns = list(dict.fromkeys([*columns, self.label_column]))

    def _get_dataloader(self, *args: Any, **kwargs: Any) -> Any:
        base: Any = super()
        # Evaluation has no penalty, so its data need no labels.
        training = kwargs.get("is_training", False) and not self._method.generates
        if self.label_column is None or not training:
            return base._get_dataloader(*args, **kwargs)
        # Only while the loader is made: trainers collate rows of their own for other ends, and
        # would hand an unknown key to the model.
        plain = self.data_collator
        self.data_collator = Labelled(plain, self.label_column)
        try:
            return base._get_dataloader(*args, **kwargs)
        finally:
            self.data_collator = plain

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Of trainers that generate: their rows stay a list until then."""
        base: Any = super()
        output = base._generate_and_score_completions(inputs)
        if self.label_column is not None and self.model.training:
            # Shuffled and cut into batches with the rest, row by row.
            output[KEY] = read(inputs, self.label_column).to(self.accelerator.device)
        return output
