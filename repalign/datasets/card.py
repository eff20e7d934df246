"""Card: what a data set's label means, where it is from, and how it can be solved wrongly."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """What a reader has to know before trusting a number measured on a data set."""

    title: str
    label_meaning: str
    source: str
    licence: str
    shortcuts: str
    """Ways to score well without knowing the truth, with their measured AUROC."""
    notes: str = ""
