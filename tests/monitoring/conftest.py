"""Probes to watch with: one of random weights over several sites, and the planted one."""

from collections.abc import Callable

import numpy as np
import pytest
import toy as toys
from transformers import PreTrainedTokenizerFast

from repalign.models import LanguageModel
from repalign.monitoring import Monitor
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span

SITES = (Site(1), Site(2, "attn_out"), Site(0, "resid_mid"))
Make = Callable[..., Readout]


@pytest.fixture(scope="session")
def toy() -> LanguageModel:
    """One for all tests here, since its self-checks take a second; they leave it as it was."""
    return toys.model()


@pytest.fixture(scope="session")
def toy_words() -> PreTrainedTokenizerFast:
    return toys.tokenizer()


@pytest.fixture(scope="session")
def readout() -> Make:
    """Make a probe of random weights at these sites."""

    def make(*sites: Site) -> Readout:
        coef = np.random.default_rng(0).normal(size=(len(sites), toys.WIDTH))
        return Readout(sites, coef, 0.3, Span("last"))

    return make


@pytest.fixture
def monitor(toy: LanguageModel, readout: Make) -> Monitor:
    return Monitor(toy, readout(*SITES))


@pytest.fixture
def planted(toy: LanguageModel) -> Monitor:
    """Scores the markers of the toy +2 and -2, and every other token 0."""
    coef = toys.direction().double().numpy()[np.newaxis]
    readout = Readout((Site(2),), coef, 0.0, Span("answer"), threshold=-0.6)
    return Monitor(toy, readout, readout.threshold)
