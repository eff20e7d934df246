"""Statements: a topic's facts affirmed, negated, and two at a time."""

from collections.abc import Iterator

from repalign.datasets.pairs import Claim, Pair, mixed
from repalign.datasets.topics import Topic, sentence
from repalign.examples import Example


def affirmed(topic: Topic) -> list[Example]:
    """Return two statements for each pair: the true claim and the false one."""
    return list(_singles(topic, negated=False))


def negated(topic: Topic) -> list[Example]:
    """Return the negation of each statement of `affirmed`, in its order and groups."""
    return list(_singles(topic, negated=True))


def conjunctions(topic: Topic) -> list[Example]:
    """Join two facts by *and*; true if both are.

    Each pair of the topic is in one group only. Every group holds one statement with two true
    parts and one with a single true part, the first part in half of the groups and the second in
    the other half: who knows one part alone reaches an AUROC of 0.75, the least that a balanced
    set allows, since a true *and* has two true parts.
    """
    return list(_doubles(topic, "conjunction", true=((1, 1), (1, 1)), false=((0, 1), (1, 0))))


def disjunctions(topic: Topic) -> list[Example]:
    """Join two facts by *either … or*; true if one of them is, and never both.

    The mirror image of `conjunctions`, in the same groups. Two true parts are left out, since
    English leaves open whether *either … or* then holds.
    """
    return list(_doubles(topic, "disjunction", true=((1, 0), (0, 1)), false=((0, 0), (0, 0))))


def parts(claim: Claim) -> dict[str, str]:
    """Return what a claim says as strings for an example's `meta`."""
    named = {"subject": claim.subject, "object": claim.object, "correct": claim.correct}
    return named | ({"relation": claim.relation} if claim.relation else {})


def group(topic: Topic, pair: Pair) -> str:
    """Name the group of all that is made of one pair."""
    return f"{topic.name}:{pair.key}"


def _singles(topic: Topic, negated: bool) -> Iterator[Example]:
    kind = "negated" if negated else "affirmed"
    for pair in topic.pairs:
        for claim in (pair.true, pair.false):
            yield Example.of_text(
                sentence(topic.wording.clause(claim, negated)),
                1 - claim.label if negated else claim.label,
                group(topic, pair),
                topic=topic.name,
                polarity=kind,
                variant=kind,
                **parts(claim),
            )


def _doubles(
    topic: Topic,
    variant: str,
    true: tuple[tuple[int, int], tuple[int, int]],
    false: tuple[tuple[int, int], tuple[int, int]],
) -> Iterator[Example]:
    """Yield a true and a false statement for each two pairs; `true` and `false` are used in turn.

    Args:
        topic: whose pairs are joined.
        variant: `conjunction` or `disjunction`.
        true: the labels of the two parts of a true statement, in even groups and in odd ones.
        false: the same for a false statement.
    """
    pairs = mixed(topic.pairs, "two at a time")
    joined = "{}, and {}" if variant == "conjunction" else "either {}, or {}"
    for turn, (first, second) in enumerate(zip(pairs[::2], pairs[1::2], strict=False)):
        for label, labels in ((1, true[turn % 2]), (0, false[turn % 2])):
            clauses = [
                topic.wording.clause(pair.claim(part))
                for pair, part in zip((first, second), labels, strict=True)
            ]
            yield Example.of_text(
                sentence(joined.format(*clauses)),
                label,
                f"{group(topic, first)}+{second.key}",
                topic=topic.name,
                polarity="affirmed",
                variant=variant,
                first=clauses[0],
                second=clauses[1],
                first_label=str(labels[0]),
                second_label=str(labels[1]),
            )
