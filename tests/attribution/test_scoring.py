"""Importance: SNIP is |w · grad|, Wanda |w| · ‖x‖, whatever the batch, padding or memory."""

from functools import partial
from typing import Any

import families
import numpy as np
import pytest
import torch
import toy as toys
from torch import Tensor, nn

from repalign import checks
from repalign.attribution import Matrix, matrices, snip, wanda
from repalign.attribution.backward import Backward
from repalign.attribution.texts import Text, texts_of
from repalign.errors import CheckError, InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.tokens import Tokens


def _keep(kept: list[Tensor], response: list[int], _module: nn.Module, args: Any) -> None:
    kept.append(args[0][0, response])


def _scores(model: LanguageModel, examples: list[Example], **options: Any) -> dict[str, Tensor]:
    return {matrix.name: scores for matrix, scores in snip(model, examples, **options)}


def _same(one: dict[str, Tensor], other: dict[str, Tensor], rtol: float = 1e-4) -> None:
    assert one.keys() == other.keys()
    for name, scores in one.items():
        torch.testing.assert_close(scores, other[name], rtol=rtol, atol=1e-6 * float(scores.max()))


def test_snip_is_the_analytic_gradient_of_the_last_matrix(
    model: LanguageModel, texts: list[Text], honest: list[Example]
) -> None:
    """The last `down_proj` feeds the final norm and the head: its gradient is written out here."""
    matrix = next(m for m in matrices(model) if str(m) == "L3.mlp.down_proj")
    weight, head = matrix.weight(model), model.network.lm_head.weight
    expected = torch.zeros_like(weight)
    for text in texts:
        kept: dict[str, Tensor] = {}
        handle = matrix.module(model).register_forward_pre_hook(
            lambda _module, args, kept=kept: kept.update(x=args[0][0])
        )
        state = model.capture(Tokens.pad([text.ids], 0), [model.sites()[-1]])
        handle.remove()
        h, gradient = state[model.sites()[-1]][0], torch.zeros_like(weight)
        for place in text.response:
            v = h[place - 1]
            scale = (v.square().mean() + model.network.config.rms_norm_eps).rsqrt()
            probability = (head @ (v * scale)).softmax(0)
            probability[text.ids[place]] -= 1
            up = head.T @ probability
            delta = scale * up - v * scale**3 * (v @ up) / len(v)
            gradient += torch.outer(delta, kept["x"][place - 1]) / len(text.response)
        expected += gradient.abs()
    found = _scores(model, honest, among=[matrix])[matrix.name]
    expected = (expected * weight.abs()).detach()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_one_matrix_at_a_time_is_all_at_once_is_autograd(
    model: LanguageModel, honest: list[Example], texts: list[Text], by_autograd: Any
) -> None:
    honest, texts = honest[:5], texts[:5]
    names = [matrix.name for matrix in matrices(model)]
    expected = {name: torch.zeros_like(model.network.get_parameter(name)) for name in names}
    for text in texts:
        for name, gradient in by_autograd(model, text, names).items():
            expected[name] += gradient.abs()
    expected = {n: s * model.network.get_parameter(n).detach().abs() for n, s in expected.items()}
    groups: list[tuple[int, int]] = []
    alone = _scores(model, honest, memory=1, progress=lambda *done: groups.append(done))
    assert groups[-1] == (len(names), len(names)), "memory=1 has to mean one matrix at a time"
    together = _scores(model, honest)
    _same(alone, expected)
    _same(together, alone)
    mean = _scores(model, honest, reduce="mean")
    _same({name: scores * len(honest) for name, scores in mean.items()}, together)


def test_batch_and_padding_change_no_score(model: LanguageModel, honest: list[Example]) -> None:
    honest = honest[:5]
    lengths = {len(text.ids) for text in texts_of(model, honest, "answer")}
    assert len(lengths) > 3, "rows of one length would need no padding"
    _same(_scores(model, honest, max_tokens=1), _scores(model, honest, max_tokens=10_000))


