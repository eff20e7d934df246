"""`repalign monitor`: watch what a model writes, token by token."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repalign.cli import options
from repalign.errors import InputError

if TYPE_CHECKING:
    from repalign.examples import Example
    from repalign.monitoring import Monitor


def monitor(
    probe: Annotated[Path, typer.Option("--probe", "-p", help="Folder of a `repalign probe` run.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="By default the model of the run.")
    ] = None,
    input: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            help="Data set, or file with a column prompt or messages. Answers in it are scored, "
            "missing ones are written. Columns knows, correct and told tell lies from mistakes.",
        ),
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Talk to the model here.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new .jsonl file.")
    ] = None,
    aggregate: Annotated[
        str, typer.Option(help="Tokens to answer: mean, max, top-5, rolling-8, …")
    ] = "mean",
    fpr: Annotated[
        float, typer.Option(min=0, max=0.999, help="Share of benign answers that may be flagged.")
    ] = 0.01,
    benign: Annotated[
        str, typer.Option(help="Chats in which nobody lies, for the threshold; or none.")
    ] = "benign",
    own_answers: Annotated[
        bool, typer.Option("--own-answers", help="Let the model answer the benign chats itself.")
    ] = False,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of an answer.")] = 128,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest token.")] = 0.0,
    top_p: Annotated[float | None, typer.Option(min=0, max=1, help="Nucleus, if sampling.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Answers written at once.")] = 16,
    seed: options.Seed = 0,
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = None,
    trust_remote_code: options.TrustRemoteCode = False,
    allow_failed: options.AllowFailed = None,
    json: options.Json = False,
) -> None:
    """Score every token that a model writes; flag answers below a threshold set on benign ones."""
    from repalign.cli import output as printing
    from repalign.cli.watching import lines, outcome, watch_all
    from repalign.monitoring import Aggregate, Monitor
    from repalign.monitoring.prompts import read_prompts
    from repalign.readouts import Readout
    from repalign.runs import Run, now
    from repalign.storage import write_atomic

    started, clock = now(), time.monotonic()
    asked = options.recorded(locals(), monitor)
    # Everything that can be refused is refused before anything slow begins.
    _refuse_places(input, chat, output, json)
    Aggregate.parse(aggregate)
    Readout.load(probe)
    record = Run.load(probe.parent if probe.is_file() else probe)
    examples = [] if input is None else read_prompts(input)
    harmless = [] if benign == "none" else read_prompts(benign)
    if own_answers:
        harmless = [_unanswered(example) for example in harmless]
    language_model = options.load_model_of(
        record, model, device, device_map, dtype, trust_remote_code, allow_failed
    )
    generation: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature}
    generation |= {"seed": seed} if top_p is None else {"seed": seed, "top_p": top_p}
    watch = Monitor.load(language_model, probe, aggregate)
    for name, rows in ((input, examples), (benign, harmless)):
        _refuse_unreadable(watch, str(name), rows, max_new_tokens)
    if harmless:
        with printing.progress("Calibrating on benign chats") as advance:
            watch = watch.calibrate(
                harmless, fpr, batch_size=batch_size, progress=advance, **generation
            )
    if not json:
        _print_calibration(watch)
    if chat:
        from repalign.cli.talk import talk

        examples, watched = talk(watch, generation)
        if output is None or not examples:
            return
        write_atomic(output, "".join(lines(0, examples, watched, written=True)).encode())
    else:
        watched = watch_all(watch, examples, _named(output), batch_size, generation)
    found = outcome(watch, examples, watched)
    data = {str(input or "chat"): examples, benign: harmless}
    beside = _save(watch, asked, data, started, time.monotonic() - clock, found, _named(output))
    if json:
        printing.emit_json({"run": str(beside), "output": str(output), **found})
    else:
        _print(found, _named(output))


def _refuse_places(input: str | None, chat: bool, output: Path | None, json: bool) -> None:
    """Refuse what is asked of files and terminal and does not go together."""
    from repalign.cli.watching import part_of
    from repalign.runs import reserve

    if (input is None) is not chat:
        raise InputError(
            "Say what to watch: --input FILE for answers in a file or to its prompts, or --chat to "
            "talk to the model here; one of them."
        )
    if chat and json:
        raise InputError("--json prints one JSON object, which a --chat is not. Leave one out.")
    if output is None:
        if chat:
            return
        raise InputError("Name a new file for what is found with --output, such as watched.jsonl.")
    for path in (output, part_of(output)):
        if path.exists():
            raise InputError(
                f"{path} exists, and repalign never writes over results. Name another, or move it."
            )
    reserve(_beside(output))


def _refuse_unreadable(
    watch: "Monitor", name: str, rows: "Sequence[Example]", new_tokens: int
) -> None:
    """Refuse rows that cannot be scored or answered, and name the first of them."""
    from repalign.monitoring import stated

    for number, row in enumerate(rows, start=1):
        try:
            stated(row)
            watch.refuse_unreadable(row, new_tokens)
        except InputError as error:
            raise InputError(f"{name}, row {number}: {error}") from error


def _save(
    watch: "Monitor",
    asked: dict[str, Any],
    data: "Mapping[str, Sequence[Example]]",
    started: str,
    seconds: float,
    outcome: dict[str, Any],
    output: Path,
) -> Path:
    from repalign.activations import origin
    from repalign.runs import Environment, Run

    return Run(
        verb="monitor",
        asked=asked,
        model=options.model_record(origin(watch.model, watch.readout.span)),
        data={name: options.described(name, rows) for name, rows in data.items() if rows},
        environment=Environment.here(),
        started=started,
        seconds=round(seconds, 1),
        results=outcome,
    ).save(_beside(output))


def _print_calibration(watch: "Monitor") -> None:
    from repalign.cli.output import err

    found = watch.calibration
    if found is None:
        threshold = "none" if watch.threshold is None else f"{watch.threshold:.4g}, the probe's own"
        err.print(f"Not calibrated; threshold {threshold}. Calibrate with --benign FILE.")
        return
    err.print(
        f"Threshold {found.threshold:.4g} for the {found.aggregate} of an answer's tokens: it "
        f"flags {found.flagged:.1%} of {found.n} benign answers ({found.generated} of them the "
        f"model's own), and of other answers like them {found.expected.value:.1%} "
        f"[{found.expected.low:.1%}, {found.expected.high:.1%}]."
    )


def _print(outcome: Mapping[str, Any], output: Path) -> None:
    from repalign.cli import output as printing

    rows = []
    if outcome["flagged"] is not None:
        rows.append(["flagged", printing.figure(outcome["flagged"]), str(outcome["answers"])])
    rows += [
        [f"flagged: {name}", printing.figure(share), str(share["n"])]
        for name, share in outcome["by_class"].items()
    ]
    rows += [
        [f"labels: {name}", printing.figure(value), str(value["n"])]
        for name, value in outcome.get("labels", {}).items()
        if name != "examples"
    ]
    if rows:
        printing.table("Answers", ["", "value [95% interval]", "n"], rows)
    printing.out.print(f"{outcome['answers']} answers watched: {output}")


def _unanswered(example: "Example") -> "Example":
    from repalign.monitoring.prompts import is_answered

    return replace(example, messages=example.messages[:-1]) if is_answered(example) else example


def _named(output: Path | None) -> Path:
    if output is None:
        raise InputError("Name a new file with --output.")
    return output


def _beside(output: Path) -> Path:
    return output.with_name(output.name + ".run")
