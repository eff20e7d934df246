"""Summary: an audit in a few figures, to lay it beside those of its controls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from repalign.errors import InputError
from repalign.metrics import Estimate


@dataclass(frozen=True)
class Summary:
    """The same figures of every model that was trained, controls included."""

    claim: str
    figures: Mapping[str, Estimate | None]
    """By name, of probes, states and text; None where there is none."""
    behaviour: Mapping[str, Estimate]
    """Differences after less before, by measure."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "claim": self.claim,
            "figures": {name: one and one.to_json() for name, one in self.figures.items()},
            "behaviour": {name: one.to_json() for name, one in self.behaviour.items()},
        }

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Summary":
        """Read one back, from `Summary.to_json` or from `Audit.to_json`.

        Raises:
            InputError: the record is neither.
        """
        held = record.get("summary", record)
        try:
            return cls(
                str(held["claim"]),
                {name: one and Estimate(**one) for name, one in held["figures"].items()},
                {name: Estimate(**one) for name, one in held["behaviour"].items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                "This is no summary of an audit; give what Audit.to_json() or Summary.to_json() "
                f"returned. It lacks {error}."
            ) from error
