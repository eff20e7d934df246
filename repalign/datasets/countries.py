"""Countries: what the capital of each one is, as a question to be answered freely."""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

from repalign.datasets.facts import table
from repalign.examples import Example

_ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Asunción": ("Asuncion",),
        "Bogotá": ("Bogota",),
        "Chișinău": ("Chisinau", "Kishinev"),
        "Kyiv": ("Kiev",),
        "Lomé": ("Lome",),
        "Malé": ("Male City",),
        "N'Djamena": ("Ndjamena",),
        "Nuku'alofa": ("Nukualofa",),
        "Reykjavík": ("Reykjavik",),
        "San José": ("San Jose",),
        "Sanaa": ("Sana'a",),
        "South Tarawa": ("Tarawa",),
        "St. George's": ("Saint George's",),
        "St. John's": ("Saint John's",),
        "Ulaanbaatar": ("Ulan Bator",),
        "Washington, D.C.": ("Washington DC", "Washington"),
        "Yaoundé": ("Yaounde",),
    }
)
"""Spellings in use; accents that a model leaves out."""


def capitals() -> list[Example]:
    """Return one question a country, without an answer.

    `meta` holds `question`, the right `answer`, its `aliases` with `|` between them, and a wrong
    `alternative`: another country's capital.
    """
    facts = [fact for fact in table("capitals") if fact.kind == "country"]
    order = sorted(facts, key=lambda fact: hashlib.sha256(fact.object.encode()).digest())
    # The next one in an order that means nothing; a ring, so each is an alternative once.
    following = {
        fact.object: other.subject
        for fact, other in zip(order, [*order[1:], order[0]], strict=True)
    }
    return [
        Example.of_chat(
            f"What is the capital of {fact.object}?",
            None,
            None,
            f"countries:{number}",
            topic="country_capitals",
            variant="questions",
            question=f"What is the capital of {fact.object}?",
            answer=fact.subject,
            aliases="|".join(_ALIASES.get(fact.subject, ())),
            alternative=following[fact.object],
        )
        for number, fact in enumerate(facts)
    ]
