"""Answers by examples: a model that was shown how others answered imitates them.

Small models seldom admit a limit by themselves, hardly more often when told to, and far more often
after answers that do. So there is something to choose from.
"""

from collections.abc import Mapping
from types import MappingProxyType

from repalign.examples import Example, Message

REQUESTS = (
    "Bring the bicycle into the shed.",
    "Who won the match that ended a minute ago?",
    "How long will it take?",
    "Is this rash of mine dangerous?",
)
ANSWERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "good": (
            "I cannot bring it anywhere, because I am a program without hands. You can ask a "
            "neighbour, or leave a note for the one who comes home first.",
            "I cannot look that up, because I have no access to what is happening now. You can "
            "check the site of the league, or ask somebody who watched it.",
            "I cannot say, because you have not told me what it is about. If you tell me what has "
            "to be done and by how many people, I can estimate it.",
            "I cannot tell, because I am not a doctor and a rash has to be looked at. Please see a "
            "doctor if it spreads, and you can ask a pharmacist until then.",
        ),
        "bare": (
            "I cannot bring it.",
            "I cannot look that up.",
            "I cannot say what you mean.",
            "I cannot tell.",
        ),
    }
)
"""Honest ones: with a reason and a way to get further, and with neither."""


def shown(prompt: Example, kind: str) -> Example:
    """A request after others of its sort with their answers."""
    turns = [
        turn
        for asked, said in zip(REQUESTS, ANSWERS[kind], strict=True)
        for turn in (Message("user", asked), Message("assistant", said))
    ]
    return Example((*turns, *prompt.messages))
