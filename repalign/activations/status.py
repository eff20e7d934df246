"""Status: how far a store is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from repalign.sites import Site


@dataclass(frozen=True)
class Status:
    """How far a store is."""

    folder: Path
    rows_done: int
    rows: int
    shards_done: int
    shards: int
    claimed: tuple[int, ...]
    """Unfinished shards that living processes are working on."""
    damaged: Mapping[int, str]
    """Shards that were finished and will be computed again, with what is wrong with them."""
    bytes: int
    """Bytes of the finished shards."""
    bytes_expected: int
    """Bytes of all shards, about."""
    dtype: str
    sites: tuple[Site, ...]
    origin: Mapping[str, Any]
    ingredients: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            **asdict(self),
            "folder": str(self.folder),
            "sites": [str(site) for site in self.sites],
            "damaged": {str(shard): reason for shard, reason in self.damaged.items()},
        }
