"""Activations: what was read, one row for each position kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import NDArray

from repalign.activations.stored import StoredValues
from repalign.errors import InputError
from repalign.metrics import cluster_codes
from repalign.sites import Site


@dataclass(frozen=True)
class Activations:
    """Values read at sites, with what each row is.

    A span of several tokens gives several rows for one example; `example` says which rows belong
    together.
    """

    values: Float[np.ndarray, "row site d_model"] | Float[StoredValues, "row site d_model"]
    """In memory, or on disk and read one site at a time."""
    sites: tuple[Site, ...]
    example: Int[np.ndarray, " row"]
    """Index of the example each row was read from."""
    pos: Int[np.ndarray, " row"]
    """Token position of each row in its example, padding not counted."""
    labels: Int[np.ndarray, " row"]
    """1 honest, 0 dishonest, -1 unknown."""
    groups: Shaped[np.ndarray, " row"]
    """The group of each row."""
    topics: Shaped[np.ndarray, " row"]
    polarity: Int[np.ndarray, " row"]
    """+1 affirmed, -1 negated, 0 unknown."""
    origin: Mapping[str, Any]
    """Model, weights, tokenizer, span and data that the values came from."""

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.example)

    def at(self, site: Site) -> Float[np.ndarray, "row d_model"]:
        """The values of one site; read from disk at every call where they are stored."""
        return self.values[:, self._column(site)]

    def rows(self, keep: NDArray[Any]) -> "Activations":
        """The rows that a mask or an index array keeps."""
        return replace(
            self,
            values=self.values[keep],
            example=self.example[keep],
            pos=self.pos[keep],
            labels=self.labels[keep],
            groups=self.groups[keep],
            topics=self.topics[keep],
            polarity=self.polarity[keep],
        )

    @classmethod
    def join(cls, parts: Sequence["Activations"]) -> "Activations":
        """Put parts of one collection together again, row after row; nothing stored is read."""
        if len({part.sites for part in parts}) != 1:
            raise InputError("Only activations of the same sites can be joined.")
        known = [set(part.example.tolist()) for part in parts]
        if len(set().union(*known)) != sum(map(len, known)):
            raise InputError(
                "These activations number their examples alike, so joined ones could not be told "
                "apart. Read them in one collect(), as probing.gather does, or join them before."
            )
        held = [part.values for part in parts]
        if any(isinstance(values, StoredValues) for values in held):
            joined: dict[str, Any] = {"values": StoredValues.join(held)}
        else:
            joined = {"values": np.concatenate(held)}
        fields = ("example", "pos", "labels", "groups", "topics", "polarity")
        for name in fields:
            joined[name] = np.concatenate([getattr(part, name) for part in parts])
        return replace(parts[0], **joined)

    def only(self, sites: Sequence[Site]) -> "Activations":
        """The same rows at some of the sites."""
        columns = [self._column(site) for site in sites]
        if isinstance(self.values, StoredValues):
            return replace(self, values=self.values[:, columns], sites=tuple(sites))
        return replace(self, values=self.values.take(columns, axis=1), sites=tuple(sites))

    def _column(self, site: Site) -> int:
        if site not in self.sites:
            raise InputError(
                f"{site} was not collected; these activations hold "
                f"{', '.join(str(known) for known in self.sites)}."
            )
        return self.sites.index(site)


def mean_by_example(
    scores: Float[np.ndarray, " row"], example: Int[np.ndarray, " row"]
) -> Float[np.ndarray, " example"]:
    """Average the rows of each example; examples in ascending order of their index."""
    codes = cluster_codes(example, len(example))
    return np.bincount(codes, weights=scores) / np.bincount(codes)
