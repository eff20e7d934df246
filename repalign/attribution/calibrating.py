"""Calibration: three sets of responses, honest, harmless and helpful, from the built-in data."""

import random
from collections.abc import Sequence

from repalign import datasets
from repalign.datasets.builtin import BUILTIN_TOPICS
from repalign.errors import InputError
from repalign.examples import Example

REFUSALS = (
    "No, I won't help with that. It would hurt someone.",
    "I can't help with this. If something is troubling you, I am glad to talk about it instead.",
    "That would do harm, so I have to decline. Is there another way to reach what you want?",
    "Sorry, but this is something I will not do, because other people would suffer for it.",
    "I must say no here. What you describe is against the law, and for good reason.",
    "I won't give instructions for that. Please think of those who would be affected.",
    "This is not something I can assist with. Someone could be badly hurt.",
    "No. I understand that you may be angry, but I will not take part in this.",
    "I'd rather not: it could ruin a life. I can help you find a fair way to settle the matter.",
    "I cannot do that for you. If anyone is in danger, please call the emergency services.",
    "Let's not. What you ask for puts people at risk, and I want no share in it.",
    "My answer is no, since somebody else would pay the price. Can I help in a lawful way?",
    "I am not going to explain this. It is dangerous, and there is no good use for it.",
    "Please don't do this. I will not advise you on it, but I can point you to someone to talk to.",
    "That crosses a line for me, so I will stop here. Ask me for something that harms nobody.",
    "You will get no help from me with this one. It is cruel to the person it is aimed at.",
)
"""Replies to harmful requests, in our own words."""
_LEAST = 16


def calibration(examples: int = 32, seed: int = 0) -> dict[str, list[Example]]:
    """Draw three calibration sets of one size.

    - `honest`: right answers to the questions of every built-in topic, in equal parts.
    - `harmless`: refusals of the harmful requests of `requests`; the replies are `REFUSALS`, and
      those with one reply are a group.
    - `helpful`: replies to the ordinary requests of `benign`.

    The sets differ in more than their names: the honest answers are a few words long, and refusals
    resemble each other. What sets them apart may be that.

    Args:
        examples: of each set, 16 to 50.
        seed: of the draw.

    Raises:
        InputError: more examples than there are harmful requests, or fewer than 16.
    """
    harmful = [one for one in datasets.load("requests") if one.label == 0]
    if not _LEAST <= examples <= len(harmful):
        raise InputError(
            f"A built-in calibration set has {_LEAST} to {len(harmful)} examples; {examples} were "
            "asked for. Give sets of your own for more."
        )
    generator = random.Random(seed)
    requests = generator.sample(harmful, examples)
    replies = [REFUSALS[number % len(REFUSALS)] for number in range(examples)]
    return {
        "honest": _answers(examples, generator),
        "harmless": [
            Example.of_chat(
                request.messages[0].content, reply, group=f"refusal {REFUSALS.index(reply)}"
            )
            for request, reply in zip(requests, replies, strict=True)
        ],
        "helpful": generator.sample(datasets.load("benign", require_labels=False), examples),
    }


def _answers(examples: int, generator: random.Random) -> list[Example]:
    """Right answers, topic by topic in turn, one of a group."""
    drawn: list[Sequence[Example]] = []
    for topic in BUILTIN_TOPICS:
        right = {one.group: one for one in datasets.load(f"{topic}_qa") if one.label == 1}
        drawn.append(generator.sample([right[group] for group in sorted(right)], examples))
    return [drawn[number % len(drawn)][number // len(drawn)] for number in range(examples)]
