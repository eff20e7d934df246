"""Lists that are named whole or in part, and measures that rise for their number."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repalign.answering import Replied, Reply, Settings
from repalign.datasets.lists import closed
from repalign.evaluation import Setting
from repalign.evaluation.evaluating import run
from repalign.evaluation.outcome import Outcome
from repalign.evaluation.sampling import BRIEFLY
from repalign.evaluation.suites import named
from repalign.examples import Example


class Lister:
    """Knows everything. Of a list it names the first half greedily, and one member a sample."""

    name = "lister"

    def __init__(self) -> None:
        self.lists = {one.question: [names[0] for names in one.members] for one in closed()}
        self.singles = {question: answer[0] for one in closed() for question, answer in one.singles}

    def origin(self) -> dict[str, Any]:
        return {"model": self.name}

    def replies(
        self, prompts: Sequence[Example], settings: Settings, skip: Collection[int] = ()
    ) -> Iterator[list[Replied]]:
        for place, prompt in enumerate(prompts):
            if place not in skip:
                words = prompt.messages[-1].content.removesuffix(f" {BRIEFLY}")
                yield [Replied(place, [self._one(words, i, settings) for i in _to(settings)])]

    def _one(self, words: str, sample: int, settings: Settings) -> Reply:
        if words in self.singles:
            return Reply(self.singles[words], logprobs=(-0.5,))
        members = self.lists[words]
        if settings.temperature:
            return Reply(members[sample % len(members)], logprobs=(-0.5,))
        return Reply(", ".join(members[: len(members) // 2]), logprobs=(-0.5,))


def _to(settings: Settings) -> range:
    return range(settings.samples)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    setting = Setting(Lister(), tmp_path_factory.mktemp("run"), samples=3)
    return run(setting, named(["maqa"])).outcomes["maqa"]


def value(found: Outcome, name: str) -> float:
    one = {**found.figures, **found.controls}[name]
    assert one is not None
    return one.value


def test_quality_by_hand(found: Outcome) -> None:
    shares = [len(one.members) // 2 / len(one.members) for one in closed()]
    assert value(found, "several: recall") == pytest.approx(np.mean(shares))
    assert value(found, "several: precision") == 1
    assert value(found, "several: F1") == pytest.approx(
        np.mean([2 * share / (1 + share) for share in shares])
    )
    assert value(found, "one: accuracy") == 1
    assert (found.counts["several answers"], found.counts["one answer"]) == (36, 72)


def test_a_measure_that_takes_many_right_answers_for_ignorance_is_found_out(found: Outcome) -> None:
    for name in ("semantic entropy", "disagreement"):
        assert value(found, f"several against one: {name}") == 1, name
    for name in ("g-nll", "sequence entropy"):
        assert value(found, f"several against one: {name}") == 0.5, name
    assert "right" in found.missing["one: AUROC: g-nll"]
    assert value(found, "several: PRR: g-nll") == pytest.approx(0)
    assert found.figures["several against one: p(true)"] is None


def test_items_of_a_list_have_its_shares_and_others_have_not(
    found: Outcome, tmp_path: Path
) -> None:
    several = [item for item in found.items if "recall" in item.scores]
    assert len(several) == 36
    assert all("correct" not in item.scores for item in several)
    assert sum(item.scores.get("correct", 0) for item in found.items) == 72
