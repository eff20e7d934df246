"""The command line: one file a verb."""

import sys

import typer

from repalign.cli import (
    chat,
    check,
    collect,
    data,
    evaluate,
    monitor,
    probe,
    score,
    show,
    steer,
    train,
)
from repalign.errors import RepalignError

app = typer.Typer(
    name="repalign",
    help="Representation engineering for the honesty of language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("probe")(probe.probe)
app.command("score")(score.score)
app.command("steer")(steer.steer)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("monitor")(monitor.monitor)
app.command("chat")(chat.chat)
app.command("collect")(collect.collect)
app.command("check")(check.check)
app.command("show")(show.show)
app.add_typer(data.app, name="data")


@app.callback()
def _root(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        from repalign import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; a user's mistake ends in one message and exit code 2."""
    try:
        app()
    except RepalignError as error:
        sys.stderr.write(f"repalign: {error}\n")
        sys.exit(2)
