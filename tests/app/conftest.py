"""A chat with the toy, along its planted direction, and a small run with the embedded model."""

from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import toy as toys

from probes import MeanDifference
from repalign import datasets, fitting
from repalign.activations import collect
from repalign.app import Chat
from repalign.directions import Direction
from repalign.models import LanguageModel
from repalign.monitoring import Monitor
from repalign.readouts import Readout, ensemble
from repalign.runs import Environment, Run, now
from repalign.sites import Site
from repalign.spans import Span

SITE = Site(1, "resid_post")
SCALE = 2 * toys.STRENGTH
MIDDLE = Site(13, "resid_post")


@pytest.fixture(scope="module")
def chat() -> Chat:
    """One for a whole file: its model runs its self-checks once."""
    model = toys.model()
    coef = toys.direction().numpy().astype(np.float64)[None]
    readout = Readout((SITE,), coef, 0.0, Span("last"), None, MappingProxyType({}))
    direction = Direction(toys.direction().numpy(), SITE, 0.0, SCALE)
    return Chat(model, Monitor(model, readout, threshold=-1.0), direction)


@pytest.fixture(scope="module")
def run(smollm2: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `repalign probe` leaves behind, of forty statements at one site."""
    folder = tmp_path_factory.mktemp("runs") / "probe"
    cities = collect(smollm2, datasets.load("cities")[:40], [MIDDLE])
    fitted = fitting.fit_probe(fitting.by_name("lda"), cities, MIDDLE)
    weights = [(MIDDLE, fitted.coef_[0], float(fitted.intercept_[0]))]
    ensemble(weights, Span("last"), cities.origin).save(folder)
    Direction.of(MeanDifference(), cities).save(folder)
    Run(
        verb="probe",
        asked={"model": "smollm2"},
        model={"name": "smollm2", **cities.origin},
        environment=Environment.here(),
        started=now(),
        seconds=0.0,
        results={},
    ).save(folder)
    return folder
