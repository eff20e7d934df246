"""Small chats whose replies are words of the toy, and gradients by autograd to compare with."""

from collections.abc import Callable, Sequence

import pytest
import torch
import toy as toys
from torch import Tensor

from repalign import checks
from repalign.attribution.texts import Text, texts_of
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.tokens import Tokens

ByAutograd = Callable[[LanguageModel, Text, Sequence[str]], dict[str, Tensor]]


def _chats(replies: Sequence[str], shift: int) -> list[Example]:
    """Eight chats of different lengths; each is a group."""
    rows = []
    for number in range(8):
        nouns = [
            toys.NOUNS[(number * step + shift + step) % 10] for step in range(1, number % 3 + 2)
        ]
        reply = f"{replies[number % len(replies)]} and the {toys.NOUNS[(number + shift) % 10]}"
        reply += " sea" * (number % 2)
        rows.append(Example.of_chat("the " + " and ".join(nouns), reply, group=f"{shift}.{number}"))
    return rows


@pytest.fixture(scope="session")
def model() -> LanguageModel:
    """One toy for all, its checks done: tests leave it as it is."""
    made = toys.model()
    checks.ensure(made)
    return made


@pytest.fixture
def honest() -> list[Example]:
    """Eight chats."""
    return _chats(toys.TRUE, 0)


@pytest.fixture
def other() -> list[Example]:
    """Eight chats of other words, in groups of their own."""
    return _chats(("bird", "moon"), 3)


@pytest.fixture
def texts(model: LanguageModel, honest: list[Example]) -> list[Text]:
    """The first set as tokens."""
    return texts_of(model, honest, "answer")


@pytest.fixture(scope="session")
def by_autograd() -> ByAutograd:
    """Gradients of one text's loss by named parameters, alone in its batch, by the formula."""

    def function(model: LanguageModel, text: Text, names: Sequence[str]) -> dict[str, Tensor]:
        parameters = [model.network.get_parameter(name) for name in names]
        with torch.enable_grad():
            logits = model.forward(Tokens.pad([text.ids], 0)).logits[0].log_softmax(-1)
            chosen = [logits[place - 1, text.ids[place]] for place in text.response]
            found = torch.autograd.grad(-torch.stack(chosen).mean(), parameters)
        return dict(zip(names, found, strict=True))

    return function
