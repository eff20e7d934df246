"""`repalign chat`: talk to a model in the browser, steered and unsteered, every token scored."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repalign.cli import options
from repalign.errors import InputError

if TYPE_CHECKING:
    from repalign.directions import Direction


def chat(
    probe: Annotated[Path, typer.Option("--probe", "-p", help="The folder of a `probe` run.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="By default the model of the run.")
    ] = None,
    steer: Annotated[
        Path | None,
        typer.Option(help="The folder of a `steer` run: its direction, and its range of pushes."),
    ] = None,
    push: Annotated[float, typer.Option(min=0.0, help="The slider's ends without --steer.")] = 3.0,
    benign: Annotated[
        str, typer.Option(help="Ordinary answers, which should be flagged least.")
    ] = "benign",
    fpr: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The share of them that may be flagged.")
    ] = 0.01,
    aggregate: Annotated[
        str, typer.Option(help="How an answer is scored: mean, max, top-5, rolling-8.")
    ] = "mean",
    host: Annotated[str, typer.Option(help="Where the page listens.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="A free one from 7860 on by default.")
    ] = None,
    share: Annotated[bool, typer.Option("--share", help="Refused: no public links.")] = False,
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = None,
    trust_remote_code: options.TrustRemoteCode = False,
    allow_failed: options.AllowFailed = None,
) -> None:
    """Talk to a model in the browser: steered and unsteered side by side, tokens coloured."""
    if share:
        raise InputError(
            "repalign makes no public links: whoever has one could use this machine and read "
            "along. From another machine, take a tunnel: ssh -L 7860:127.0.0.1:7860 HOST."
        )
    from repalign import datasets
    from repalign.app import Chat, Shading
    from repalign.app.page import Page
    from repalign.app.serving import LOCAL, serve
    from repalign.cli import output
    from repalign.monitoring import Monitor
    from repalign.readouts import Readout
    from repalign.runs import Run

    # Everything that can be refused is refused before anything slow begins.
    Readout.load(probe)
    record = Run.load(probe)
    direction, low, high = _direction(steer) if steer else (_saved(probe), -push, push)
    harmless = datasets.load(benign, require_labels=False)
    language_model = options.load_model_of(
        record, model, device, device_map, dtype, trust_remote_code, allow_failed
    )
    monitor = Monitor.load(language_model, probe, aggregate)
    with output.progress("Reading benign answers") as advance:
        monitor = monitor.calibrate(harmless, fpr, progress=advance)
    ordinary = monitor.calibration
    assert ordinary is not None
    shading = Shading(ordinary.token_median, ordinary.token_spread)
    page = Page(Chat(language_model, monitor, direction), shading, low, high)
    address = serve(page, host, port)
    if host not in LOCAL:
        output.err.print(
            f"Listening on {host}: everybody who reaches this machine can use the page."
        )
    output.out.print(f"Page: {address}   (Ctrl-C ends it)")
    page.blocks.block_thread()


def _saved(folder: Path) -> "Direction":
    from repalign.directions import Direction

    return Direction.load(folder)


def _direction(folder: Path) -> "tuple[Direction, float, float]":
    """The direction that a `steer` run chose, and the pushes that it found harmless.

    Raises:
        InputError: it is a run of another verb.
    """
    from repalign.runs import Run

    record = Run.load(folder)
    if record.verb != "steer":
        raise InputError(
            f"{folder} is a run of `repalign {record.verb}`; --steer takes one of `repalign steer`."
        )
    found = record.results["by_site"][record.results["site"]]["calibration"]
    return _saved(folder), found["low"], found["high"]
