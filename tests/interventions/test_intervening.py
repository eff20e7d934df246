"""intervene(): that it acts, that nothing is left of it, and what it refuses."""

from collections.abc import Generator
from typing import Any

import directed
import pytest
import torch
import toy as toys
from torch import Tensor, nn

from repalign.errors import CheckError
from repalign.interventions import Ablate, Add, intervene
from repalign.models import LanguageModel
from repalign.models.hooking import writings
from repalign.sites import Site
from repalign.tokens import Tokens

SITE = Site(1)
PUSH = Add(directed.made(4), 2.0)
VECTOR = torch.from_numpy(PUSH.direction.vector)
NEW = {"max_new_tokens": 3, "min_new_tokens": 3}


def _hooks(network: nn.Module) -> list[int]:
    return [
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules()
    ]


def _untouched(model: LanguageModel, hooks: list[int], tokens: Tokens, plain: Tensor) -> bool:
    return (
        _hooks(model.network) == hooks
        and not writings(model.architecture)
        and torch.equal(model.logits(tokens), plain)
    )


def test_nested_contexts_write_in_the_order_of_their_opening(
    model: LanguageModel, ragged: Tokens
) -> None:
    def projected() -> Tensor:
        return model.capture(ragged, [SITE])[SITE] @ VECTOR

    ablate = Ablate.of(PUSH.direction)
    with intervene(model, {SITE: PUSH}), intervene(model, {SITE: ablate}):
        assert projected().abs().max() < 1e-5
    with intervene(model, {SITE: ablate}), intervene(model, {SITE: PUSH}):
        assert torch.allclose(projected(), torch.tensor(6.0), atol=1e-4)
    with (
        intervene(model, {SITE: ablate}),
        intervene(model, {SITE: PUSH}, "last"),
        intervene(model, {SITE: PUSH}),
    ):
        found = projected()
    wanted = torch.tensor([[6.0, 6.0, 6.0, 12.0], [6.0, 12.0, 6.0, 6.0]])
    assert torch.allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("where", ["all", "last"])
def test_the_model_is_as_before_when_the_context_ends(
    model: LanguageModel, ragged: Tokens, where: str
) -> None:
    plain, hooks = model.logits(ragged), _hooks(model.network)
    with intervene(model, dict.fromkeys(model.sites(), PUSH), where):
        assert not torch.equal(model.logits(ragged), plain)
        assert len(writings(model.architecture)) == 1
    assert _untouched(model, hooks, ragged, plain)


def _use_and_fail(model: LanguageModel, tokens: Tokens | None, depth: int) -> None:
    with intervene(model, {SITE: PUSH}, "last" if depth % 2 else "all"):
        if tokens is not None:
            model.logits(tokens)
        if depth:
            _use_and_fail(model, tokens, depth - 1)
        raise KeyError("my own")


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("used", [True, False])
def test_an_exception_inside_comes_out_as_it_is_and_leaves_nothing(
    model: LanguageModel, ragged: Tokens, depth: int, used: bool
) -> None:
    plain, hooks = model.logits(ragged), _hooks(model.network)
    # Also where nothing was written yet: what went wrong is not that.
    with pytest.raises(KeyError, match="my own"):
        _use_and_fail(model, ragged if used else None, depth)
    assert _untouched(model, hooks, ragged, plain)


def test_an_exception_amid_a_pass_leaves_nothing(model: LanguageModel, ragged: Tokens) -> None:
    plain, hooks = model.logits(ragged), _hooks(model.network)

    def fail(_states: Tensor) -> Tensor:
        raise ZeroDivisionError

    with (
        pytest.raises(ZeroDivisionError),
        intervene(model, {Site(0): PUSH}),
        intervene(model, {Site(2): fail}, "last"),
    ):
        model.logits(ragged)
    assert _untouched(model, hooks, ragged, plain)


def test_an_interrupted_pass_does_not_spoil_the_next(model: LanguageModel, ragged: Tokens) -> None:
    def fail(_states: Tensor) -> None:
        raise ZeroDivisionError

    with intervene(model, {SITE: PUSH, Site(2): PUSH}):
        wanted = model.logits(ragged)
        with pytest.raises(ZeroDivisionError), model.hooked({SITE: fail}):
            model.logits(ragged)
        assert torch.equal(model.logits(ragged), wanted)


def test_a_generator_that_is_closed_leaves_nothing(model: LanguageModel, ragged: Tokens) -> None:
    plain, hooks = model.logits(ragged), _hooks(model.network)

    def steered() -> Generator[Tensor, None, None]:
        with intervene(model, {SITE: PUSH}):
            while True:
                yield model.logits(ragged)

    running = steered()
    assert not torch.equal(next(running), plain)
    running.close()
    assert _untouched(model, hooks, ragged, plain)
    unused = steered()
    unused.close()
    assert _untouched(model, hooks, ragged, plain)


def test_a_context_in_which_nothing_is_written_is_an_error(
    model: LanguageModel, ragged: Tokens
) -> None:
    plain, hooks = model.logits(ragged), _hooks(model.network)
    with (
        pytest.raises(CheckError, match=r"No pass of toy came by L1"),
        intervene(model, {SITE: PUSH}),
    ):
        pass
    with (
        pytest.raises(CheckError, match="only shallower sites were read"),
        intervene(model, {SITE: PUSH}, "last"),
    ):
        model.capture(ragged, [Site(0)])
    # A copy has hooks of its own.
    other = toys.model()
    with pytest.raises(CheckError, match="another copy"), intervene(model, {SITE: PUSH}):
        other.logits(ragged)
    # The inner context of two may be the one at fault.
    with intervene(model, {SITE: PUSH}):
        model.logits(ragged)
        with (
            pytest.raises(CheckError, match=r"came by L3"),
            intervene(model, {Site(3): PUSH}),
        ):
            model.capture(ragged, [Site(2)])
    assert _untouched(model, hooks, ragged, plain)


