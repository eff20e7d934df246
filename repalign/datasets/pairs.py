"""Pairs: one true and one false claim, drawn so that no word tells which is which.

The usual way to make a falsehood is to give a subject another subject's object. That leaks twice.
If the draw is free, some objects are false more often than true. If it is balanced over the whole
set, then the groups of a held-out fold are missing on the other side: a word that is true in the
fold was seen more often as false, and a bag of words scores *below* chance (300 facts, five folds:
0.02 where each object is true once, 0.27 where ten times, 0.42 where a hundred times). A probe
suffers from this as the bag of words does. `exchange` balances each object within each group.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from repalign.datasets.facts import Fact
from repalign.errors import InputError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Claim:
    """What a statement says, and what would have been correct."""

    subject: str
    object: str
    correct: str
    relation: str = ""
    """What is said to hold between subject and object, where that is what is true or false."""

    @property
    def said(self) -> str:
        """The part that is right or wrong."""
        return self.relation or self.object

    @property
    def label(self) -> int:
        """1 if what is said is correct, else 0."""
        return int(self.said == self.correct)


@dataclass(frozen=True)
class Pair:
    """A true and a false claim that belong together: one group, never split."""

    key: str
    true: Claim
    false: Claim

    def __post_init__(self) -> None:
        """Refuse a pair whose claims are not what they are said to be."""
        if (self.true.label, self.false.label) != (1, 0):
            raise InputError(f"Pair {self.key!r} needs a true and a false claim, in this order.")

    def claim(self, label: int) -> Claim:
        """Return the true claim for 1, the false one for 0."""
        return self.true if label else self.false


def mixed(items: Iterable[Item], seed: str) -> list[Item]:
    """Return the items in an order that depends on their own text and the seed alone.

    Sorting by a hash is the same on every platform and in every version of Python, and one row
    more in a table leaves the order of the others as it was. An item's text must not depend on the
    process: no sets, no objects without a `repr` of their own.
    """
    return sorted(items, key=lambda item: hashlib.sha256(f"{seed}:{item}".encode()).digest())


def slug(text: str) -> str:
    """Return the text as a part of a group's name."""
    return "-".join(text.lower().replace("'", "").split())


def exchange(facts: Iterable[Fact], seed: str) -> tuple[Pair, ...]:
    """Pair facts so that both claims of a pair name the same object, of which one is true.

    Each subject comes up in one pair only, and a coin decides which fact of two gives the truth.
    So nothing is left to learn from words: an object is true and false once in each group, and a
    subject of a group held out was never seen. Half of the subjects are spent on falsehoods, and
    two claims of a pair differ at their beginning, not at their end.

    Facts of a kind are paired with each other; a fact that finds no partner is left out.
    """
    left = mixed(facts, seed)
    pairs = []
    while left:
        fact = left.pop(0)
        partner = next((other for other in left if _apart(fact, other)), None)
        if partner is not None:
            left.remove(partner)
            true = Claim(fact.subject, fact.object, fact.object)
            false = Claim(partner.subject, fact.object, partner.object)
            pairs.append(Pair(slug(fact.subject), true, false))
    return tuple(pairs)


def _apart(one: Fact, other: Fact) -> bool:
    """Whether each of the two is plainly false of the other's subject, and of its kind."""
    return one.kind == other.kind and one.excludes(other.object) and other.excludes(one.object)
