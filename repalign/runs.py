"""Run: what was asked, with what, and what came out, so that someone else can repeat it."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from repalign.errors import InputError
from repalign.storage import read_json, write_json

VERSION = 1
FILE = "run.json"
_PACKAGES = (
    "repalign",
    "torch",
    "transformers",
    "transformer-lens",
    "scikit-learn",
    "numpy",
    "scipy",
    "safetensors",
    "trl",
    "peft",
    "accelerate",
)


class Environment(BaseModel):
    """The machine and code that a run ran on."""

    model_config = ConfigDict(frozen=True)

    python: str
    platform: str
    packages: dict[str, str]
    commit: str | None
    """Commit of the working folder, with `+changes` where files differ; None outside git."""

    @classmethod
    def here(cls) -> "Environment":
        """Describe this process."""
        found = {}
        for name in _PACKAGES:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = "not installed"
        return cls(
            python=sys.version.split()[0],
            platform=platform.platform(),
            packages=found,
            commit=_commit(),
        )


class Run(BaseModel):
    """One run of one verb. The order of the fields is the order in the file."""

    # pydantic would write NaN as null without a word; as constants `write_json` refuses it.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    version: Literal[1] = VERSION
    verb: str
    """What was run, such as `probe`."""
    asked: dict[str, Any]
    """Every option with the value that was used, defaults included."""
    model: dict[str, Any] = Field(default_factory=dict)
    """Name, revision and fingerprints; the self-checks under `checks`."""
    data: dict[str, Any] = Field(default_factory=dict)
    """For each data set its fingerprint and size."""
    environment: Environment
    started: str
    """UTC, ISO 8601."""
    seconds: float
    results: dict[str, Any]
    """Figures, each with value, low, high and n."""

    def save(self, folder: Path | str) -> Path:
        """Write the record into a folder that holds no other run.

        Raises:
            InputError: the folder already holds a run.
        """
        folder = Path(folder)
        reserve(folder)
        write_json(folder / FILE, self.model_dump(mode="json"))
        return folder

    @classmethod
    def load(cls, folder: Path | str) -> "Run":
        """Read the record of a run.

        Raises:
            InputError: no run there, or one that a newer version wrote.
        """
        folder = Path(folder)
        path = folder if folder.is_file() else folder / FILE
        if not path.is_file():
            raise InputError(f"{folder} holds no run: there is no {FILE} in it.")
        record = read_json(path)
        if not isinstance(record, dict) or record.get("version") != VERSION:
            found = record.get("version") if isinstance(record, dict) else None
            raise InputError(
                f"{path} has version {found!r}; this repalign reads version {VERSION}."
            )
        try:
            return cls.model_validate(record)
        except ValidationError as error:
            raise InputError(f"{path} is not the record of a run: {error}") from error


def reserve(folder: Path) -> None:
    """Raise `InputError` when a folder cannot take a new run because it holds one or is a file."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder for the run.")
    standing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK):
        raise InputError(
            f"{folder} cannot be made: {standing} is no folder that can be written to."
        )
    if (folder / FILE).exists():
        raise InputError(
            f"{folder} already holds a run, and repalign never writes over one. Give another "
            "folder with --out, or remove it."
        )


def now() -> str:
    """The time now, as runs record it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _commit() -> str | None:
    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *words], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "HEAD")
    if head is None:
        return None
    return head + ("+changes" if git("status", "--porcelain") else "")
