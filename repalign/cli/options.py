"""Options that several verbs share, and how their texts are read."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from repalign.examples import Example
    from repalign.models import LanguageModel
    from repalign.runs import Run

Model = Annotated[
    str,
    typer.Option("--model", "-m", help="Hub id, folder, .gguf file, PEFT folder, or smollm2."),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …; the first GPU by default.")]
DeviceMap = Annotated[
    str | None, typer.Option(help="Spread over devices as in transformers, such as auto.")
]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or auto.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run model code that the hub holds.")
]
AllowFailed = Annotated[
    list[str] | None,
    typer.Option(help="Go on although this self-check fails; repeat for several."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Seed = Annotated[int, typer.Option(min=0, help="Of folds, shuffles and resampling.")]


def recorded(values: Mapping[str, Any], command: Callable[..., Any]) -> dict[str, Any]:
    """The options of a command as its run records them: by name, defaults included."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in values.items()
        if name in command.__annotations__ and name != "json"
    }


def model_record(origin: Mapping[str, Any]) -> dict[str, Any]:
    """What a run says of the model: what its activations say, the name first."""
    return {"name": origin["model"], **{k: v for k, v in origin.items() if k != "model"}}


def described(name: str, examples: "Sequence[Example]") -> dict[str, Any]:
    """What a run says of a data set: which texts, how many, and its card."""
    from dataclasses import asdict

    from repalign import datasets

    return {
        "fingerprint": datasets.fingerprint(examples),
        "examples": len(examples),
        "groups": len({example.group for example in examples}),
        "card": asdict(datasets.card_of(name)) if name in datasets.names() else None,
    }


def load_model(
    name: str,
    device: str | None = None,
    device_map: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    allow_failed: list[str] | None = None,
    tensor_parallel: bool = False,
) -> "LanguageModel":
    """Load a model as the shared options say, with a line on stderr while it takes."""
    from repalign.cli.output import err
    from repalign.models import LanguageModel

    with err.status(f"Loading {name}"):
        return LanguageModel.load(
            name,
            device=device,
            device_map=device_map,
            dtype=dtype,
            revision=revision,
            trust_remote_code=trust_remote_code,
            allow_failed=allow_failed or [],
            tensor_parallel=tensor_parallel,
        )


def load_model_of(
    record: "Run",
    model: str | None,
    device: str | None,
    device_map: str | None,
    dtype: str | None,
    trust_remote_code: bool,
    allow_failed: list[str] | None,
) -> "LanguageModel":
    """Load the model of a run, in its format, unless the options name another model or format."""
    return load_model(
        model or record.asked["model"],
        device,
        device_map,
        dtype or record.model["dtype"],
        record.asked.get("revision") if model is None else None,
        trust_remote_code,
        allow_failed,
    )
