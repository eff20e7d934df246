"""What tests of exports share."""

import copy
from collections.abc import Callable
from typing import Any

import families
import numpy as np
import pytest
import torch
import toy as toys

from repalign import checks
from repalign.directions import Direction
from repalign.interventions import Ablate, Add, Shift
from repalign.interventions.everywhere import everywhere
from repalign.interventions.intervening import Intervention
from repalign.models import LanguageModel
from repalign.sites import Site

TEXTS = ("the sea and the hill is true", "a coin is wrong", "the moon and rain and lamp is right")


@pytest.fixture(scope="session")
def texts() -> tuple[str, ...]:
    """What exports of tiny models are compared on."""
    return TEXTS


@pytest.fixture(scope="session")
def model() -> LanguageModel:
    """One toy for all, its checks done: exports leave it as it is."""
    made = toys.model()
    checks.ensure(made)
    return made


@pytest.fixture(scope="session")
def direct() -> Callable[..., Direction]:
    """Random unit directions by number."""

    def make(seed: int = 0, width: int = toys.WIDTH, scale: float = 3.0) -> Direction:
        vector = np.random.default_rng(seed).normal(size=width).astype(np.float32)
        return Direction(vector / np.linalg.norm(vector), Site(1), 0.5, scale)

    return make


@pytest.fixture(scope="session")
def jobs(direct: Callable[..., Direction]) -> Callable[[LanguageModel], dict[str, Any]]:
    """Interventions of every kind that an export can hold, as far as a model has the streams."""

    def make(model: LanguageModel) -> dict[str, dict[Site, Intervention]]:
        streams, push = model.architecture.streams, Add(direct(2), 1.0)
        made: dict[str, dict[Site, Intervention]] = {
            "ablate": everywhere(model, Ablate.of(direct(0), direct(1))),
            "first": {Site(0, "resid_pre"): push},
            "post": {Site(1): push},
        }
        if "attn_out" in streams:
            made["attention"] = {Site(1, "attn_out"): push}
            made["both"] = {**made["ablate"], Site(1): push}
        if "heads" in streams:
            width = model.architecture.width(Site(1, "heads"))
            vector = np.random.default_rng(3).normal(size=width).astype(np.float32)
            made["heads"] = {Site(1, "heads"): Shift(vector, 0.5)}
        return made

    return make


@pytest.fixture(scope="session")
def biased() -> Callable[[str], LanguageModel]:
    """The tiny model of a family with biases that are not zero, as those of new models are."""

    def make(name: str) -> LanguageModel:
        shared = families.model(name)
        network = copy.deepcopy(shared.network)
        random = torch.Generator().manual_seed(5)
        for name_of, parameter in network.named_parameters():
            if name_of.endswith("bias"):
                parameter.data += torch.randn(parameter.shape, generator=random)
        return LanguageModel(network, shared.tokenizer, f"{name}, biased")

    return make


@pytest.fixture(scope="session")
def family() -> Callable[[str], LanguageModel]:
    """The tiny model of a family; one that scales its residual is let through."""
    lenient: dict[str, LanguageModel] = {}

    def get(name: str) -> LanguageModel:
        shared = families.model(name)
        if families.FAMILIES[name].sums:
            return shared
        if name not in lenient:
            lenient[name] = LanguageModel(
                shared.network, shared.tokenizer, name, allow_failed=("sums",)
            )
        return lenient[name]

    return get
