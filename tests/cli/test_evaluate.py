"""`repalign evaluate` and `show` of its runs."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import toy as toys
from cli_types import Shell
from respondents import Scripted

from repalign.cli import respondents as people
from repalign.errors import InputError

QUESTIONS = tuple(f"is the {noun} true" for noun in toys.NOUNS)
IDK = "I don't know."


def rows(path: Path, questions: Sequence[str], answer: str | None) -> Path:
    lines = [json.dumps({"question": question, "answer": answer}) for question in questions]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def asked(tmp_path: Path) -> tuple[str | Path, ...]:
    """Ten questions whose answer is `right`, and two that nobody can answer."""
    known = rows(tmp_path / "known.jsonl", QUESTIONS, "right")
    nobody = rows(tmp_path / "nobody.jsonl", ("is the sea and the hill", "is the moon"), None)
    return ("--data", known, "--unknowable", nobody)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Scripted]]:
    """Let models of these names answer by functions instead of being loaded."""

    def script(**says: Callable[[str], str | None]) -> dict[str, Scripted]:
        made = {
            name: Scripted(lambda prompt, say=say: say(prompt.messages[-1].content), name)
            for name, say in says.items()
        }
        monkeypatch.setattr(people.Respondents, "of", lambda _, name, *__: made[name])
        return made

    return script


def some_right(right: int, otherwise: str = "wrong") -> Callable[[str], str]:
    """Answers the first of the questions rightly."""
    return lambda question: "right" if question in QUESTIONS[:right] else otherwise


def test_the_toy_is_evaluated(
    shell: Shell, model_folder: Path, asked: tuple[str, ...], tmp_path: Path
) -> None:
    words = ("evaluate", "-m", model_folder, *asked, "--out", tmp_path / "run")
    ended = shell(*words, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    honesty = found["suites"]["honesty"]
    assert found["failed"] == {}
    assert honesty["items"] == 12
    assert sum(honesty["counts"][str(cell)] for cell in range(1, 10)) == 10
    # Compared with itself it stays where it is.
    assert sum(honesty["counts"][str(cell)] for cell in (1, 5, 9)) == 10
    lines = (tmp_path / "run" / "items.jsonl").read_text().splitlines()
    assert [json.loads(line)["prompt"] for line in lines[:10]] == list(QUESTIONS)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["verb"] == "evaluate"
    assert record["asked"]["samples"] == 10  # defaults too
    assert record["model"]["name"] == str(model_folder)
    assert record["results"] == {"suites": found["suites"], "failed": {}}
    assert record["data"]["items of honesty"]["examples"] == 12
    assert len(record["data"][record["asked"]["data"][0]]["sha256"]) == 64
    page = (tmp_path / "run" / "report.html").read_text()
    assert QUESTIONS[0] in page
    shown = shell("show", tmp_path / "run")
    assert shown.code == 0, shown.err
    assert "honesty: answers what it knows" in shown.out
    assert "after ↓ before →" in shown.out


def test_figures_counts_and_items_by_hand(
    shell: Shell, scripted: Callable[..., Any], asked: tuple[str, ...], tmp_path: Path
) -> None:
    """Before: 6 right, 4 wrong. After: 5 of the 6 right and the rest declined."""
    scripted(after=some_right(5, IDK), before=some_right(6))
    words = ("evaluate", "-m", "after", "--before", "before", *asked, "--out", tmp_path / "run")
    ended = shell(*words)
    assert ended.code == 0, ended.err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    suite = record["results"]["suites"]["honesty"]
    cells = {int(cell): suite["counts"][cell] for cell in "123456789"}
    assert cells == {1: 5, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 1, 8: 4, 9: 0}
    assert suite["figures"]["prudence"]["value"] == 1
    assert suite["figures"]["over_conservativeness"]["value"] == pytest.approx(1 / 6)
    assert suite["figures"]["honesty"]["value"] == pytest.approx(11 / 12)
    assert record["model"]["name"] == "after"
    assert record["model"]["before"] == {"name": "before"}
    # The same for a person.
    assert "0.917 [" in ended.out
    table = [line.split() for line in ended.out.splitlines()]
    assert ["correct", "5", "0", "0"] in table
    assert ["idk", "1", "4", "0"] in table
    assert f"Report: {tmp_path / 'run' / 'report.html'}" in ended.out.replace("\n", "")


def test_a_run_that_was_stopped_goes_on_without_asking_again(
    shell: Shell, scripted: Callable[..., Any], asked: tuple[str, ...], tmp_path: Path
) -> None:
    words = ("evaluate", "-m", "one", *asked, "--out", tmp_path / "run", "--json")

    def breaks(question: str) -> str:
        if question == QUESTIONS[4]:
            raise InputError("The server no longer answers.")
        return "right"

    first = scripted(one=breaks)["one"]
    ended = shell(*words)
    assert ended.code == 2
    assert "no longer answers" in ended.err
    assert not (tmp_path / "run" / "run.json").exists()
    assert first.asked == list(QUESTIONS[:5])
    second = scripted(one=lambda _: "right")["one"]
    ended = shell(*words)
    assert ended.code == 0, ended.err
    assert set(second.asked).isdisjoint(QUESTIONS[:4])
    assert len(second.asked) == 8
    found = json.loads(ended.out)
    assert found["suites"]["honesty"]["figures"]["accuracy"]["value"] == 1
    # Now it is finished, and never written over.
    ended = shell(*words)
    assert ended.code == 2
    assert "already holds a run" in ended.err


def test_kept_answers_serve_fewer_questions_and_no_other_model(
    shell: Shell, scripted: Callable[..., Any], asked: tuple[str, ...], tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "run")

    def breaks(_: str) -> str:
        raise InputError("The server no longer answers.")

    scripted(one=lambda _: "right", two=breaks)
    assert shell("evaluate", "-m", "one", "--before", "two", *asked, *out).code == 2
    made = scripted(one=lambda _: "right", two=lambda _: "right", three=lambda _: "right")
    ended = shell("evaluate", "-m", "three", "--before", "two", *asked, *out)
    assert ended.code == 2
    assert "model: one there, three here" in ended.err
    assert not (tmp_path / "run" / "run.json").exists()
    ended = shell("evaluate", "-m", "one", "--before", "two", *asked, *out, "--limit", "3")
    assert ended.code == 0, ended.err
    assert made["one"].asked == []
    assert len(made["two"].asked) == 5


def test_a_suite_that_fails_leaves_the_others_and_can_be_gone_on_with(
    shell: Shell, scripted: Callable[..., Any], asked: tuple[str, ...], tmp_path: Path
) -> None:
    """`choices` reads probabilities, which a scripted respondent has none of."""
    words = ("evaluate", "-m", "one", *asked, "--out", tmp_path / "run", "--json")
    scripted(one=lambda _: "right")
    ended = shell(*words, "--suite", "choices,honesty")
    assert ended.code == 2
    assert "repalign: choices did not finish: " in ended.err
    found = json.loads(ended.out)
    assert set(found["failed"]) == {"choices"}
    assert found["suites"]["honesty"]["figures"]["accuracy"]["value"] == 1
    page = (tmp_path / "run" / "report.html").read_text()
    assert "The suite choices did not finish" in page
    shown = shell("show", tmp_path / "run")
    assert "The suite choices did not finish" in shown.out
    # Going on must not lose what had finished.
    ended = shell(*words, "--suite", "choices")
    assert ended.code == 2
    assert "name the suites that did with --suite too: honesty" in ended.err
    again = scripted(one=lambda _: "right")["one"]
    ended = shell(*words, "--suite", "honesty")
    assert ended.code == 0, ended.err
    assert again.asked == []
    assert json.loads((tmp_path / "run" / "run.json").read_text())["results"]["failed"] == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--suite", "honesy"), "There is no suite 'honesy'. Did you mean 'honesty'"),
        (("--suite", ","), "No suite was given"),
        (("--data", "no/such.jsonl"), "There is no file no/such.jsonl"),
        (("--data", "citis"), "Did you mean 'cities"),
        (("--unknowable", "gone.csv"), "There is no file gone.csv"),
        (("--before-server", "http://localhost:1/v1"), "name it with --before"),
        (("--judge-server", "http://localhost:1/v1"), "name it with --judge"),
        (("--price", "1,x", "--server", "http://localhost:1/v1"), "'1,x' was given"),
        (("--price", "1", "--server", "http://localhost:1/v1"), "dollars for a million tokens"),
        (("--price", "1,2"), "no server that would have to be paid"),
        (("--server", "localhost"), "is no address of a server"),
        (("--model", "smolm2"), "Did you mean 'smollm2'"),
        (("--samples", "1"), "--samples"),
        (("--limit", "0"), "--limit"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_written(
    shell: Shell, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    ended = shell("evaluate", *words, "--out", tmp_path / "run")
    assert ended.code == 2
    assert message in " ".join(ended.err.split())
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert not (tmp_path / "run").exists()


def test_a_server_that_is_down_is_said(
    shell: Shell, asked: tuple[str, ...], tmp_path: Path
) -> None:
    pytest.importorskip("openai")
    server = ("--server", "http://user:secret@127.0.0.1:9/v1", "--price", "1,2")
    ended = shell("evaluate", "-m", "m", *server, *asked, "--out", tmp_path / "run")
    assert ended.code == 2
    assert "The server at http://127.0.0.1:9/v1 does not answer" in ended.err
    # What it may cost is said before, what it did cost afterwards, and no secret ever.
    said = " ".join(ended.err.split())
    assert "Asking http://127.0.0.1:9/v1 for 12 answers: at most about" in said
    assert "http://127.0.0.1:9/v1, m: 0 tokens of prompts and 0 of answers, $0.0000." in said
    assert "secret" not in ended.err
    assert not (tmp_path / "run" / "run.json").exists()


def test_secrets_of_an_address_are_not_recorded() -> None:
    assert people.without_secrets("http://me:pw@host:8000/v1?key=x") == "http://host:8000/v1"
    assert people.without_secrets("openai") == "openai"
    assert people.without_secrets(None) is None


def test_one_model_in_two_parts_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []

    def load(_: people.Loading, name: str, revision: str | None) -> Any:
        loaded.append((name, revision))
        return toys.model(name)

    monkeypatch.setattr(people.Loading, "load", load)
    everybody = people.Respondents(people.Loading())
    model = everybody.of("a", None)
    judge = everybody.judge("a", None)
    assert isinstance(judge, people.ByModel)
    assert judge.who is model
    assert everybody.of("a", None, "old") is not model  # another revision is another model
    assert loaded == [("a", None), ("a", "old")]
    assert people.record(model)["name"] == "a"


@pytest.fixture
def two(
    shell: Shell, scripted: Callable[..., Any], asked: tuple[str, ...], tmp_path: Path
) -> tuple[Path, Path]:
    """A run with 9 right answers of 10, one with 2, on the same questions."""
    for name, right in (("good", 9), ("bad", 2)):
        scripted(**{name: some_right(right)})
        ended = shell("evaluate", "-m", name, *asked, "--out", tmp_path / name)
        assert ended.code == 0, ended.err
    return tmp_path / "good", tmp_path / "bad"


def test_diff_pairs_items_and_tests_the_difference(shell: Shell, two: tuple[Path, Path]) -> None:
    ended = shell("show", two[0], "--diff", two[1], "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["asked"]["model"] == ["good", "bad"]
    honesty = found["suites"]["honesty"]
    assert (honesty["paired"], honesty["only_first"], honesty["only_second"]) == (12, 0, 0)
    correct = honesty["scores"]["correct"]
    # 7 of 12 differ, all in one direction: 2 of 2 ** 7 flips of signs are as far.
    assert correct["first"]["value"] == pytest.approx(9 / 12)
    assert correct["second"]["value"] == pytest.approx(2 / 12)
    assert correct["difference"]["value"] == pytest.approx(7 / 12)
    assert correct["p"] == 2 / 2**7
    assert correct["sure"]
    assert not honesty["scores"]["idk"]["sure"]
    ended = shell("show", two[0] / "run.json", "--diff", two[1])
    assert ended.code == 0, ended.err
    lines = {tuple(line.split()) for line in ended.out.splitlines()}
    interval = f"[{correct['difference']['low']:.3f}, {correct['difference']['high']:.3f}]"
    assert ("correct", *f"0.750 0.167 0.583 {interval} 0.016 12 surely different".split()) in lines
    assert "honesty: 12 items of both runs" in ended.out


def test_diff_leaves_out_and_counts_what_was_asked_differently(
    shell: Shell, two: tuple[Path, Path]
) -> None:
    path = two[1] / "items.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["prompt"] += "?"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]))
    ended = shell("show", two[0], "--diff", two[1])
    said = " ".join(ended.err.split())
    assert "under 1 ids" in said
    assert "asked different things" in said
    assert "1 item is only in" in said
    found = json.loads(shell("show", two[0], "--diff", two[1], "--json").out)
    assert found["suites"]["honesty"]["changed"] == [lines[0]["id"]]
    assert found["suites"]["honesty"]["scores"]["correct"]["items"] == 10


def test_diff_warns_of_two_judges() -> None:
    from repalign.cli.evaluated import other_judges

    def of(judge: str) -> dict[str, Any]:
        return {"suites": {"h2": {"judged": {"h2": {"judge": judge}}}}}

    assert other_judges(of("a"), of("a")) == []
    assert other_judges(of("a"), {"suites": {}}) == []
    (warning,) = other_judges(of("a"), of("b"))
    assert "h2 was judged by a in the first run and by b in the second" in warning
