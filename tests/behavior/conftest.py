"""The toy, with self-checks that were run once: they do not differ from one to the next."""

import pytest
import toy as toys

from repalign import checks
from repalign.models import LanguageModel


@pytest.fixture(scope="session")
def _report() -> checks.Report:
    return checks.run(toys.model())


@pytest.fixture
def toy(_report: checks.Report) -> LanguageModel:
    """A fresh tiny Llama with a planted direction; see `tests/toy.py`."""
    model = toys.model()
    model.checked = _report
    return model