def test_prompt_tokens_have_no_loss(
    model: LanguageModel, honest: list[Example], by_autograd: Any
) -> None:
    """Only `response` enters the loss: a span of one word gives that word's gradient."""
    matrix = matrices(model)[-1]
    (text,) = texts_of(model, honest[:1], "answer")
    last = Text(text.ids, text.response[-1:], text.group)
    expected = by_autograd(model, last, [matrix.name])[matrix.name]
    word = honest[0].messages[-1].content.split()[-1]
    found = _scores(model, honest[:1], among=[matrix], span=f"regex:{word}$")[matrix.name]
    torch.testing.assert_close(
        found, (expected * matrix.weight(model)).abs().detach(), rtol=1e-4, atol=1e-7
    )


def test_nothing_is_left_on_the_model(model: LanguageModel, honest: list[Example]) -> None:
    honest = honest[:3]
    before = {name: p.detach().clone() for name, p in model.network.named_parameters()}
    frozen = next(model.network.parameters())
    frozen.requires_grad_(False)
    hooks = sum(len(m._forward_hooks) for m in model.network.modules())
    blocks: Any = model.network.model.layers
    # As device maps do it.
    own = blocks[0].forward = partial(type(blocks[0]).forward, blocks[0])
    _scores(model, honest, memory=4 * 32 * 48)
    assert vars(blocks[0])["forward"] is own
    assert "forward" not in vars(blocks[1])
    del blocks[0].forward
    list(wanda(model, honest))
    assert not frozen.requires_grad
    frozen.requires_grad_(True)
    for name, parameter in model.network.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None
        assert parameter.requires_grad
    assert sum(len(m._forward_hooks) for m in model.network.modules()) == hooks


def test_wanda_is_its_definition(
    model: LanguageModel, honest: list[Example], texts: list[Text]
) -> None:
    entered: dict[str, list[Tensor]] = {m.name: [] for m in matrices(model)}
    for text in texts:
        handles = [
            m.module(model).register_forward_pre_hook(
                partial(_keep, entered[m.name], text.response)
            )
            for m in matrices(model)
        ]
        model.logits(Tokens.pad([text.ids], 0))
        for handle in handles:
            handle.remove()
    for matrix, scores in wanda(model, honest, max_tokens=60):
        norms = torch.cat(entered[matrix.name]).norm(dim=0)
        torch.testing.assert_close(scores, matrix.weight(model).detach().abs() * norms)


@pytest.mark.parametrize("family", ["gpt2", "falcon", "gemma2", "opt", "mpt", "bloom"])
def test_families_agree_with_autograd(family: str, texts: list[Text], by_autograd: Any) -> None:
    """Conv1D keeps its weight the other way round; Falcon adds in place and has its own Linear."""
    model = families.unchecked(family)
    found = matrices(model)
    assert {matrix.layer for matrix in found} == set(range(families.LAYERS))
    got: dict[tuple[int, str], Tensor] = {}

    def keep(index: int, matrix: Matrix, gradient: Tensor) -> None:
        got[index, matrix.name] = gradient

    groups = [[m for m in found if m.layer == layer] for layer in range(families.LAYERS)]
    backward = Backward(model, texts[:3], groups, 10_000)
    for group in groups:
        backward.run(group, keep)
    for index, text in enumerate(texts[:3]):
        wanted: dict[str, Tensor] = by_autograd(model, text, [one.name for one in found])
        for name, expected in wanted.items():
            tolerance = 1e-5 * max(1e-3, float(expected.abs().max()))
            torch.testing.assert_close(got[index, name], expected, rtol=1e-3, atol=tolerance)


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe"])
def test_fused_experts_are_refused_or_left_out_knowingly(family: str) -> None:
    model = families.unchecked(family)
    with pytest.raises(InputError, match=r"experts\.gate_up_proj.*leave_others"):
        matrices(model)
    kinds = {matrix.kind for matrix in matrices(model, leave_others=True)}
    assert kinds == {f"self_attn.{name}_proj" for name in "qkvo"}


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_quantised_weights_are_refused(dtype: torch.dtype) -> None:
    toy = toys.model()
    module: Any = toy.network.model.layers[1].mlp.up_proj
    module.weight = nn.Parameter(module.weight.detach().to(dtype), requires_grad=False)
    with pytest.raises(InputError, match=r"layers\.1\.mlp\.up_proj\.weight is torch"):
        matrices(toy)


def test_a_config_that_says_quantised_is_refused() -> None:
    """Some methods keep their weights in buffers, which no list of parameters shows."""
    toy = toys.model()
    toy.network.config.quantization_config = {"bits": 4}
    with pytest.raises(InputError, match="quantised"):
        matrices(toy)


