"""Hooking: who runs first, what readers see, and nothing left behind."""

from typing import Any

import families
import pytest
import torch
from torch import Tensor

from repalign.models import LanguageModel, StopForward
from repalign.sites import STREAMS, Site
from repalign.tokens import Tokens

TOKENS = Tokens.pad([[7, 30, 12, 55], [8, 41]], 5)


def _scale(tensor: Tensor) -> Tensor:
    return tensor * 2


def _shift(tensor: Tensor) -> Tensor:
    return tensor + 1


@pytest.fixture(autouse=True)
def _no_grad() -> Any:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("stream", STREAMS)
def test_hidden_states_hold_what_was_written_although_their_hooks_were_first(
    toy: LanguageModel, stream: str
) -> None:
    plain = toy.forward(TOKENS, output_hidden_states=True).hidden_states
    assert any(
        block._forward_hooks or block._forward_pre_hooks for block in toy.architecture.layers
    )
    site = Site(1, stream)
    with toy.hooked({site: _shift}):
        steered = toy.forward(TOKENS, output_hidden_states=True).hidden_states
        read = toy.capture(TOKENS, toy.sites())
    # hidden_states[1] is what block 0 put out, so writing at the input of block 1 leaves it.
    for index in range(4):
        assert torch.equal(steered[index], plain[index]) == (index < 2)
    assert torch.equal(steered[2], read[Site(1)])
    assert torch.equal(steered[3], read[Site(2)])


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("name", ["llama", "llama, wide heads", "opt", "bloom", "gemma3_text"])
def test_readers_see_what_was_written_there(name: str, stream: str) -> None:
    model = families.model(name)
    site = Site(1, stream)
    plain = model.capture(TOKENS, [site])[site]
    with model.hooked({site: _scale}):
        seen = model.capture(TOKENS, [site])[site]
    assert seen.shape == (2, 4, model.architecture.width(site))
    assert torch.allclose(seen, 2 * plain, atol=1e-5)


@pytest.mark.parametrize("stream", STREAMS)
def test_of_two_contexts_the_one_opened_first_writes_first(toy: LanguageModel, stream: str) -> None:
    site = Site(1, stream)
    plain = toy.capture(TOKENS, [site])[site]
    # Others' lasting hooks lie between: they must change nothing of the order.
    toy.forward(TOKENS, output_hidden_states=True)
    with toy.hooked({site: _scale}), toy.hooked({site: _shift}):
        inner = toy.capture(TOKENS, [site])[site]
    with toy.hooked({site: _shift}), toy.hooked({site: _scale}):
        outer = toy.capture(TOKENS, [site])[site]
    with toy.hooked({site: _scale}), toy.hooked({site: _shift}), toy.hooked({site: _scale}):
        three = toy.capture(TOKENS, [site])[site]
    assert torch.allclose(inner, plain * 2 + 1, atol=1e-5)
    assert torch.allclose(outer, (plain + 1) * 2, atol=1e-5)
    assert torch.allclose(three, (plain * 2 + 1) * 2, atol=1e-5)


def test_streams_of_one_block_are_written_in_the_order_in_which_it_makes_them(
    toy: LanguageModel,
) -> None:
    attention, middle = Site(1, "attn_out"), Site(1, "resid_mid")
    before = toy.capture(TOKENS, [Site(1, "resid_pre")])[Site(1, "resid_pre")]
    wanted = torch.randn_like(before)
    for order in ([attention, middle], [middle, attention]):
        functions = {attention: lambda _: wanted, middle: _scale}
        with toy.hooked({site: functions[site] for site in order}):
            found = toy.capture(TOKENS, [middle])[middle]
        assert torch.allclose(found, 2 * (before + wanted), atol=1e-5)


def test_a_middle_is_formed_from_the_input_as_it_was_written(toy: LanguageModel) -> None:
    before, attention, middle = (Site(1, s) for s in ("resid_pre", "attn_out", "resid_mid"))
    # The reader inside is opened before the writer outside it.
    seen: dict[str, Tensor] = {}
    with (
        toy.hooked({middle: lambda x: seen.update(middle=x.clone())}),
        toy.hooked({before: _scale}),
    ):
        found = toy.capture(TOKENS, [before, attention])
    assert torch.equal(seen["middle"], found[before] + found[attention])


