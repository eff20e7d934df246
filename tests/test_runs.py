"""Runs: a record that comes back whole, is never written over, and stays readable."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from repalign import runs
from repalign.errors import InputError
from repalign.runs import Environment, Run

# As version 1 wrote it. Never edit this: files like it lie in users' folders.
VERSION_1: dict[str, Any] = {
    "version": 1,
    "verb": "probe",
    "asked": {"model": "smollm2", "sites": ["L12.resid_post"], "seed": 0},
    "model": {"name": "smollm2", "weights": "0123456789abcdef"},
    "data": {"cities": {"n": 400}},
    "environment": {
        "python": "3.11.2",
        "platform": "Linux",
        "packages": {"torch": "2.13.0"},
        "commit": None,
    },
    "started": "2026-11-21T08:00:00+00:00",
    "seconds": 12.5,
    "results": {"auroc": {"value": 0.93, "low": 0.9, "high": 0.96, "n": 200}},
}


def _run(**changes: Any) -> Run:
    fields = {
        "verb": "probe",
        "asked": {"sites": ["L1.resid_post"]},
        "environment": Environment.here(),
        "started": runs.now(),
        "seconds": 1.25,
        "results": {"auroc": {"value": 0.5}},
    }
    return Run(**{**fields, **changes})


def test_a_run_comes_back(tmp_path: Path) -> None:
    run = _run()
    assert run.save(tmp_path / "out") == tmp_path / "out"
    assert Run.load(tmp_path / "out") == run
    assert Run.load(tmp_path / "out" / "run.json") == run


def test_a_run_is_never_written_over(tmp_path: Path) -> None:
    _run(verb="first").save(tmp_path)
    with pytest.raises(InputError, match=r"already holds a run.*--out"):
        _run(verb="second").save(tmp_path)
    with pytest.raises(InputError, match="already holds a run"):
        runs.reserve(tmp_path)
    assert Run.load(tmp_path).verb == "first"


def test_a_folder_is_needed_and_other_files_in_it_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    runs.reserve(tmp_path)
    runs.reserve(tmp_path / "not there yet")
    with pytest.raises(InputError, match="is a file"):
        runs.reserve(file)


def test_the_record_of_version_1_stays_readable(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(VERSION_1))
    run = Run.load(tmp_path)
    assert run.asked["seed"] == 0
    assert run.results["auroc"]["value"] == 0.93
    assert run.model_dump(mode="json") == VERSION_1


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_other_versions_are_refused(tmp_path: Path, version: Any) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**VERSION_1, "version": version}))
    with pytest.raises(
        InputError, match=rf"has version {version!r}; this repalign reads version 1"
    ):
        Run.load(tmp_path)


@pytest.mark.parametrize("content", ["[1]", '"text"', '{"version": 1}', "{}"])
def test_what_is_no_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json"):
        Run.load(tmp_path)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        Run.load(tmp_path)


def test_nan_does_not_turn_into_null(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        _run(results={"auroc": {"value": float("nan")}}).save(tmp_path)
    assert not (tmp_path / "run.json").exists()


def test_a_run_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        _run().verb = "other"  # type: ignore[misc]


def test_the_commit_tells_changed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert Environment.here().commit is None

    def git(*words: str) -> str:
        options = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        done = subprocess.run(["git", *options, *words], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-m", "first")
    head = git("rev-parse", "HEAD")
    assert Environment.here().commit == head
    (tmp_path / "file").write_text("b")
    assert Environment.here().commit == head + "+changes"


def test_packages_that_are_absent_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_PACKAGES", ("torch", "no-such-package"))
    packages = Environment.here().packages
    assert packages["no-such-package"] == "not installed"
    assert packages["torch"].startswith("2")


def test_times_are_utc() -> None:
    assert runs.now().endswith("+00:00")
