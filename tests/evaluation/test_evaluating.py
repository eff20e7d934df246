"""Several suites: one that fails does not take the others with it."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from respondents import Scripted

from repalign.errors import CheckError, InputError
from repalign.evaluation import Item, Outcome, Setting, Suite
from repalign.evaluation.evaluating import run
from repalign.metrics import Estimate


def suite(monkeypatch: pytest.MonkeyPatch, name: str, outcome: Outcome | Exception) -> Suite:
    def evaluate(_setting: Setting) -> Outcome:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    module = ModuleType(name)
    module.evaluate = evaluate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, f"repalign.evaluation.{name}", module)
    return Suite(name, f"title of {name}")


def found(*ids: str, score: float = 1.0) -> Outcome:
    items = tuple(Item(name, name, f"{name}?", "x", {"right": score}) for name in ids)
    return Outcome({"right": Estimate(score, score, score, len(ids))}, items)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(Scripted(lambda _: "x"), tmp_path)


def test_what_finished_is_kept(monkeypatch: pytest.MonkeyPatch, setting: Setting):
    suites = [
        suite(monkeypatch, "one", found("a")),
        suite(monkeypatch, "two", InputError("no judge")),
        suite(monkeypatch, "three", CheckError("no model")),
        suite(monkeypatch, "four", found("b", "c")),
    ]
    ended = run(setting, suites)
    assert list(ended.outcomes) == ["one", "four"]
    assert ended.failed == {"two": "no judge", "three": "no model"}
    results = ended.results()
    assert results["suites"]["four"]["title"] == "title of four"
    assert results["suites"]["four"]["items"] == 2
    assert results["suites"]["one"]["figures"]["right"]["n"] == 1
    assert set(results["suites"]) == {"one", "four"}
    assert results["failed"] == ended.failed


def test_where_nothing_finished_it_says_why(monkeypatch: pytest.MonkeyPatch, setting: Setting):
    one = suite(monkeypatch, "one", InputError("nobody answers"))
    with pytest.raises(InputError, match=r"^nobody answers$"):
        run(setting, [one])
    two = suite(monkeypatch, "two", InputError("no judge"))
    with pytest.raises(InputError, match="one: nobody answers two: no judge"):
        run(setting, [one, two])


def test_a_bug_is_not_taken_for_a_suite_that_failed(
    monkeypatch: pytest.MonkeyPatch, setting: Setting
):
    suites = [
        suite(monkeypatch, "one", found("a")),
        suite(monkeypatch, "two", ZeroDivisionError("a bug")),
    ]
    with pytest.raises(ZeroDivisionError):
        run(setting, suites)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (found("a", "b", "a"), "two items 'a'"),
        (found("a", score=float("nan")), "item 'a': scores .* are no numbers"),
    ],
)
def test_what_could_not_be_paired_is_refused(
    monkeypatch: pytest.MonkeyPatch, setting: Setting, outcome: Outcome, message: str
):
    with pytest.raises(InputError, match=message):
        run(setting, [suite(monkeypatch, "one", outcome)])
