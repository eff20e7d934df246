"""The folder of a training: which plan it follows, so that nothing goes on with another."""

from importlib.resources import files
from pathlib import Path

from repalign.errors import InputError, unknown
from repalign.recipes.plan import Plan, parse
from repalign.runs import FILE, reserve
from repalign.storage import read_record, write_atomic, write_json

_PLAN, _ASKED = "plan.toml", "train.json"
_FORMAT = "repalign.train/1"


def begin(folder: Path, plan: Plan, smoke: bool) -> None:
    """Take a new folder for a plan.

    Raises:
        InputError: it holds a run or the beginning of one, or cannot be written to.
    """
    reserve(folder)
    if (folder / _PLAN).exists():
        raise InputError(
            f"{folder} holds a training that was begun. Go on with it: repalign train --resume "
            f"{folder}. Or give another folder with --out."
        )
    write_atomic(folder / _PLAN, plan.text.encode())
    write_json(folder / _ASKED, {"format": _FORMAT, "plan": plan.fingerprint, "smoke": smoke})


def resume(folder: Path, given: Plan | None) -> tuple[Plan, bool]:
    """The plan of a training that was begun, and whether it was a smoke run.

    Args:
        folder: of the training.
        given: a plan named beside it, which has to say the same.

    Raises:
        InputError: nothing was begun there, it is finished, or its plan is another.
    """
    if not (folder / _PLAN).is_file():
        raise InputError(
            f"{folder} holds no training to go on with: there is no {_PLAN} in it. Begin one with: "
            f"repalign train PLAN.toml --out {folder}"
        )
    if (folder / FILE).is_file():
        raise InputError(f"{folder} holds a training that is finished; repalign show {folder}")
    held = parse((folder / _PLAN).read_text("utf-8"))
    asked = read_record(folder / _ASKED, _FORMAT)
    if held.fingerprint != asked["plan"]:
        raise InputError(
            f"{folder / _PLAN} was changed since the training began. Put it back, or begin anew in "
            "another folder: checkpoints belong to the plan they were made by."
        )
    if given is not None and given.fingerprint != held.fingerprint:
        raise InputError(
            f"{folder} was begun with another plan: {_differing(given, held)}. Resume without "
            "naming a plan, or begin anew in another folder."
        )
    return held, bool(asked["smoke"])


def examples() -> list[str]:
    """The plans that come with the library."""
    folder = files("repalign.recipes").joinpath("examples")
    return sorted(path.name.removesuffix(".toml") for path in folder.iterdir())


def example(name: str) -> str:
    """The words of a plan that comes with the library.

    Raises:
        InputError: there is none of this name.
    """
    if name not in examples():
        raise unknown("example", name, examples())
    return files("repalign.recipes").joinpath("examples", f"{name}.toml").read_text("utf-8")


def _differing(one: Plan, two: Plan) -> str:
    for name in ("base", "revision", "seed", "audit"):
        if getattr(one, name) != getattr(two, name):
            return f"`{name}` differs"
    if len(one.stages) != len(two.stages):
        return f"{len(one.stages)} stages, and {len(two.stages)} there"
    for left, right in zip(one.stages, two.stages, strict=True):
        for name in ("method", "data", "lora", "penalties", "rewards", "arguments"):
            if getattr(left, name) != getattr(right, name):
                return f"`{name}` of {right.name} differs"
    return "they differ"
