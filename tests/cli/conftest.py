"""A toy model and data on disk, and the command line as a function."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import toy as toys

from repalign.cli import main


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Shell = Callable[..., Ended]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run `repalign` with these words."""

    def run(*words: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["repalign", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy, saved as transformers saves a model."""
    folder = tmp_path_factory.mktemp("models") / "toy"
    words = toys.tokenizer()
    toys.network(words).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def write_topic(path: Path, begin: str, groups: int = 24) -> Path:
    """Statements whose last word gives their label away to the toy, and only to it."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["statement", "label", "group"])
        for index in range(groups):
            noun = toys.NOUNS[index % len(toys.NOUNS)]
            other = toys.NOUNS[(index // len(toys.NOUNS) + 3) % len(toys.NOUNS)]
            for label, marker in ((1, toys.TRUE), (0, toys.FALSE)):
                rows.writerow([f"{begin} {noun} and {other} is {marker[index % 2]}", label, index])
    return path


@pytest.fixture(scope="session")
def topics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three topics, and a fourth to test on."""
    folder = tmp_path_factory.mktemp("data")
    begins = {"one": "the", "two": "and the", "three": "is the", "unseen": "the bird and the"}
    return {name: write_topic(folder / f"{name}.csv", begin) for name, begin in begins.items()}
