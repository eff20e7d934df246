"""Requests: what a user asks, harmless or harmful, with no reply; the contrast of refusal."""

from importlib.resources import files

from repalign.datasets import benign
from repalign.examples import Example


def contrast() -> list[Example]:
    """Return fifty harmful requests (label 0) and fifty of the benign chats' prompts (label 1).

    The two of a group have nothing in common but their place in the lists.
    """
    path = files("repalign.datasets").joinpath("texts", "harmful.txt")
    harmful = path.read_text("utf-8").splitlines()
    chats = benign.turns()
    # Spread over the list, which is sorted by kind.
    harmless = [chats[number * len(chats) // len(harmful)] for number in range(len(harmful))]
    return [
        example
        for number, (bad, good) in enumerate(zip(harmful, harmless, strict=True), start=1)
        for example in (
            _request(good.messages[0].content, 1, number),
            _request(bad, 0, number),
        )
    ]


def _request(text: str, label: int, number: int) -> Example:
    group = f"requests:{number}"
    return Example.of_chat(text, None, label, group, topic="requests", variant="requests")
