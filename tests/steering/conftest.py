"""A toy to be steered: questions whose answers lean on the planted direction."""

from typing import Any

import pytest
import toy as toys
from toy import NOUNS

from repalign.behavior import Question
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.steering import Bench


@pytest.fixture
def bench(toy: LanguageModel) -> Bench:
    """Twenty questions; the reader of the toy is made to say `true` along the direction."""
    words: Any = toy.tokenizer
    head = toy.network.lm_head.weight
    planted = toys.direction()
    for word, sign in (("▁true", 1.0), ("▁false", -1.0)):
        head.data[words.convert_tokens_to_ids(word)] += sign * planted
    toy.checked = None
    asked = [
        Question(f"the {one} and {other} is", (" true", " false"), (0,), f"q{i}")
        for i, (one, other) in enumerate(
            (NOUNS[i % 10], NOUNS[(3 * i + 1) % 10]) for i in range(20)
        )
    ]
    benign = [
        Example.of_text(f"the {a} is the {b} and the {c}", group=f"{a}{b}")
        for a, b, c in zip(NOUNS, NOUNS[3:], NOUNS[5:], strict=False)
    ]
    return Bench.of(toy, asked, benign, prompts=3, new_tokens=4)