def test_only_the_contexts_own_hooks_are_removed(toy: LanguageModel) -> None:
    block = toy.architecture.layers[1]
    calls: list[int] = []
    handle = block.register_forward_hook(lambda *_: calls.append(1))
    with toy.hooked({Site(1): _shift}):
        toy.logits(TOKENS)
    toy.logits(TOKENS)
    assert calls == [1, 1]
    handle.remove()
    assert len(block._forward_hooks) == 0


def test_contexts_may_close_in_any_order(toy: LanguageModel) -> None:
    site = Site(1)
    plain = toy.capture(TOKENS, [site])[site]
    first, second = toy.hooked({site: _scale}), toy.hooked({site: _shift})
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.allclose(toy.capture(TOKENS, [site])[site], plain + 1)
    second.__exit__(None, None, None)
    assert torch.equal(toy.capture(TOKENS, [site])[site], plain)


def test_a_site_that_is_not_there_leaves_the_others_unhooked(toy: LanguageModel) -> None:
    with (
        pytest.raises(ValueError, match="no site L9"),
        toy.hooked({Site(0): _shift, Site(9): _shift}),
    ):
        pass
    assert not any(block._forward_hooks for block in toy.architecture.layers)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("change", [lambda x: x[..., :-1], lambda x: x[:1], lambda x: x[0, 0]])
def test_a_function_that_changes_the_shape_is_refused(
    toy: LanguageModel, stream: str, change: Any
) -> None:
    # A single row or vector would be spread over the batch by what adds it up.
    with (
        pytest.raises(ValueError, match=rf"written at L1\.{stream} has shape .*\(2, 4, 32\)"),
        toy.hooked({Site(1, stream): change}),
    ):
        toy.logits(TOKENS)


def test_heads_are_written_before_what_attention_puts_out(toy: LanguageModel) -> None:
    heads, out = Site(1, "heads"), Site(1, "attn_out")
    projection: Any = toy.architecture.projection(1)
    wanted = torch.randn(2, 4, toy.architecture.width(heads))
    for order in ([heads, out], [out, heads]):
        functions = {heads: lambda _: wanted, out: _scale}
        with toy.hooked({site: functions[site] for site in order}):
            found = toy.capture(TOKENS, [heads, out])
        assert torch.equal(found[heads], wanted)
        assert torch.allclose(found[out], 2 * projection(wanted), atol=1e-5)


def test_an_exit_inside_an_exit_ends_only_its_own_pass(toy: LanguageModel) -> None:
    inner: list[Tensor] = []

    def read_again(_: Tensor) -> None:
        if not inner:
            inner.append(torch.empty(0))
            inner.append(toy.capture(TOKENS, [Site(0)])[Site(0)])

    plain = toy.logits(TOKENS)
    with toy.hooked({Site(2): read_again}):
        assert torch.equal(toy.logits(TOKENS), plain)
    assert torch.equal(inner[1], toy.capture(TOKENS, [Site(0)])[Site(0)])


def test_no_except_exception_swallows_the_exit() -> None:
    assert not issubclass(StopForward, Exception)


def test_writing_reaches_generation_at_every_step(toy: LanguageModel) -> None:
    seen: list[int] = []
    tokens = Tokens.pad([[7, 30, 12], [8]], 5, side="left")
    with toy.hooked({Site(1): lambda x: seen.append(x.shape[1])}):
        toy.generate(tokens, max_new_tokens=3, min_new_tokens=3)
    assert seen == [3, 1, 1]


def test_generation_refuses_rows_padded_on_the_right(toy: LanguageModel) -> None:
    with pytest.raises(ValueError, match=r"padded on the left; pad with side='left'"):
        toy.generate(TOKENS)


def test_batched_generation_is_that_of_each_row(toy: LanguageModel) -> None:
    rows = [[7, 30, 12, 20], [8, 25]]
    options = {"max_new_tokens": 5, "min_new_tokens": 5}
    together = toy.generate(Tokens.pad(rows, 5, "left"), **options)
    alone = [toy.generate(Tokens.pad([row], 5, "left"), **options)[0] for row in rows]
    assert together == alone


def test_gradients_flow_through_what_is_written(toy: LanguageModel) -> None:
    push = torch.zeros(toy.d_model, requires_grad=True)
    with torch.enable_grad(), toy.hooked({Site(1): lambda x: x + push}):
        toy.forward(TOKENS).logits.square().mean().backward()
    assert push.grad is not None
    assert push.grad.norm() > 0
