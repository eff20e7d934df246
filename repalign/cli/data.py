"""`repalign data`: list, show and lint data sets."""

from typing import Annotated

import typer

from repalign.cli import options

app = typer.Typer(help="List, show and lint data sets.", no_args_is_help=True)


@app.command("list")
def list_(json: options.Json = False) -> None:
    """List the built-in data sets."""
    from repalign import datasets
    from repalign.cli import output

    rows = []
    for name in datasets.names():
        examples = datasets.load(name)
        rows.append(
            {
                "name": name,
                "examples": len(examples),
                "groups": len({example.group for example in examples}),
                "title": datasets.card_of(name).title,
            }
        )
    if json:
        output.emit_json({"run": None, "data": rows})
        return
    output.table(
        "Built-in data sets",
        ["name", "examples", "groups", "what"],
        [[r["name"], str(r["examples"]), str(r["groups"]), r["title"]] for r in rows],
    )


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Built-in name, file or hub data set.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many examples.")] = 6,
    json: options.Json = False,
) -> None:
    """Show the card of a data set and its first examples."""
    from dataclasses import asdict

    from repalign import datasets
    from repalign.cli import output

    examples = datasets.load(name, require_labels=False)
    card = datasets.card_of(name) if name in datasets.names() else None
    if json:
        shown = [
            {"text": e.text, "label": e.label, "group": e.group, "meta": dict(e.meta)}
            for e in examples[:n]
        ]
        described = asdict(card) if card else None
        output.emit_json(
            {"run": None, "data": name, "card": described, "n": len(examples), "examples": shown}
        )
        return
    if card:
        for field, value in asdict(card).items():
            text = value if isinstance(value, str) else "; ".join(str(part) for part in value)
            output.out.print(f"[bold]{field.replace('_', ' ')}[/bold]: ", end="")
            output.out.print(text, markup=False)
        output.out.print()
    for example in examples[:n]:
        output.out.print(f"{example.label}  {example.text}", markup=False)
    output.out.print(f"… {len(examples)} examples in all")


@app.command()
def lint(
    file: Annotated[str, typer.Argument(help="File, built-in name or hub data set.")],
    json: options.Json = False,
) -> None:
    """Look for duplicates, imbalance, groups that straddle splits, and shortcuts."""
    from repalign import datasets
    from repalign.cli import output
    from repalign.datasets.lint import lint as lint_examples

    examples = datasets.load(file, require_labels=False)
    with output.err.status("Linting"):
        report = lint_examples(examples)
    plain = report.to_json()
    if json:
        output.emit_json({"run": None, "data": file, **plain})
        return
    output.table(
        f"{file}: {len(examples)} examples",
        ["check", "", "value", "what to do"],
        [
            [
                finding.check,
                finding.severity,
                "" if finding.estimate is None else output.figure(finding.estimate),
                finding.message,
            ]
            for finding in report.findings
        ],
    )