def test_shared_and_unused_modules_are_refused(honest: list[Example]) -> None:
    toy = toys.model()
    toy.checked = checks.Report(())
    layers: Any = toy.network.model.layers
    spare = nn.Linear(4, 4)
    layers[2].spare = spare
    with pytest.raises(InputError, match=r"No text reached L2\.spare"):
        list(snip(toy, honest))
    layers[3].spare = spare
    with pytest.raises(InputError, match="share one weight"):
        matrices(toy)


def test_a_module_that_runs_twice_is_refused(honest: list[Example]) -> None:
    toy = toys.model()
    toy.checked = checks.Report(())
    projection: Any = toy.network.model.layers[2].mlp.up_proj
    gate: Any = toy.network.model.layers[2].mlp.gate_proj
    gate.register_forward_hook(lambda _module, args, _out: projection(args[0]))
    with pytest.raises(InputError, match=r"L2\.mlp\.up_proj of toy runs more than once"):
        list(snip(toy, honest))


def test_a_path_around_the_blocks_is_found(
    texts: list[Text], honest: list[Example], by_autograd: Any
) -> None:
    """What an upper block takes from a lower one's inside is lost when groups run by themselves."""
    toy = toys.model()
    toy.checked = checks.Report(())
    layers: Any = toy.network.model.layers
    kept: dict[str, Tensor] = {}
    layers[1].mlp.up_proj.register_forward_hook(lambda _m, _a, out: kept.update(inside=out))
    layers[3].mlp.register_forward_hook(lambda _m, _a, out: out + kept["inside"][..., :32])
    with pytest.raises(CheckError, match=r"from layer 1 on pass on more than their output"):
        list(snip(toy, honest[:2], memory=4 * 32 * 48))
    names = ["model.layers.1.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.weight"]
    expected = [by_autograd(toy, text, names) for text in texts[:2]]
    whole = _scores(toy, honest[:2])
    for name in names:
        weight = toy.network.get_parameter(name).detach()
        summed = sum(one[name].abs() for one in expected) * weight.abs()
        torch.testing.assert_close(whole[name], summed, rtol=1e-3, atol=1e-6)


def test_an_input_that_changes_in_place_is_refused(honest: list[Example]) -> None:
    toy = toys.model()
    toy.checked = checks.Report(())
    layers: Any = toy.network.model.layers

    def doubles(_module: nn.Module, args: Any, _output: Tensor) -> None:
        args[0].detach().mul_(2)

    layers[2].mlp.down_proj.register_forward_hook(doubles)
    with pytest.raises(InputError, match=r"What L2\.mlp\.down_proj was given was changed in place"):
        list(snip(toy, honest[:1]))


def test_a_set_without_response_is_refused(model: LanguageModel) -> None:
    with pytest.raises(InputError, match="covers no token"):
        next(snip(model, [Example.of_chat("the sea")]))
    with pytest.raises(InputError, match="is empty"):
        next(snip(model, []))
    with pytest.raises(InputError, match="only the first token"):
        next(snip(model, [Example.of_chat("the sea")], span="chars:0-4"))


def test_bad_requests_are_refused(model: LanguageModel, honest: list[Example]) -> None:
    found = matrices(model)
    with pytest.raises(InputError, match="names a matrix twice, or none"):
        next(snip(model, honest, among=[found[0], found[0]]))
    strange = matrices(families.unchecked("gpt2"))
    with pytest.raises(InputError, match="does not have"):
        next(snip(model, honest, among=strange[:1]))
    with pytest.raises(InputError, match="bytes above 0"):
        next(snip(model, honest, memory=0))
    with pytest.raises(InputError, match="way to reduce"):
        next(snip(model, honest, reduce="max"))


def test_half_precision_is_summed_in_float32(honest: list[Example]) -> None:
    toy = toys.model()
    toy.checked = checks.Report(())
    plain = _scores(toy, honest)
    toy.network.to(torch.bfloat16)
    coarse = _scores(toy, honest)
    for name, scores in coarse.items():
        assert scores.dtype == torch.float32
        assert np.corrcoef(scores.ravel(), plain[name].ravel())[0, 1] > 0.9
