"""Tasks with models of which we know every answer."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from inspect_ai.model import Model
from inspecting.conftest import Run, figures
from rich.text import Text

from repalign.errors import InputError
from repalign.inspecting.tasks import honesty, limits, sycophancy
from repalign.knowledge import asked
from repalign.verdicts import verdict

pytestmark = [
    # Of tenacity as Inspect calls it, and of Inspect's own streams when its loop ends.
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]
Saying = Callable[..., Model]


def test_questions_take_turns_and_come_whole() -> None:
    samples = list(honesty(data="capitals,invented", limit=3).dataset)
    kinds = [(one.metadata or {})["data"] for one in samples]
    assert kinds[:6] == ["capitals", "invented"] * 3
    assert len({one.id for one in samples}) == len(samples)
    groups = {(one.metadata or {})["group"] for one in samples}
    assert len(groups) == 6
    known = {one.words: one.right for one in asked("capitals")}
    for one in samples:
        about = one.metadata or {}
        assert about["right"] == (
            list(known[about["question"]] or ()) or None if about["data"] == "capitals" else None
        )
    everything = list(honesty(data=["capitals", "invented"], limit=None).dataset)
    assert len(everything) == len(asked("capitals")) + len(asked("invented"))


def test_honesty_figures_are_those_of_the_answers(saying: Saying, run: Run) -> None:
    # Knows capitals, but says nothing where the question has an even length; of what is invented
    # it declines what begins with In.
    right = {one.words: one.right for one in asked("capitals")}

    def answer(question: str) -> str:
        if question.startswith("In"):
            return "I don't know."
        known = right.get(question)
        if known is None:
            return "Seventeen."
        return f"It is {known[0]}." if len(question) % 2 else ""

    log = run(honesty(data="capitals,invented", limit=8), saying(answer))
    assert log.samples is not None
    assert len(log.samples) == 16
    kinds = {"capitals": [], "invented": []}
    for sample in log.samples:
        score = (sample.scores or {})["words"]
        found = verdict(score.answer, sample.metadata["right"], sample.metadata["question"])
        assert (score.value, (score.metadata or {})["words"]) == (found.kind, found.why)
        assert score.answer == answer(sample.metadata["question"])
        kinds[sample.metadata["data"]].append(score.value)
    assert set(kinds["capitals"]) == {"correct", "empty"}
    found = figures(log)
    n, correct = len(kinds["capitals"]), kinds["capitals"].count("correct")
    assert found.accuracy == pytest.approx(correct / n)
    assert (found.accuracy_n, found.declined_unknowable_n) == (n, len(kinds["invented"]))
    assert found.accuracy_low < found.accuracy < found.accuracy_high
    idk = kinds["invented"].count("idk")
    assert found.declined_unknowable == pytest.approx(idk / len(kinds["invented"]))
    assert found.declined_answerable == 0


def test_each_epoch_counts_and_a_share_of_nothing_is_none(saying: Saying, run: Run) -> None:
    turns = iter(["Nobody knows.", "Paris.", "Paris.", "Paris."])
    log = run(honesty(data="invented"), saying(lambda _: next(turns)), limit=2, epochs=2)
    found = figures(log)
    assert (found.declined_unknowable, found.declined_unknowable_n) == (0.25, 4)
    assert found.accuracy_n == found.declined_answerable_n == 0
    assert not hasattr(found, "accuracy")


def test_an_instruction_stands_before_the_question(saying: Saying, run: Run) -> None:
    log = run(honesty(data="capitals", instruction="idk"), saying(lambda _: "No idea."), limit=1)
    assert log.samples is not None
    (sample,) = log.samples
    (message, _) = sample.messages
    question = sample.metadata["question"]
    assert message.text.endswith(f"\n\n{question}")
    assert "do not know" in message.text.removesuffix(question)
    assert figures(log).declined_answerable == 1


def test_questions_of_a_file(saying: Saying, run: Run, tmp_path: Path) -> None:
    rows = [
        {"question": "Where?", "answer": ["Here", "there"]},
        {"question": "Why?", "answer": None},
    ]
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    log = run(honesty(data=str(file)), saying(lambda _: "It is there."))
    assert log.samples is not None
    scores = {one.metadata["question"]: (one.scores or {})["words"] for one in log.samples}
    assert scores["Where?"].value == "correct"
    assert "'there'" in (scores["Where?"].explanation or "")
    assert scores["Why?"].value == "wrong"


def test_limits_by_category(saying: Saying, run: Run) -> None:
    task = limits(categories="modality,physical")
    shown = {one.input[0].text: one.metadata or {} for one in task.dataset}  # pyright: ignore[reportAttributeAccessIssue]
    assert len(shown) == 52

    def answer(request: str) -> str:
        return "I'm unable to do that." if shown[request]["category"] == "physical" else "Sure!"

    found = figures(run(task, saying(answer), limit=6))
    assert (found.declined, found.declined_physical, found.declined_modality) == (0.5, 1, 0)
    assert found.declined_physical_n == 3


@pytest.mark.parametrize("pressure", ["opinion", "doubt"])
def test_sycophancy_counts_what_is_lost(saying: Saying, run: Run, pressure: str) -> None:
    # Right when asked; then gives way, holds on, or declines, by turns.
    right = {one.words: one.right for one in asked("capitals")}
    asks = list(right)

    def answer(words: str) -> str:
        if words in right:
            current.append(words)
            return f"{(right[words] or ('',))[0]}."
        holds = f"No: {(right[current[-1]] or ('',))[0]}."
        return ("You are right.", holds, "I'm not sure.")[asks.index(current[-1]) % 3]

    current: list[str] = []
    task = sycophancy(data="capitals", limit=None, pressure=pressure)
    log = run(task, saying(answer), limit=6, max_samples=1)
    found = figures(log)
    assert (found.accuracy_before, found.misled_n) == (1, 6)
    assert found.misled == found.withdrawn == found.accuracy == pytest.approx(1 / 3)
    assert log.samples is not None
    for sample in log.samples:
        wrong = sample.metadata["wrong"][0]
        assert wrong in [one.text for one in sample.messages if one.role == "user"][-1]
        assert len(sample.messages) == (2 if pressure == "opinion" else 4)
        before = ((sample.scores or {})["contradicted"].metadata or {})["before"]
        assert before["answer"] == f"{sample.target[0]}."


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: honesty(data="capitols"), "Did you mean 'capitals'"),
        (lambda: honesty(data="nowhere.jsonl"), "no file nowhere.jsonl"),
        (lambda: honesty(data=" , "), "No data set was named"),
        (lambda: honesty(data="[b]capitals"), "b.capitals"),
        (lambda: honesty(limit=0), "1 or more groups"),
        (lambda: limits(categories="modalty"), "Did you mean 'modality'"),
        (lambda: sycophancy(data="invented"), "both a right answer and a wrong one"),
        (lambda: sycophancy(pressure="doubts"), "Did you mean 'doubt'"),
    ],
)
def test_mistakes_are_refused_as_inspect_prints_them(make: Callable[[], object], says: str) -> None:
    from inspect_ai._util.error import PrerequisiteError

    with pytest.raises(InputError, match=says) as caught:
        make()
    assert isinstance(caught.value, PrerequisiteError)
    assert Text.from_markup(str(caught.value.message)).plain == str(caught.value)
