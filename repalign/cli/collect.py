"""`repalign collect`: read activations into a store on disk."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from repalign.cli import options
from repalign.errors import InputError


def collect(
    model: options.Model = "smollm2",
    data: Annotated[
        list[str] | None,
        typer.Option("--data", "-d", help="Built-in name, file or hub data set; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The store: a new folder, or one begun.")] = None,
    sites: Annotated[str, typer.Option(help="all, 10-20, L12.mlp_out, attn_out, …")] = "all",
    span: Annotated[str, typer.Option(help="Which tokens are read: last, answer, …")] = "last",
    dtype: Annotated[
        str, typer.Option(help="How values are kept: float32, or bfloat16 for half the room.")
    ] = "float32",
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Positions of a pass; what suits the device if none.")
    ] = None,
    status: Annotated[
        Path | None, typer.Option(help="Print how far a store is, and do nothing else.")
    ] = None,
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    tensor_parallel: Annotated[
        bool,
        typer.Option("--tensor-parallel", help="Split the model over the processes launched."),
    ] = False,
    weights_dtype: Annotated[
        str | None, typer.Option(help="Of the model: float32, bfloat16, float16 or auto.")
    ] = None,
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
    allow_failed: options.AllowFailed = None,
    json: options.Json = False,
) -> None:
    """Read activations into a store. Killed, the same command goes on; several share the work."""
    from repalign import datasets
    from repalign.activations import Extraction, Store, begun_with, fill
    from repalign.cli import output
    from repalign.models.selecting import parse_sites
    from repalign.runs import now

    started, clock = now(), time.monotonic()
    asked = options.recorded(locals(), collect)
    if status is not None:
        _show(Store.open(status).status(), json)
        return
    if not data or out is None:
        raise InputError(
            "Say what to read and where to keep it: repalign collect --data cities --out acts. "
            "Or ask how far a store is: repalign collect --status acts."
        )
    loaded = {name: datasets.load(name, require_labels=False) for name in data}
    language_model = options.load_model(
        model,
        device,
        device_map,
        weights_dtype,
        revision,
        trust_remote_code,
        allow_failed,
        tensor_parallel=tensor_parallel,
    )
    work = Extraction.of(
        language_model,
        [example for examples in loaded.values() for example in examples],
        parse_sites(sites, language_model),
        span,
        begun_with(out) if max_tokens is None else max_tokens,
        shared=True,
    )
    first = int(os.environ.get("RANK", "0")) == 0
    tokens, distinct = work.tokens, work.distinct
    if first:
        output.err.print(
            f"{len(work.texts):,} texts, {tokens:,} tokens, {distinct:,} of them computed; "
            f"{len(work.pieces)} shards; passes of at most {work.max_tokens:,} positions"
            + ("" if work.whole is None else f"; whole texts are read: {work.whole}")
        )
    with output.progress("Reading", show=first) as advance:
        store = fill(work, out, dtype, advance)
    if not first:
        return
    found = store.status()
    if not (out / "run.json").exists():
        figures = {"rows": found.rows, "bytes": found.bytes, "tokens": tokens, "distinct": distinct}
        _record(asked, work.origin, loaded, started, time.monotonic() - clock, figures, out)
    _show(found, json)


def _record(
    asked: dict[str, Any],
    origin: Mapping[str, Any],
    loaded: dict[str, Any],
    started: str,
    seconds: float,
    figures: dict[str, Any],
    out: Path,
) -> None:
    from repalign import datasets
    from repalign.runs import Environment, Run

    Run(
        verb="collect",
        asked=asked,
        model=options.model_record(origin),
        data={
            name: {"fingerprint": datasets.fingerprint(rows), "examples": len(rows)}
            for name, rows in loaded.items()
        },
        environment=Environment.here(),
        started=started,
        seconds=round(seconds, 1),
        results=figures,
    ).save(out)


def _show(status: Any, json: bool) -> None:
    from repalign.cli import output

    if json:
        output.emit_json({"run": str(status.folder), **status.to_json()})
        return
    expected = f"{status.bytes / 1e6:,.1f} MB of about {status.bytes_expected / 1e6:,.1f} MB"
    rows = [
        ["rows", f"{status.rows_done:,} of {status.rows:,}"],
        ["shards", f"{status.shards_done:,} of {status.shards:,}"],
        ["being computed", ", ".join(map(str, status.claimed)) or "none"],
        ["on disk", expected],
        ["kept as", status.dtype],
        ["sites", f"{len(status.sites)}: {status.sites[0]} to {status.sites[-1]}"],
        ["model", f"{status.origin['model']} (weights {status.origin['weights']})"],
        ["prefixes", status.origin["prefixes"]],
        *([f"shard {shard}", f"damaged: {reason}"] for shard, reason in status.damaged.items()),
    ]
    output.table(str(status.folder), ["", "value"], rows)
