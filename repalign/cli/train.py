"""`repalign train`: align a model as a plan says, and find out what came of it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repalign.cli import options
from repalign.errors import InputError

if TYPE_CHECKING:
    from repalign.models import LanguageModel
    from repalign.recipes.running import Ran


def train(
    plan: Annotated[Path | None, typer.Argument(help="A plan, a TOML file.")] = None,
    example: Annotated[
        str | None, typer.Option(help="Write a plan with comments: sft, curriculum, dpo or grpo.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="The folder of a training that was stopped.")
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Two steps on a few rows, to see that a plan runs.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="A new folder for the run; the file of --example.")
    ] = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    trust_remote_code: options.TrustRemoteCode = False,
    allow_failed: options.AllowFailed = None,
    json: options.Json = False,
) -> None:
    """Train with penalties on representations, and audit: did the model give way, or the probe?"""
    if example is not None:
        _write_example(example, out, plan, resume)
        return
    from repalign.cli import output
    from repalign.recipes import read
    from repalign.recipes.checking import check
    from repalign.recipes.folders import begin
    from repalign.recipes.folders import resume as go_on
    from repalign.recipes.running import Runner
    from repalign.runs import Environment, Run, now

    started, clock = now(), time.monotonic()
    asked = options.recorded(locals(), train)
    given = None if plan is None else read(plan)
    if resume is not None:
        if out is not None or smoke:
            raise InputError("--resume goes on as it was begun: leave out --out and --smoke.")
        folder = resume
        given, smoke = go_on(folder, given)
        check(given)
    elif given is None:
        raise InputError("Name a plan: repalign train PLAN.toml. Get one with --example dpo.")
    else:
        folder = out or output.default_folder("train")
        # Everything that can be refused is refused before anything slow begins.
        check(given)
        begin(folder, given, smoke)
    wanted = given.smoke() if smoke else given
    output.err.print(
        f"If it is stopped, this goes on: repalign train --resume {folder}",
        markup=False,
        soft_wrap=True,
    )

    def load(name: str) -> "LanguageModel":
        return options.load_model(
            name, device, None, dtype, given.revision, trust_remote_code, allow_failed
        )

    ran = Runner(wanted, folder, load, output.progress).run()
    if not _first_process():
        return
    if wanted.audit.run and ran.audit is None:
        output.err.print(
            "Trained by several processes, so not audited yet. In one process: repalign train "
            f"--resume {folder}",
            markup=False,
            soft_wrap=True,
        )
        return
    results = ran.results()
    Run(
        verb="train",
        asked={**asked, "smoke": smoke, "plan": given.text},
        model=_model(ran),
        data={one["name"]: _data(one) for one in results["stages"]},
        environment=Environment.here(),
        started=started,
        seconds=round(time.monotonic() - clock, 1),
        results=results,
    ).save(folder)
    page = output.write_report(folder)
    if json:
        output.emit_json({"run": str(folder), "model": given.base, **results})
    else:
        _print(ran, folder, page)


def _write_example(name: str, out: Path | None, plan: Path | None, resume: Path | None) -> None:
    from repalign.cli import output
    from repalign.recipes.folders import example
    from repalign.storage import write_atomic

    if plan is not None or resume is not None:
        raise InputError("--example writes a plan and trains nothing: leave out the rest.")
    path = out or Path(f"{name}.toml")
    text = example(name)
    if path.exists():
        raise InputError(f"{path} is there already; give another file with --out.")
    write_atomic(path, text.encode())
    said = f"Plan:  {path}\nTry:   repalign train {path} --smoke\nTrain: repalign train {path}"
    output.out.print(said, markup=False, soft_wrap=True)


def _first_process() -> bool:
    from accelerate import PartialState

    return PartialState().is_main_process


def _model(ran: "Ran") -> dict[str, Any]:
    checks = ran.trained.checked
    return {
        **options.model_record(ran.base),
        **({"checks": checks.to_json()} if checks is not None else {}),
    }


def _data(stage: Mapping[str, Any]) -> dict[str, Any]:
    return {**stage["data"], "examples": stage["rows"], "groups": stage["rows"], "card": None}


def _print(ran: "Ran", folder: Path, page: Path | None) -> None:
    from repalign.cli.output import out, table

    out.print()
    rows = [
        [one["name"], one["method"], str(one["rows"]), str(one["steps"]), f"{one['seconds']:.0f}"]
        for one in ran.records
    ]
    table("Trained", ["stage", "method", "rows", "steps", "seconds"], rows)
    if ran.audit is not None:
        out.print(str(ran.audit), markup=False, soft_wrap=True)
        out.print()
    out.print(f"Model:  {folder / ran.records[-1]['name'] / 'trained'}")
    out.print(f"Run:    {folder}")
    if page is not None:
        out.print(f"Report: {page}")
