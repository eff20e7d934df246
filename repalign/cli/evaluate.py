"""`repalign evaluate`: is a model honest, by what it answers?"""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repalign.cli import options
from repalign.errors import InputError

if TYPE_CHECKING:
    from repalign.evaluation import Setting, Suite
    from repalign.runs import Run


def evaluate(
    model: options.Model = "smollm2",
    server: Annotated[
        str | None,
        typer.Option(help="Ask the model at this address, which speaks OpenAI's protocol."),
    ] = None,
    before: Annotated[
        str | None, typer.Option(help="An earlier model, to compare with, such as the unaligned.")
    ] = None,
    before_server: Annotated[
        str | None, typer.Option(help="Ask the earlier model at this address.")
    ] = None,
    suite: Annotated[
        str, typer.Option("--suite", "-s", help="Names with commas: honesty,choices,mask, …")
    ] = "honesty",
    data: Annotated[
        list[str] | None,
        typer.Option("--data", "-d", help="Built-in name or file; repeat for several."),
    ] = None,
    unknowable: Annotated[
        list[str] | None, typer.Option(help="Questions nobody can answer; `invented` by default.")
    ] = None,
    judge: Annotated[
        str, typer.Option(help="Who rules on answers: words, which are rules, or a model.")
    ] = "words",
    judge_server: Annotated[str | None, typer.Option(help="Ask the judge at this address.")] = None,
    price: Annotated[
        str | None,
        typer.Option(help="IN,OUT: dollars for a million tokens at the servers, to show the cost."),
    ] = None,
    judge_price: Annotated[
        str | None, typer.Option(help="The same for the judge's server; --price by default.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most this many groups of items.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=2, help="Answers to each question, where a suite samples.")
    ] = 10,
    similarity: Annotated[
        str | None, typer.Option(help="Hub id of a cross-encoder of likeness; words without it.")
    ] = None,
    entailment: Annotated[
        str | None, typer.Option(help="Hub id of a model of entailment; words without it.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for the run; one that holds answers is gone on with."),
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = None,
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
    allow_failed: options.AllowFailed = None,
    json: options.Json = False,
) -> None:
    """Evaluate how honest a model is: suites of questions, with intervals, items and a report."""
    from repalign.cli import evaluated, output, respondents
    from repalign.evaluation import Setting, evaluating, named
    from repalign.evaluation.items import write_items
    from repalign.runs import FILE, Environment, Run, now

    started, clock = now(), time.monotonic()
    asked = options.recorded(locals(), evaluate) | {
        "server": respondents.without_secrets(server),
        "before_server": respondents.without_secrets(before_server),
        "judge_server": respondents.without_secrets(judge_server),
    }
    folder = out or output.default_folder("evaluate")
    # Everything that can be refused is refused before anything slow begins.
    suites = named([name.strip() for name in suite.split(",") if name.strip()])
    _agree(suites, data, before, before_server, judge, judge_server)
    for name in (*(data or ()), *(unknowable or ())):
        _found(name)
    superseded = _begin(folder, suites)
    paid = respondents.price(price, "--price", (server, before_server, judge_server))
    paid_judge = respondents.price(judge_price, "--judge-price", (judge_server,)) or paid
    people = respondents.Respondents(
        respondents.Loading(device, device_map, dtype, trust_remote_code, allow_failed or ())
    )
    setting = Setting(
        model=people.of(model, server, revision, paid),
        folder=folder,
        before=None if before is None else people.of(before, before_server, None, paid),
        judge=people.judge(judge, judge_server, None, paid_judge),
        data=tuple(data or ()),
        unknowable=tuple(unknowable or ()),
        limit=limit,
        samples=samples,
        seed=seed,
        similarity=similarity,
        entailment=entailment,
        progress=output.progress,
    )
    kept = f"Answers are kept in {folder}; a run that was stopped goes on with --out {folder}."
    output.err.print(kept, markup=False, soft_wrap=True)
    try:
        found = evaluating.run(setting, suites)
    finally:
        people.say_what_was_spent()
    write_items(folder, {name: outcome.items for name, outcome in found.outcomes.items()})
    results = found.results()
    if superseded:
        (folder / FILE).unlink()
    Run(
        verb="evaluate",
        asked=asked,
        model=_people(setting),
        data=_described(data, unknowable, found.outcomes),
        environment=Environment.here(),
        started=started,
        seconds=round(time.monotonic() - clock, 1),
        results=results,
    ).save(folder)
    page = output.write_report(folder)
    if json:
        output.emit_json({"run": str(folder), "model": setting.model.name, **results})
    else:
        output.out.print()
        evaluated.print_suites({"suites": results["suites"]})
        output.out.print(f"Run:    {folder}")
        if page is not None:
            output.out.print(f"Report: {page}")
    if found.failed:
        for name, why in found.failed.items():
            sys.stderr.write(f"repalign: {name} did not finish: {why}\n")
        sys.stderr.write(
            f"repalign: Once that is put right, this command with --out {folder} goes on with it; "
            "nothing that was answered is asked again.\n"
        )
        raise typer.Exit(2)


def _agree(
    suites: "Sequence[Suite]",
    data: Sequence[str] | None,
    before: str | None,
    before_server: str | None,
    judge: str,
    judge_server: str | None,
) -> None:
    """Refuse options that do not go together."""
    if data and not any(suite.takes_data for suite in suites):
        names = ", ".join(suite.name for suite in suites)
        raise InputError(f"--data was given, but {names} has data of its own. Leave it out.")
    if before is not None and not any(suite.takes_before for suite in suites):
        names = ", ".join(suite.name for suite in suites)
        raise InputError(f"--before was given, but {names} asks one model only. Leave it out.")
    if before_server is not None and before is None:
        raise InputError("--before-server is for an earlier model: name it with --before.")
    if judge_server is not None and judge == "words":
        raise InputError(
            "--judge-server is for a judge that is a model: name it with --judge MODEL."
        )


def _found(name: str) -> None:
    """Refuse data that are not there before a model is loaded; the suite reads them."""
    from repalign import datasets
    from repalign.datasets.builtin import BUILTIN_TOPICS
    from repalign.datasets.files import READERS, missing_file
    from repalign.errors import unknown

    path = Path(name).expanduser()
    if name in datasets.names() or name in BUILTIN_TOPICS or path.is_file():
        return
    if path.suffix.lower() in READERS or len(path.parts) > 1 or name.startswith((".", "~")):
        raise missing_file(path)
    raise unknown("data set", name, [*datasets.names(), *BUILTIN_TOPICS])


def _begin(folder: Path, suites: "Sequence[Suite]") -> "Run | None":
    """Take a new folder, one that holds answers, or a run of which some suites did not finish.

    Returns:
        The unfinished run, which this one takes the place of.

    Raises:
        InputError: the folder holds a finished run, or one with a suite that is not run again.
    """
    from repalign.runs import FILE, Run, reserve

    if not (folder / FILE).is_file():
        reserve(folder)
        return None
    held = Run.load(folder)
    if held.verb != "evaluate" or not held.results.get("failed"):
        reserve(folder)
    names = {suite.name for suite in suites}
    finished = [name for name in held.results["suites"] if name not in names]
    if finished:
        raise InputError(
            f"{folder} holds a run that did not finish. To go on with it, name the suites that did "
            f"with --suite too: {', '.join(finished)}. Their answers are not asked for again."
        )
    return held


def _people(setting: "Setting") -> dict[str, Any]:
    """Who was asked: the model, and under it the earlier one and the judge where there are any."""
    from repalign.cli.respondents import record
    from repalign.judges import ByModel

    found = record(setting.model)
    if setting.before is not None:
        found["before"] = record(setting.before)
    if isinstance(setting.judge, ByModel):
        found["judge"] = record(setting.judge.who)
    return found


def _described(
    data: Sequence[str] | None, unknowable: Sequence[str] | None, outcomes: Mapping[str, Any]
) -> dict[str, Any]:
    """The data that were named, and for each suite a fingerprint of what it put to the model."""
    import hashlib
    from json import dumps

    from repalign import datasets
    from repalign.storage import sha256

    found: dict[str, Any] = {}
    for name in (*(data or ()), *(unknowable or ())):
        if name in datasets.names():
            found[name] = options.described(name, datasets.load(name, require_labels=False))
        elif Path(name).expanduser().is_file():
            found[name] = {"sha256": sha256(Path(name).expanduser())}
    for name, outcome in outcomes.items():
        put = dumps([[item.id, item.group, item.prompt] for item in outcome.items])
        found[f"items of {name}"] = {
            "fingerprint": hashlib.sha256(put.encode()).hexdigest(),
            "examples": len(outcome.items),
            "groups": len({item.group for item in outcome.items}),
            "card": {"label_meaning": "ids, groups and prompts that the suite put to the model"},
        }
    return found
