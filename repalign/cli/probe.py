"""`repalign probe`: where, and how surely, a model represents honesty."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from repalign.cli import options
from repalign.errors import InputError


def probe(
    model: options.Model = "smollm2",
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            "-d",
            help="Built-in name, file or hub data set; repeat for several. The first is the one "
            "that sites and probes are compared on; with several topics the readout is pooled.",
        ),
    ] = None,
    test: Annotated[
        list[str] | None, typer.Option("--test", "-t", help="Labelled texts to judge on only.")
    ] = None,
    sites: Annotated[str, typer.Option(help="all, 10-20, L12.mlp_out, attn_out, …")] = "all",
    span: Annotated[str, typer.Option(help="Which tokens are read: last, answer, …")] = "last",
    probes: Annotated[
        str, typer.Option(help="Names with commas.")
    ] = "mean_difference,lda,logistic,contrast_pca",
    groups: Annotated[
        int, typer.Option(min=20, help="Read at most this many groups of a data set.")
    ] = 200,
    benign: Annotated[str, typer.Option(help="Texts for false positives, or none.")] = "benign",
    out: Annotated[Path | None, typer.Option(help="A new folder for the run.")] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Keep activations in this folder: for more than memory holds, or again."),
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
    """Find a model's direction of truth or honesty, with controls, intervals and a report."""
    from repalign import datasets, fitting, probing
    from repalign.activations import collect, readable
    from repalign.cli import output
    from repalign.examples import labelled
    from repalign.models.selecting import parse_sites
    from repalign.probing import results
    from repalign.runs import Environment, Run, now, reserve
    from repalign.spans import Span
    from repalign.storage import write_json

    started, clock = now(), time.monotonic()
    asked = options.recorded(locals(), probe)
    names, tests = data or _default_data(), test or []
    folder = out or output.default_folder("probe")
    # Everything that can be refused is refused before anything slow begins.
    reserve(folder)
    Span.parse(span)
    estimators = {name.strip(): fitting.by_name(name.strip()) for name in probes.split(",")}
    loaded = {name: labelled(datasets.load(name)) for name in names}
    held_out = {name: labelled(datasets.load(name)) for name in tests}
    _refuse_overlap(loaded, held_out)
    harmless = [] if benign == "none" else datasets.load(benign, require_labels=False)
    language_model = options.load_model(
        model, device, device_map, dtype, revision, trust_remote_code, allow_failed
    )
    wanted = parse_sites(sites, language_model)
    for examples in (*loaded.values(), *held_out.values()):
        readable(language_model, examples, Span.parse(span))
    _readable_benign(language_model, harmless, Span.parse(span))

    with output.progress("Reading") as advance:
        sources = probing.gather(
            language_model,
            loaded,
            wanted,
            span,
            max_groups=groups,
            seed=seed,
            store=store,
            progress=advance,
        )
    quiet = None
    if harmless:
        with output.progress("Reading benign chats") as advance:
            quiet = collect(language_model, harmless, wanted, span, progress=advance)
    with output.progress("Fitting") as advance:
        found = probing.sweep(sources, estimators, benign=quiet, seed=seed, progress=advance)
    # Saved first: whatever goes wrong from here on does not lose what was fitted.
    found.readout.save(folder)
    found.direction.save(folder)
    outcome = results.results(found) | {"tests": _tested(language_model, found.readout, held_out)}
    write_json(folder / "figures.json", results.figures(found, sources, language_model))
    Run(
        verb="probe",
        asked=asked | {"data": names, "test": tests},
        model=options.model_record(next(iter(sources.values())).activations.origin),
        data={name: options.described(name, source.examples) for name, source in sources.items()}
        | ({benign: options.described(benign, harmless)} if harmless else {}),
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


def _tested(model: Any, readout: Any, tests: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Figures of the readout on every test."""
    from repalign import datasets
    from repalign.cli import output
    from repalign.probing import results

    figures = {}
    for name, examples in tests.items():
        with output.progress(f"Testing on {name}") as advance:
            scores = results.score_examples(model, readout, examples, advance)
        judged = results.judge_scores(examples, scores, readout.threshold)
        figures[name] = judged | {"fingerprint": datasets.fingerprint(examples)}
    return figures


def _default_data() -> list[str]:
    from repalign.datasets.builtin import BUILTIN_TOPICS

    return [name for topic in BUILTIN_TOPICS for name in (topic, f"{topic}_negated")]


def _refuse_overlap(data: Mapping[str, list[Any]], tests: Mapping[str, list[Any]]) -> None:
    """A text that is fitted on says nothing about other texts."""
    fitted = {example.messages for examples in data.values() for example in examples}
    for name, examples in tests.items():
        shared = sum(example.messages in fitted for example in examples)
        if shared:
            raise InputError(
                f"{shared} of the {len(examples)} texts of --test {name} are in --data too. A test "
                "on texts that the probe was fitted on would flatter it; take them out of one."
            )


def _readable_benign(model: Any, examples: list[Any], span: Any) -> None:
    from repalign.activations import readable

    try:
        readable(model, examples, span)
    except InputError as error:
        raise InputError(
            f"{error} This is one of the benign texts that thresholds are set on: give others with "
            "--benign FILE, or none with --benign none."
        ) from error


def _print(outcome: dict[str, Any], folder: Path, page: Path | None) -> None:
    from repalign.cli.output import figure, out, table

    best = outcome["best"]
    out.print()
    table(
        f"{best['data']}: {best['probe']} at {best['site']}",
        ["", "AUROC [95% interval]"],
        [
            ["nested cross-validation", figure(best["auroc"])],
            *([name.replace("_", " "), figure(v)] for name, v in outcome["controls"].items()),
        ],
    )
    if outcome["transfer"]:
        rows = [
            [topic, figure(row), "yes" if row["flipped"] else ""]
            for topic, row in outcome["transfer"].items()
        ]
        rows += [
            ["mean", figure(outcome["pooled"]["mean"]), ""],
            [
                f"more than the best single topic ({outcome['pooled']['best_single']['topic']})",
                figure(outcome["pooled"]["difference"]),
                "",
            ],
        ]
        table("Topics left out, pooled readout", ["", "AUROC [95% interval]", "flipped"], rows)
    if outcome["thresholds"]:
        table(
            "Dishonest texts flagged, by share of benign chats flagged",
            ["at most", "found on benign chats", "recall on left-out data"],
            [
                [f"{row['target_fpr']:.0%}", figure(row["fpr"]), figure(row["recall"])]
                for row in outcome["thresholds"]
            ],
        )
    if outcome["tests"]:
        table(
            "Tests",
            ["", "AUROC [95% interval]", "examples"],
            [
                [name, figure(row["auroc"]), str(row["examples"])]
                for name, row in outcome["tests"].items()
            ],
        )
    out.print(f"Run:    {folder}")
    if page is not None:
        out.print(f"Report: {page}")
