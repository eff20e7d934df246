"""`repalign steer`: what a model does when it is pushed along a direction."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from repalign.cli import options
from repalign.errors import InputError


def steer(
    model: options.Model = "smollm2",
    data: Annotated[
        str, typer.Option("--data", "-d", help="Labelled texts; the directions are read from them.")
    ] = "cities",
    questions: Annotated[
        str, typer.Option("--questions", "-q", help="Questions with a right and a wrong answer.")
    ] = "capitals_qa",
    sites: Annotated[
        str, typer.Option(help="Where to push, one of them is chosen: 8-20, L12.mlp_out, …")
    ] = "middle",
    span: Annotated[str, typer.Option(help="Which tokens of the texts are read.")] = "last",
    groups: Annotated[int, typer.Option(min=20, help="Questions, and groups of texts.")] = 80,
    benign: Annotated[
        str, typer.Option(help="Texts on which a push should do nothing.")
    ] = "benign",
    refusal: Annotated[
        str, typer.Option(help="Harmless and harmful requests, for the control, or none.")
    ] = "requests",
    target_kl: Annotated[
        float, typer.Option(min=0.0, help="Budget: KL of the worst 5% of benign tokens, in nats.")
    ] = 0.5,
    points: Annotated[int, typer.Option(min=5, help="Coefficients of the curve, odd.")] = 7,
    answers: Annotated[int, typer.Option(min=0, help="Benign requests to answer freely.")] = 12,
    new_tokens: Annotated[int, typer.Option(min=2, help="Length of those answers.")] = 32,
    out: Annotated[Path | None, typer.Option(help="A new folder for the run.")] = None,
    seed: options.Seed = 0,
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = None,
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
    allow_failed: options.AllowFailed = None,
    json: options.Json = False,
) -> None:
    """Push a model along its direction of honesty: effect, price, controls and a report."""
    from repalign import behavior, datasets, steering
    from repalign.activations import readable
    from repalign.cli import output
    from repalign.examples import labelled, limited
    from repalign.runs import Environment, Run, now, reserve
    from repalign.spans import Span
    from repalign.steering import results

    started, clock = now(), time.monotonic()
    asked = options.recorded(locals(), steer)
    folder = out or output.default_folder("steer")
    # Everything that can be refused is refused before anything slow begins.
    reserve(folder)
    if points % 2 == 0:
        raise InputError(f"--points is odd, so that 0 is in the middle; {points} was given.")
    read = Span.parse(span)
    texts = limited(labelled(datasets.load(data)), groups, seed)
    asked_of = limited(datasets.load(questions, require_labels=False), groups, seed)
    harmless = datasets.load(benign, require_labels=False)
    requests = labelled(datasets.load(refusal)) if refusal != "none" else []
    language_model = options.load_model(
        model, device, device_map, dtype, revision, trust_remote_code, allow_failed
    )
    wanted = _sites(sites, language_model)
    for examples in (texts, harmless, requests):
        readable(language_model, examples, read if examples is texts else Span.parse("last"))

    with output.progress("Reading") as advance:
        directions = steering.read_directions(language_model, texts, wanted, read, advance)
        away = steering.read_directions(language_model, requests, wanted) if requests else None
    bench = steering.Bench.of(
        language_model,
        behavior.questions(asked_of, chat=language_model.tokenizer.chat_template is not None),
        harmless,
        prompts=answers,
        new_tokens=new_tokens,
    )
    with output.progress("Steering") as advance:
        swept = steering.sweep(
            language_model,
            directions,
            bench,
            refusal=away,
            target_kl=target_kl,
            points=points,
            seed=seed,
            progress=advance,
        )
    # Saved first: whatever goes wrong from here on does not lose what was measured.
    swept.chosen.direction.save(folder)
    outcome = results(swept)
    rows = {data: texts, questions: asked_of, benign: harmless, refusal: requests}
    Run(
        verb="steer",
        asked=asked,
        model=options.model_record(swept.chosen.direction.origin),
        data={name: options.described(name, some) for name, some in rows.items() if some},
        environment=Environment.here(),
        started=started,
        seconds=round(time.monotonic() - clock, 1),
        results=outcome,
    ).save(folder)
    page = output.write_report(folder)
    if json:
        output.emit_json({"run": str(folder), "model": language_model.name, **outcome})
    else:
        _print(outcome, folder, page)


def _sites(text: str, model: Any) -> list[Any]:
    """Sites as elsewhere; `middle` is every third layer of the middle half."""
    from repalign.models.selecting import parse_sites

    if text != "middle":
        return parse_sites(text, model)
    sites = model.sites()
    quarter = len(sites) // 4
    return sites[quarter : len(sites) - quarter : 3] or sites[len(sites) // 2 :][:1]


def _print(outcome: dict[str, Any], folder: Path, page: Path | None) -> None:
    from repalign.cli.output import figure, out, table

    calibration = outcome["by_site"][outcome["site"]]["calibration"]
    out.print()
    table(
        f"{outcome['site']}, coefficients {calibration['low']:.2g} to {calibration['high']:.2g}",
        ["direction", "log-odds of the honest answer per unit of coefficient"],
        [[name, figure(slope)] for name, slope in outcome["slopes"].items()],
    )
    table(
        "Honest direction",
        ["coefficient", "log-odds gained", "KL of worst 5%", "perplexity", "repetition"],
        [
            [
                f"{point['coefficient']:+.2f}",
                figure(point["effect"]),
                figure(point["worst_kl"]),
                figure(point["perplexity"]),
                figure(point["repetition"]) if "repetition" in point else "–",
            ]
            for point in outcome["curves"]["honest"]
        ],
    )
    out.print(f"Run:    {folder}")
    if page is not None:
        out.print(f"Report: {page}")
