"""Models on disk to be served, and Inspect kept to itself."""

from collections.abc import Callable, Generator
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import inspect_ai
import numpy as np
import pytest
import toy as toys
from inspect_ai import Task
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    Model,
    ModelOutput,
    ModelUsage,
    get_model,
)

from repalign.directions import Direction
from repalign.inspecting.registry import provider as provider
from repalign.models import LanguageModel
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span

Serve = Callable[..., Model]
Run = Callable[..., EvalLog]


@pytest.fixture(scope="session", autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Generator[None, None, None]:
    """No extensions of other packages, and nothing in the home folder.

    To load them takes seconds, and to list what is installed, anew for every log, most of one.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inspect_ai._util.entrypoints.entry_points", lambda **_: ())
        installed = packages_distributions()
        patch.setattr("inspect_ai._util.package.packages_distributions", lambda: installed)
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg")))
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy on disk, with a probe, a direction and vectors of it."""
    toy, place = toys.model(), tmp_path_factory.mktemp("toy")
    toy.network.save_pretrained(place / "model")
    toy.tokenizer.save_pretrained(place / "model")
    coef = np.random.default_rng(0).normal(size=(2, toys.WIDTH))
    Readout((Site(1), Site(2)), coef, 0.3, Span("answer"), 0.1).save(place / "probe")
    vector = np.random.default_rng(1).normal(size=toys.WIDTH)
    unit = (vector / np.linalg.norm(vector)).astype(np.float32)
    origin = {"model": "toy", "weights": toy.fingerprint}
    Direction(unit, Site(1), 0.0, 2.0, origin).save(place / "direction")
    return place


@pytest.fixture(scope="session")
def loaded(folder: Path) -> LanguageModel:
    """The same toy, to compare with."""
    return LanguageModel.load(folder / "model")


@pytest.fixture(scope="session")
def serve(folder: Path) -> Serve:
    """Make the provider's model of the toy, once for each set of options."""

    def make(**options: Any) -> Model:
        return get_model(f"repalign/{folder / 'model'}", **options)

    return make


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Evaluate, and read the log from its file."""

    def evaluated(task: Task, model: Model, **options: Any) -> EvalLog:
        (log,) = inspect_ai.eval(
            task, model=model, log_dir=str(tmp_path), display="none", **options
        )
        read = read_eval_log(log.location)
        assert read.status == "success", read.error
        return read

    return evaluated


@pytest.fixture(scope="session")
def saying() -> Callable[..., Model]:
    """Make a model that answers what a function of the last message says, as one behind an API."""

    def make(answer: Callable[[str], str]) -> Model:
        def output(messages: list[Any], *_: Any) -> ModelOutput:
            message = ChatMessageAssistant(content=answer(messages[-1].text))
            choice = ChatCompletionChoice(message=message, stop_reason="stop")
            # Without usage, Inspect would load a tokenizer from the internet to count.
            return ModelOutput(model="mock", choices=[choice], usage=ModelUsage())

        return get_model("mockllm/model", custom_outputs=output)

    return make


def figures(log: EvalLog) -> SimpleNamespace:
    """The metrics of a log by name."""
    assert log.results is not None
    (scores,) = log.results.scores
    return SimpleNamespace(**{name: one.value for name, one in scores.metrics.items()})
