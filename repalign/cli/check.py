"""`repalign check`: the self-checks of a model."""

from typing import TYPE_CHECKING

import typer

from repalign.cli import options

if TYPE_CHECKING:
    from repalign.checks import Outcome


def check(
    model: str = typer.Argument(help="Hub id, folder, .gguf file, PEFT folder, or smollm2."),
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = None,
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
    json: options.Json = False,
) -> None:
    """Check that a model can be read and written rightly; exit code 1 when a law does not hold."""
    from repalign import checks
    from repalign.cli import output

    loaded = options.load_model(model, device, device_map, dtype, revision, trust_remote_code)
    with output.err.status("Checking"):
        report = checks.run(loaded)
    if json:
        output.emit_json(
            {
                "run": None,
                "model": loaded.name,
                "passed": not report.failed(),
                "checks": report.to_json(),
            }
        )
    else:
        output.out.print(f"\n{loaded!r}\nstreams: {', '.join(loaded.architecture.streams)}\n")
        output.table(
            "Self-checks",
            ["check", "law", "error", "allowed", ""],
            [
                [
                    outcome.name,
                    outcome.law + (f" ({outcome.note})" if outcome.note else ""),
                    f"{outcome.error:.1e}",
                    f"{outcome.tolerance:.0e}",
                    _verdict(outcome),
                ]
                for outcome in report.outcomes
            ],
        )
    if report.failed():
        raise typer.Exit(1)


def _verdict(outcome: "Outcome") -> str:
    if outcome.passed:
        return "holds"
    return "does not hold: whole texts are read" if outcome.detour else "FAILS"
