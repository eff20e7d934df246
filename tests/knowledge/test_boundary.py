"""estimate(): which questions are known, from answers kept on disk."""

import json
from pathlib import Path

import pytest
from scipy.stats import binomtest

from repalign.errors import InputError
from repalign.examples import Example
from repalign.knowledge import Asked, Boundary, Known, asked, boundary, estimate, sampling
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
    monkeypatch.setattr(sampling, "PROMPTS", 2)
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
    path.write_bytes(path.read_bytes() + b'[{"question": 2, "sampl')
    asked_again = []

    def watched(model: LanguageModel, prompts: list, *args: object, **options: object):
        for batch in sampling.sample(model, prompts, *args, **options):  # pyright: ignore[reportArgumentType]
            asked_again.extend(one.prompt for one in batch)
            yield batch

    monkeypatch.setattr(boundary, "sample", watched)
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
        patch.setattr(boundary.behavior, "ask", lambda *_: pytest.fail("asked again"))
        second = estimate(toy, QUESTIONS, samples=2, keep=path, tau=0.9)
    assert second.expected_accuracy == first.expected_accuracy
    with pytest.raises(InputError, match=r"another temperature \(1.0, now 2.0\)"):
        estimate(toy, QUESTIONS, samples=2, keep=path, temperature=2.0)
    with pytest.raises(InputError, match="another asked"):
        estimate(toy, QUESTIONS[:3], samples=2, keep=path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="another samples"):
        estimate(toy, QUESTIONS, samples=4, keep=path)
    assert path.read_bytes() == before


def test_a_file_of_something_else_is_left_alone(toy: LanguageModel, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\nof a year\n")
    with pytest.raises(InputError, match="no file of answers"):
        estimate(toy, QUESTIONS, keep=path)
    assert path.read_text() == "my notes\nof a year\n"


def test_bad_input_is_refused(toy: LanguageModel) -> None:
    with pytest.raises(InputError, match="tau is a share"):
        estimate(toy, QUESTIONS, tau=0.0)
    with pytest.raises(InputError, match="No questions"):
        estimate(toy, [])


def test_questions_of_a_topic_come_once_each_with_their_answer() -> None:
    found = asked("capitals")
    assert len({one.words for one in found}) == len(found) >= 200
    assert all(one.right and len(one.right) == 1 for one in found)
    assert not any(one.right[0] in one.words for one in found if one.right)
    assert all(len(one.prompt.messages) == 1 for one in found)
    assert all(one.right is None for one in asked("invented"))


def test_questions_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(
        '{"question": "Who?", "answer": ["Ada", "Lovelace"], "group": "g"}\n\n'
        '{"question": "Where?", "answer": "here"}\n{"question": "When?", "answer": null}\n'
        '{"question": "Where?", "answer": "here"}\n'
    )
    found = asked(path)
    assert [one.right for one in found] == [("Ada", "Lovelace"), ("here",), None]
    assert [one.prompt.group for one in found] == ["g", "Where?", "When?"]
    assert asked(str(path)) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "No questions"),
        ("{", "line 1, is not JSON"),
        ("[1]", "line 1, is no object"),
        ('{"answer": "x"}', "line 1: a question is a text"),
        ('{"question": " ", "answer": "x"}', "with words"),
        ('{"question": "Who?"}', "write null where nobody can know"),
        ('{"question": "Who?", "answer": []}', "a list of texts"),
        ('{"question": "Who?", "answer": [""]}', "a list of texts"),
        ('{"question": "Who?", "answer": 3}', "3 was given"),
        ('{"question": "Q", "answer": "a"}\n{"question": "Q", "answer": "b"}', "comes twice"),
    ],
)
def test_files_that_hold_no_questions_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        asked(path)


def test_a_missing_file_and_examples_without_answers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="built-in topic"):
        asked(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="names no right answer"):
        asked([Example.of_chat("Who?")])
