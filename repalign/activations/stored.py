"""StoredValues: values that stay on disk until a site of them is asked for."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from repalign.activations.shards import ShardFile


class StoredValues:
    """Values `[row site d_model]` in the files of a store, read in float32.

    It behaves as an array where activations need it: `values[:, i]` reads one site of every row
    and touches nothing else on disk; `values[keep]` and `values[:, [i, j]]` pick rows and sites
    and read nothing.
    """

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(
        self,
        parts: Sequence["ShardFile | HeldBlock"],
        part: NDArray[np.integer],
        place: NDArray[np.integer],
        width: tuple[int, int],
    ) -> None:
        """Put rows together from parts.

        Args:
            parts: files, or values in memory.
            part: for each row, which of the parts holds it.
            place: for each row, where in that part.
            width: number of sites, and `d_model`.
        """
        self._parts = tuple(parts)
        self._part = part
        self._place = place
        self._width = width

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, sites, `d_model`."""
        return (len(self._part), *self._width)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._part)

    def __repr__(self) -> str:
        """Print the shape, not the values."""
        return f"StoredValues(shape={self.shape}, parts={len(self._parts)})"

    def __getitem__(self, key: Any) -> Any:
        """Pick rows, or sites of all rows.

        Args:
            key: `[keep]` with a mask, indices or a slice gives the rows, unread; `[:, i]` one
                site, read, `[row d_model]` in float32; `[:, [i, j]]` some sites, unread.
        """
        if not isinstance(key, tuple):
            return self._rows(key)
        if len(key) != 2:
            raise TypeError(f"Stored values are indexed by rows or by rows and sites, not {key!r}.")
        rows, columns = key
        kept = self if isinstance(rows, slice) and rows == slice(None) else self._rows(rows)
        if isinstance(columns, int | np.integer):
            return kept._read(range(self._width[0])[columns])
        if kept is not self and not isinstance(rows, slice):
            raise TypeError("Pick rows first and sites then: values[rows][:, sites].")
        return kept._columns(np.arange(self._width[0])[columns])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read everything into memory, `[row site d_model]`: only for what is small."""
        if copy is False:
            raise ValueError("Values on disk cannot become an array without being copied.")
        whole = np.empty(self.shape, dtype=np.float32)
        for column in range(self._width[0]):
            whole[:, column] = self._read(column)
        return whole if dtype is None else whole.astype(dtype, copy=False)

    @classmethod
    def join(cls, values: Sequence["StoredValues | np.ndarray"]) -> "StoredValues":
        """Put rows under rows, reading nothing; values in memory stay there.

        Raises:
            ValueError: other numbers of sites or another `d_model`.
        """
        if len({part.shape[1:] for part in values}) != 1:
            raise ValueError(f"Shapes {[part.shape for part in values]} cannot be joined.")
        numbers: dict[Any, int] = {}
        files: list[ShardFile | HeldBlock] = []
        part, place = [], []
        for held in values:
            stored = held if isinstance(held, StoredValues) else _in_memory(held)
            known = []
            for item in stored._parts:
                key = (item.path, item.offsets) if isinstance(item, ShardFile) else id(item)
                if key not in numbers:
                    numbers[key] = len(files)
                    files.append(item)
                known.append(numbers[key])
            part.append(np.array(known, dtype=np.int64)[stored._part])
            place.append(stored._place)
        _, sites, d_model = values[0].shape
        return cls(files, np.concatenate(part), np.concatenate(place), (sites, d_model))

    def _rows(self, keep: Any) -> "StoredValues":
        if isinstance(keep, int | np.integer):
            raise TypeError("One row cannot be read by its number; read a site: values[:, i].")
        return StoredValues(self._parts, self._part[keep], self._place[keep], self._width)

    def _columns(self, columns: NDArray[np.integer]) -> "StoredValues":
        parts = [part.only(columns.tolist()) for part in self._parts]
        return StoredValues(parts, self._part, self._place, (len(columns), self._width[1]))

    @cached_property
    def _by_part(self) -> list[tuple[int, NDArray[np.intp]]]:
        """The rows of each part, in one sort for all sites."""
        order = np.argsort(self._part, kind="stable")
        numbers, starts = np.unique(self._part[order], return_index=True)
        return list(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))

    def _read(self, column: int) -> Float[np.ndarray, "row d_model"]:
        found = np.empty((len(self), self._width[1]), dtype=np.float32)
        if len(self):
            for number, rows in self._by_part:
                found[rows] = self._parts[number].pick(column, self._place[rows])
        return found


class HeldBlock:
    """Values in memory, as a part of values that are mostly on disk."""

    def __init__(self, values: np.ndarray, columns: Sequence[int]) -> None:
        """Hold some columns of `values [row site d_model]`."""
        self._values = values
        self._chosen = tuple(columns)

    def pick(self, column: int, place: NDArray[np.integer]) -> np.ndarray:
        """One column of some rows."""
        return self._values[place, self._chosen[column]]

    def only(self, columns: Sequence[int]) -> "HeldBlock":
        """The same values, with some of their columns."""
        return HeldBlock(self._values, [self._chosen[column] for column in columns])


def _in_memory(values: np.ndarray) -> StoredValues:
    n, sites, d_model = values.shape
    part = np.zeros(n, dtype=np.int64)
    block = HeldBlock(values, range(sites))
    return StoredValues([block], part, np.arange(n), (sites, d_model))
