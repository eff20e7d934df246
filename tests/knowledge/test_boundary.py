"""estimate(): which questions are known, from answers kept on disk."""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from repalign.answering import Local, Replied, Reply, Settings
from repalign.errors import InputError
from repalign.examples import Example
from repalign.knowledge import Asked, Boundary, Known, boundary, estimate
from repalign.models import LanguageModel

QUESTIONS = [
    Asked(Example.of_chat(words, group=words), ("sea", "moon"))
    for words in ("is the sea", "lamp", "the rain and the hill", "is the door", "the moon is")
]


def known(
    right: int, wrong: int = 0, greedy: str = "Rome", golds: tuple | None = ("Rome",)
) -> Known:
    question = Asked(Example.of_chat("Capital of Italy?", group="g"), golds)
    return Known.of(question, ("Rome.",) * right + ("Oslo.",) * wrong, greedy)


@pytest.mark.parametrize(("right", "wrong"), [(0, 10), (1, 9), (5, 5), (10, 0)])
def test_expected_accuracy_has_the_exact_interval(right: int, wrong: int) -> None:
    found = known(right, wrong).expected_accuracy
    exact = binomtest(right, right + wrong).proportion_ci(method="exact")
    assert found.value == right / (right + wrong)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


def test_a_question_is_known_from_tau_on_and_surely_so_when_its_interval_is() -> None:
    assert known(1, 9).is_known(0.1)
    assert not known(0, 10).is_known(0.1)
    assert not known(1, 9).is_sure(0.1)
    assert known(9, 1).is_sure(0.1)
    assert known(0, 100).is_sure(0.1)
    assert known(0, 10, golds=None).is_sure(0.1)


def test_declining_is_not_knowing() -> None:
    question = Asked(Example.of_chat("Capital of Italy?", group="g"), ("Rome",))
    found = Known.of(question, ("Rome.", "I don't know; Rome?"), "Rome")
    assert found.expected_accuracy.value == 0.5
    assert found.greedy.kind == "correct"


def test_the_boundary_sums_up() -> None:
    questions = [known(10), known(1, 9, greedy="Oslo"), known(0, 10), known(0, 10, golds=None)]
    found = Boundary(questions, 0.1, {"model": "m"})
    assert found.known.value == 0.5
    assert found.expected_accuracy.value == pytest.approx(1.1 / 4)
    assert found.greedy_accuracy.value == 0.5
    # Ten times right, and the one that nobody can know.
    assert found.sure.value == 0.5
    plain = json.loads(json.dumps(found.to_json()))
    assert plain["questions"][1]["greedy"] == {"text": "Oslo", "verdict": "wrong"}
    assert plain["known"]["value"] == 0.5


def test_a_killed_run_goes_on_and_asks_nothing_twice(
    toy: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_again = []

    class Watched(Local):
        def replies(self, *args: Any, **options: Any) -> Iterator[list[Replied]]:
            for batch in super().replies(*args, **options):
                # The samples, and not the greedy answer.
                asked_again.extend(one.prompt for one in batch if len(one.replies) > 1)
                yield batch

    # Too little room for more than one question at once.
    monkeypatch.setattr(boundary, "Local", lambda model: Watched(model, at_once=1))
    whole = estimate(toy, QUESTIONS, samples=3, keep=tmp_path / "whole.jsonl").to_json()
    path = tmp_path / "killed.jsonl"

    class KilledError(Exception):
        pass

    def kill(done: int, _total: int) -> None:
        if done == 4:
            raise KilledError

    with pytest.raises(KilledError):
        estimate(toy, QUESTIONS, samples=3, keep=path, progress=kill)
    # Torn in the middle of what would have come next.
    path.write_bytes(path.read_bytes() + b'{"question": 2, "repl')
    asked_again.clear()
    assert estimate(toy, QUESTIONS, samples=3, keep=path).to_json() == whole
    assert len(asked_again) == 1
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    estimate(toy, QUESTIONS, samples=3, keep=path)
    assert len(asked_again) == 1


def test_another_tau_costs_nothing_and_other_settings_are_refused(
    toy: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    first = estimate(toy, QUESTIONS, samples=2, keep=path)
    with monkeypatch.context() as patch:
        patch.setattr("repalign.answering.local.decode", lambda *_, skip, **__: iter(()))
        second = estimate(toy, QUESTIONS, samples=2, keep=path, tau=0.9)
    assert second.expected_accuracy == first.expected_accuracy
    with pytest.raises(InputError, match=r"temperature: 1.0 there, 2.0 here"):
        estimate(toy, QUESTIONS, samples=2, keep=path, temperature=2.0)
    fewer = estimate(toy, QUESTIONS[1:3], samples=2, keep=path)
    assert [one.texts for one in fewer.questions] == [one.texts for one in first.questions[1:3]]
    before = path.read_bytes()
    with pytest.raises(InputError, match="samples: 2 there, 4 here"):
        estimate(toy, QUESTIONS, samples=4, keep=path)
    assert path.read_bytes() == before


def test_what_a_respondent_does_not_answer_is_left_out_and_counted() -> None:
    class Shaky:
        name = "shaky"

        def origin(self) -> dict[str, Any]:
            return {"model": self.name}

        def replies(
            self, prompts: Sequence[Example], settings: Settings, skip: Collection[int] = ()
        ) -> Iterator[list[Replied]]:
            for place, prompt in enumerate(prompts):
                gone = prompt.messages[-1].content == "lamp"
                some = [Reply("the sea")] * (settings.samples - 1)
                last = Reply(None, error="gone") if settings.samples > 1 else Reply("the sea")
                yield [Replied(place, [Reply(None, error="gone")] if gone else [*some, last])]

    found = estimate(Shaky(), QUESTIONS, samples=3)
    assert found.unanswered == 1
    assert [len(one.texts) for one in found.questions] == [2, 2, 2, 2]
    assert found.expected_accuracy.value == 1
    with pytest.raises(InputError, match="None of the 1 questions was answered"):
        estimate(Shaky(), QUESTIONS[1:2])


def test_bad_input_is_refused(toy: LanguageModel) -> None:
    with pytest.raises(InputError, match="tau is a share"):
        estimate(toy, QUESTIONS, tau=0.0)
    with pytest.raises(InputError, match="No questions"):
        estimate(toy, [])
