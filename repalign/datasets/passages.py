"""Passages: a few facts in a row, and a question about one of them."""

from collections.abc import Sequence

from repalign.datasets.facts import Fact, table
from repalign.datasets.pairs import Claim, mixed, slug
from repalign.datasets.topics import TOPICS, sentence
from repalign.examples import Example

ASKED = ("cities", "currencies", "capitals", "spanish")
EACH = 45
"""Questions on each topic; no fact is asked for twice."""
_ALIKE, _OTHER = 4, 1
"""Facts beside the one asked for: of its topic, and of each other topic."""


def passages() -> list[Example]:
    """Return a question on each passage, in one user's turn, without an answer.

    `meta` holds the `context`, the `question` and the right `answer`. Other objects of the same
    sort stand in the passage too, so that an answer of the right sort may be wrong.
    """
    facts = {topic: mixed(_told(topic), f"passages of {topic}") for topic in ASKED}
    return [_passage(topic, place, facts) for topic in ASKED for place in range(EACH)]


def _told(topic: str) -> list[Fact]:
    # A verb is said with `to` and without.
    kinds = {"capitals": "country", "spanish": "noun"}
    return [fact for fact in table(topic) if fact.kind == kinds.get(topic, fact.kind)]


def _passage(topic: str, place: int, facts: dict[str, list[Fact]]) -> Example:
    asked = facts[topic][place]
    beside = [(topic, fact) for fact in _apart(asked, facts[topic], place + 1, _ALIKE)]
    for other in ASKED:
        if other != topic:
            beside += [(other, fact) for fact in _apart(asked, facts[other], 3 * place, _OTHER)]
    told = mixed([(topic, asked), *beside], f"order of {topic} {asked.subject}")
    context = " ".join(_sentence(of, fact) for of, fact in told)
    question = TOPICS[topic].wording.ask(Claim(asked.subject, asked.object, asked.object))
    return Example.of_chat(
        f"{context}\n\n{question}",
        None,
        None,
        f"passages:{topic}:{slug(asked.subject)}",
        topic=topic,
        variant="passages",
        context=context,
        question=question,
        answer=asked.object,
    )


def _apart(asked: Fact, facts: Sequence[Fact], start: int, count: int) -> list[Fact]:
    """The next facts that share neither subject nor object with the one asked for or each other."""
    found: list[Fact] = []
    said = {asked.subject, asked.object, *asked.avoid}
    for step in range(len(facts)):
        fact = facts[(start + step) % len(facts)]
        if len(found) < count and not said & {fact.subject, fact.object}:
            found.append(fact)
            said |= {fact.subject, fact.object}
    return found


def _sentence(topic: str, fact: Fact) -> str:
    return sentence(TOPICS[topic].wording.clause(Claim(fact.subject, fact.object, fact.object)))
