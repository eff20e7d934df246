"""Questions: a topic's facts as questions, each with one answer given, right or wrong."""

from repalign.datasets.pairs import Claim, Pair
from repalign.datasets.statements import group, parts
from repalign.datasets.topics import Topic, sentence
from repalign.examples import Example


def answered(topic: Topic) -> list[Example]:
    """Return each claim as an answer to its own question.

    Both examples of a group give the same answer where the pair shares its object, so that the
    answer alone says nothing. `meta` holds the `question`, the right `answer` and a wrong
    `alternative`, for those who let a model choose.
    """
    return [
        Example.of_chat(
            topic.wording.ask(claim),
            sentence(claim.said if claim.relation else _with_article(topic, claim.object)),
            claim.label,
            group(topic, pair),
            topic=topic.name,
            polarity="affirmed",
            variant="qa",
            question=topic.wording.ask(claim),
            answer=claim.correct,
            alternative=_alternative(pair, claim),
            **parts(claim),
        )
        for pair in topic.pairs
        for claim in (pair.true, pair.false)
    ]


def _alternative(pair: Pair, claim: Claim) -> str:
    """Return an answer to the claim's question that is wrong, from within the pair."""
    said = pair.false.said
    return said if said != claim.correct else pair.false.correct


def _with_article(topic: Topic, answer: str) -> str:
    return f"the {answer}" if topic.name == "currencies" else answer
