"""`repalign score`: score new texts with a saved probe."""

import json as json_module
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from repalign.cli import options
from repalign.errors import InputError


def score(
    run: Annotated[Path, typer.Argument(help="The folder of a `repalign probe` run.")],
    input: Annotated[str, typer.Option("--input", "-i", help="Data set or file to score.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new .jsonl file.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="By default the model of the run.")
    ] = None,
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = None,
    trust_remote_code: options.TrustRemoteCode = False,
    allow_failed: options.AllowFailed = None,
    json: options.Json = False,
) -> None:
    """Score texts with a saved probe; higher is more honest. Refuses another model."""
    from repalign import datasets
    from repalign.activations import origin
    from repalign.cli import output as printing
    from repalign.probing import results
    from repalign.readouts import Readout
    from repalign.runs import Environment, Run, now, reserve
    from repalign.storage import write_atomic

    started, clock = now(), time.monotonic()
    asked = options.recorded(locals(), score)
    if output.exists():
        raise InputError(f"{output} exists, and repalign never writes over results. Name another.")
    beside = output.with_name(output.name + ".run")
    reserve(beside)
    folder = run.parent if run.is_file() else run
    readout = Readout.load(run)
    record = Run.load(folder)
    examples = datasets.load(input, require_labels=False)
    language_model = options.load_model_of(
        record, model, device, device_map, dtype, trust_remote_code, allow_failed
    )
    with printing.progress("Scoring") as advance:
        scores = results.score_examples(language_model, readout, examples, advance)
    pairs = zip(examples, scores, strict=True)
    lines = [_line(i, e, s, readout.threshold) for i, (e, s) in enumerate(pairs)]
    write_atomic(output, "".join(lines).encode())
    labelled = {example.label for example in examples} == {0, 1}
    outcome = results.judge_scores(examples, scores, readout.threshold) if labelled else {}
    kept = Run(
        verb="score",
        asked=asked,
        model={"name": language_model.name, **origin(language_model, readout.span)},
        data={input: {"fingerprint": datasets.fingerprint(examples), "examples": len(examples)}},
        environment=Environment.here(),
        started=started,
        seconds=round(time.monotonic() - clock, 1),
        results=outcome,
    )
    kept.save(beside)
    if json:
        printing.emit_json(
            {"run": str(beside), "output": str(output), "examples": len(examples), **outcome}
        )
        return
    if outcome:
        printing.table(
            input,
            ["", "value [95% interval]"],
            [
                [name, printing.figure(value)]
                for name, value in outcome.items()
                if name != "examples"
            ],
        )
    printing.out.print(f"{len(examples)} texts scored: {output}")


def _line(index: int, example: Any, value: float, threshold: float | None) -> str:
    row = {
        "index": index,
        "text": example.text,
        "label": example.label,
        "group": example.group,
        "score": float(value),
        "flagged": None if threshold is None else bool(value < threshold),
    }
    return json_module.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
