"""Compiled code: what is written acts whatever was compiled, and is not compiled in."""

import warnings
from collections.abc import Callable, Generator
from typing import Any

import directed
import pytest
import torch
import toy as toys
from torch import Tensor
from transformers.generation.configuration_utils import CompileConfig

from repalign import checks
from repalign.activations import collect
from repalign.interventions import Add, intervene
from repalign.models import LanguageModel, compiling
from repalign.models.compiling import uncompiled
from repalign.sites import Site
from repalign.tokens import Tokens

SITE = Site(1)
PUSH = Add(directed.made(4), 2.0)
TOKENS = Tokens.pad([[7, 30, 12, 55], [8, 41]], 5, "left")
INPUTS: dict[str, Any] = {
    "input_ids": TOKENS.ids,
    "attention_mask": TOKENS.attended.long(),
    "position_ids": TOKENS.position_ids,
    "use_cache": False,
}


@pytest.fixture(autouse=True)
def _nothing_compiled() -> Generator[None, None, None]:
    torch.compiler.reset()
    with torch.no_grad(), warnings.catch_warnings():
        # Of the compiler itself, on the code of transformers.
        warnings.simplefilter("ignore")
        yield
    torch.compiler.reset()


class Counted:
    """A backend that runs graphs as they are, and counts the calls of what it compiled."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, graph: Any, _examples: Any) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            self.calls += 1
            return graph.forward(*args)

        return run

    def __deepcopy__(self, _memo: object) -> "Counted":
        # Generation copies its settings.
        return self


@pytest.fixture(scope="module")
def plain(model: LanguageModel) -> Tensor:
    return model.logits(TOKENS)


@pytest.fixture(scope="module")
def steered(model: LanguageModel) -> Tensor:
    with intervene(model, {SITE: PUSH}):
        return model.logits(TOKENS)


def _close(found: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(found, wanted, atol=1e-4)


def _checked(toy: LanguageModel, model: LanguageModel) -> LanguageModel:
    toy.checked = model.checked
    return toy


@pytest.mark.parametrize(
    ("how", "before"),
    [
        ("wrapped", False),
        ("a function of one's own", True),
        ("block", True),
    ],
)
def test_what_is_written_acts_and_is_gone_afterwards(
    toy: LanguageModel,
    model: LanguageModel,
    plain: Tensor,
    steered: Tensor,
    how: str,
    before: bool,
) -> None:
    _checked(toy, model)
    backend: Any = Counted()
    network: Any = toy.network
    run = network
    if how == "wrapped":
        run = torch.compile(network, backend=backend)
    elif how == "block":
        network.model.layers[1].compile(backend=backend)
    else:
        run = torch.compile(lambda **inputs: network(**inputs), backend=backend)
    if before:
        assert _close(run(**INPUTS).logits, plain)
        assert backend.calls > 0
    calls = backend.calls
    with intervene(toy, {SITE: PUSH}):
        assert _close(run(**INPUTS).logits, steered)
        with intervene(toy, {SITE: Add(PUSH.direction, -2.0)}):
            assert _close(run(**INPUTS).logits, plain)
        assert _close(run(**INPUTS).logits, steered)
    assert backend.calls == calls
    # Compiled again, without anything that was written.
    assert _close(run(**INPUTS).logits, plain)
    assert backend.calls > calls


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("compiled", [True, False])
def test_generation_with_a_static_cache(
    toy: LanguageModel, model: LanguageModel, before: bool, compiled: bool
) -> None:
    _checked(toy, model)
    backend = Counted()

    def generated(**options: Any) -> Tensor:
        out = toy.network.generate(
            input_ids=TOKENS.ids,
            attention_mask=TOKENS.attended.long(),
            max_new_tokens=5,
            min_new_tokens=5,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
            **options,
        )
        return torch.stack(out.logits, dim=1)

    config = CompileConfig(backend=backend, mode=None, fullgraph=False)  # type: ignore[arg-type]
    config._compile_all_devices = True  # type: ignore[assignment]
    static: dict[str, Any] = {"cache_implementation": "static"}
    if compiled:
        static["compile_config"] = config
    plain = generated()
    if before:
        assert _close(generated(**static), plain)
        assert (backend.calls > 0) == compiled
    calls = backend.calls
    with intervene(toy, {SITE: PUSH}):
        wanted = generated()
        found = generated(**static)
    # Every token: none of the five is as it was.
    assert ((wanted - plain).abs().amax(dim=-1) > 0.01).all()
    assert _close(found, wanted)
    assert backend.calls == calls
    assert _close(generated(**static), plain)
    assert (backend.calls > calls) == compiled


def test_a_wrapper_given_as_the_network_is_the_same_model(
    toy: LanguageModel, model: LanguageModel, plain: Tensor, steered: Tensor
) -> None:
    wrapper: Any = torch.compile(toy.network, backend="eager")
    wrapped = LanguageModel(wrapper, toy.tokenizer, "toy")
    assert wrapped.fingerprint == model.fingerprint
    assert wrapped.architecture.forward_names == model.architecture.forward_names
    assert _close(wrapped.logits(TOKENS), plain)
    own = Add(directed.made(4, weights=model.fingerprint), 2.0)
    # The wrapper is compiled by now. The checks run too, and find nothing.
    with intervene(wrapped, {SITE: own}):
        assert _close(wrapped.logits(TOKENS), steered)
        assert wrapped.generate(TOKENS, max_new_tokens=3)
    assert checks.ensure(wrapped).failed() == []
    assert _close(wrapped.logits(TOKENS), plain)


def test_reading_works_on_compiled_networks(toy: LanguageModel, model: LanguageModel) -> None:
    rows = toys.statements()[:6]
    wanted = collect(model, rows, model.sites()).values
    network: Any = toy.network
    network.compile(backend="eager")
    toy.logits(TOKENS)
    assert collect(toy, rows, toy.sites()).values == pytest.approx(wanted, abs=1e-5)
    with intervene(toy, {SITE: PUSH}), intervene(model, {SITE: PUSH}):
        found = collect(toy, rows, toy.sites())
        assert found.values == pytest.approx(collect(model, rows, model.sites()).values, abs=1e-5)


def test_contexts_may_close_in_any_order_and_leave_the_compiler_as_it_was() -> None:
    backend: Any = Counted()
    double = torch.compile(lambda x: x * 2, backend=backend)
    number = torch.ones(3)

    def compiled() -> bool:
        calls = backend.calls
        assert torch.equal(double(number), number * 2)
        return backend.calls > calls

    assert compiled()
    first, second = uncompiled(), uncompiled()
    first.__enter__()
    second.__enter__()
    assert not compiled()
    first.__exit__(None, None, None)
    assert not compiled()
    second.__exit__(None, None, None)
    assert compiled()
    # A stance that was taken by the user is given back.
    with torch.compiler.set_stance("eager_on_recompile"):
        with uncompiled():
            assert not compiled()
        fresh = torch.compile(lambda x: x * 3, backend=backend)
        calls = backend.calls
        fresh(number)
        assert backend.calls == calls
        assert compiled()
    assert compiling._open == 0


def _raise() -> None:
    with uncompiled():
        raise KeyError


def test_an_exception_gives_the_compiler_back() -> None:
    with pytest.raises(KeyError):
        _raise()
    assert compiling._open == 0