@pytest.mark.parametrize("where", ["all", "last"])
def test_a_network_that_skips_a_block_is_found_at_the_first_pass(
    model: LanguageModel, ragged: Tokens, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder: Any = model.architecture.decoder
    blocks = decoder.layers
    with intervene(model, {SITE: PUSH, Site(2): PUSH}, where):
        model.logits(ragged)
        kept = nn.ModuleList(block for index, block in enumerate(blocks) if index != 2)
        with monkeypatch.context() as patch:
            patch.setitem(decoder._modules, "layers", kept)
            patch.setattr(decoder.config, "num_hidden_layers", 3)
            with pytest.raises(CheckError, match=r"did not come by L2\.resid_post: the network"):
                model.logits(ragged)
        model.logits(ragged)


def test_reading_ahead_of_what_is_written_is_no_error(model: LanguageModel, ragged: Tokens) -> None:
    plain = model.capture(ragged, [Site(0)])[Site(0)]
    whole = model.logits(ragged)
    for where in ("all", "last"):
        with intervene(model, {Site(1): PUSH, Site(3): PUSH}, where):
            assert torch.equal(model.capture(ragged, [Site(0)])[Site(0)], plain)
            model.capture(ragged, [Site(2)])
            assert not torch.equal(model.logits(ragged), whole)


def test_hidden_states_hold_what_was_written(model: LanguageModel, ragged: Tokens) -> None:
    plain = model.forward(ragged, output_hidden_states=True).hidden_states
    with intervene(model, {SITE: PUSH}):
        found = model.forward(ragged, output_hidden_states=True).hidden_states
    assert torch.equal(found[1], plain[1])
    assert torch.allclose(found[2] - plain[2], torch.from_numpy(PUSH.push), atol=1e-5)


def test_sampling_beams_and_several_answers_are_steered_at_every_pass(
    model: LanguageModel, prompts: Tokens
) -> None:
    class Seen:
        def __init__(self) -> None:
            self.rows: list[tuple[int, int]] = []

        def __call__(self, states: Tensor) -> Tensor:
            self.rows.append((states.shape[0], states.shape[1]))
            return PUSH(states)

    options: dict[str, Any] = {
        "input_ids": prompts.ids,
        "attention_mask": prompts.attended.long(),
        "return_dict_in_generate": True,
        "output_hidden_states": True,
        **NEW,
    }
    for more, rows in (
        ({"do_sample": True, "num_return_sequences": 2}, 6),
        ({"do_sample": False, "num_beams": 3}, 9),
        ({"do_sample": True, "num_beams": 2}, 6),
    ):
        seen = Seen()
        torch.manual_seed(1)
        with intervene(model, {SITE: seen}):
            out = model.network.generate(**options, **more)
        assert seen.rows == [(rows, 4), (rows, 1), (rows, 1)]
        # By hand: where the same tokens are read again, the states are those that were generated.
        if "num_beams" not in more:
            ids = out.sequences[:, :-1]
            attended = torch.ones_like(ids, dtype=torch.bool)
            attended[:, :4] = prompts.attended.repeat_interleave(2, 0)
            with model.hooked({SITE: PUSH}):
                states = model.capture(Tokens(ids, attended), [Site(2)])[Site(2)]
            found = torch.cat([step[3] for step in out.hidden_states], dim=1)
            assert torch.allclose(found[attended], states[attended], atol=1e-4)


def test_beams_are_those_of_a_search_without_a_cache(model: LanguageModel, prompts: Tokens) -> None:
    def beams(**options: Any) -> Any:
        return model.generate(prompts, num_beams=3, max_new_tokens=5, **options)

    plain = beams()
    with intervene(model, {SITE: PUSH}):
        assert beams() == beams(use_cache=False) != plain


def test_a_pipeline_is_steered(model: LanguageModel) -> None:
    from transformers import pipeline

    pipe: Any = pipeline("text-generation", model=model.network, tokenizer=model.tokenizer)

    def say() -> list[str]:
        texts = ["the sea is", "the moon and the lamp is"]
        out = pipe(texts, max_new_tokens=6, do_sample=False, return_full_text=False)
        return [one[0]["generated_text"] for one in out]

    plain = say()
    push = Add(directed.made(4), 4.0)
    with intervene(model, {Site(2): push}):
        steered = say()
        ids = model.tokenizer("the sea is")["input_ids"]
        wanted = model.generate(Tokens.pad([ids], 5, "left"), max_new_tokens=6)[0]
    assert steered[0] == wanted
    assert all(one != other for one, other in zip(plain, steered, strict=True))
    assert say() == plain


def test_interventions_of_other_models_are_told_apart(model: LanguageModel, ragged: Tokens) -> None:
    other = toys.model("other")
    other.checked = model.checked
    with intervene(model, {SITE: PUSH}), intervene(other, {SITE: PUSH}):
        assert len(writings(model.architecture)) == len(writings(other.architecture)) == 1
        assert torch.equal(model.logits(ragged), other.logits(ragged))
