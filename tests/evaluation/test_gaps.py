"""Prompts that share their beginning, states by hand, parts that do not meet, and a whole run."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy as toys
from respondents import Scripted

from repalign.answering import Local, Replied, Reply, Settings
from repalign.errors import InputError
from repalign.evaluation import Setting, gaps
from repalign.evaluation.evaluating import run
from repalign.evaluation.passages import (
    PLAIN,
    PROMPTS,
    Passage,
    answered,
    mean_states,
    passages,
    sites_of,
)
from repalign.evaluation.suites import named
from repalign.examples import Example
from repalign.models import LanguageModel

SEA = Passage("The sea is big.", "What is big?", ("sea",), "g")


@dataclass(frozen=True, eq=False)
class Told(Local):
    """The toy, whose answers are written here: right to every other question."""

    def replies(
        self, prompts: Sequence[Example], settings: Settings, skip: Collection[int] = ()
    ) -> Iterator[list[Replied]]:
        for place, _ in enumerate(prompts):
            if place not in skip:
                text = "the sea" if place % 2 else "the hill"
                yield [Replied(place, [Reply(text, logprobs=(-0.1 - place % 5, -0.2))])]

    def origin(self) -> dict[str, Any]:
        return {"model": "told"}


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> LanguageModel:
    monkeypatch.setattr(toys, "CONTEXT", 600)
    return toys.model()


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "texts.jsonl"
    rows = [
        {"context": f"sea {number}", "question": f"what {number}?", "answer": ["sea", "ocean"]}
        for number in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_what_differs_between_two_prompts_is_what_it_should_be() -> None:
    """Instructions for reliance and honesty, the text for comprehension; the answer never."""
    for feature in PROMPTS:
        better, worse = SEA.pair(feature, "the sea")
        assert better.messages[-1] == worse.messages[-1]
        assert better.messages[0] != worse.messages[0]
    better, worse = SEA.pair("context comprehension", "the sea")
    assert better == answered(SEA.prompt(), "the sea")
    assert "the answer to 'What is big?' is sea." in worse.messages[0].content
    assert worse.messages[0].content.endswith(PLAIN)


def test_a_state_is_the_mean_over_the_tokens_of_the_answer(toy: LanguageModel) -> None:
    """`true` holds 2 along the planted direction, `sea` nothing, and the prompt does not count."""
    prompt = Example.of_chat("is true false right")
    texts = [answered(prompt, text) for text in ("true", "true sea", "sea false sea")]
    sites = toy.sites()[1:3]
    found = mean_states(toy, texts, sites) @ toys.direction().numpy()
    expected = np.array([2.0, 1.0, -2 / 3]) * toys.STRENGTH / 2
    np.testing.assert_allclose(found, np.stack([expected, expected], axis=1), atol=1e-4)


def test_the_first_layers_are_not_read(toy: LanguageModel) -> None:
    assert [site.layer for site in sites_of(toy)] == [1, 2, 3]


def test_own_passages_hold_their_answer_once_and_others_of_its_sort() -> None:
    own = passages("passages")
    assert len(own) == len({one.group for one in own}) == 180
    for one in own:
        assert one.context.count(".") >= 8
        assert f"{one.right[0]}" in one.context
    topics = Counter(one.group.split(":")[1] for one in own)
    assert set(topics.values()) == {45}


def test_a_run_has_every_variant_and_reports_on_items_of_its_own(
    roomy: LanguageModel, tmp_path: Path, data: str
) -> None:
    setting = Setting(Told(roomy), tmp_path, data=(data,))
    found = run(setting, named(["gaps"])).outcomes["gaps"]
    counts = [found.counts[name] for name in ("fitted on", "choosing", "reported")]
    assert counts == [14, 12, 14]
    for variant in ("paper", "sign-randomised", "mean-difference"):
        for name in (*PROMPTS, "ensemble"):
            assert found.figures[f"AUROC: {variant}: {name}"] is not None
    random = found.controls["PRR: random: honesty"]
    assert random is not None
    assert random.n == 20, "draws"
    assert found.figures["AUROC: perplexity"] is not None
    assert found.figures["accuracy"] is not None
    assert found.figures["accuracy"].value == 0.5
    told = [item for item in found.items if "paper: honesty" in item.scores]
    assert len(told) == 14
    # The answers differ in their words alone, which every direction can read off the states.
    assert found.figures["AUROC: paper: ensemble"].value == 1  # type: ignore[union-attr]
    assert all(item.scores.keys() >= {"correct"} for item in found.items)


def test_where_too_few_are_right_it_says_so(
    roomy: LanguageModel, tmp_path: Path, data: str
) -> None:
    setting = Setting(Told(roomy), tmp_path, data=(data,), limit=8)
    found = run(setting, named(["gaps"])).outcomes["gaps"]
    assert found.figures["PRR: paper: honesty"] is None
    assert "are needed" in found.missing["PRR: paper: honesty"]
    assert "are needed" in found.missing["AUROC: random: ensemble"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"context": "a", "question": "b?"}', "line 1"),
        ('{"context": " ", "question": "b?", "answer": "c"}', "words"),
        ('{"context": "a", "question": "b?", "answer": []}', "line 1"),
        ('{"context": "a", "question": "b?", "answer": "c"}\n' * 2, "twice"),
    ],
)
def test_rows_that_lack_something_are_refused(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(row)
    with pytest.raises(InputError, match=said):
        passages(str(path))


def test_a_server_has_no_states(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Load the model here"):
        gaps.evaluate(Setting(Scripted(lambda prompt: "yes"), tmp_path))
