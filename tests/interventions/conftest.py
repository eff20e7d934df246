"""What tests of interventions share."""

import pytest
import toy as toys

from repalign import checks
from repalign.models import LanguageModel
from repalign.tokens import Tokens


@pytest.fixture(scope="session")
def model() -> LanguageModel:
    """One toy for all, its checks done: tests leave it as it is."""
    made = toys.model()
    checks.ensure(made)
    return made


@pytest.fixture
def ragged() -> Tokens:
    """Two rows of different length, padded on the right."""
    return Tokens.pad([[7, 30, 12, 55], [8, 41]], 5)


@pytest.fixture
def prompts() -> Tokens:
    """Three prompts of different length, padded on the left."""
    return Tokens.pad([[7, 30, 12, 55], [8, 41], [9, 22, 13]], 5, "left")
