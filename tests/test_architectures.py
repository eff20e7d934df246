"""Architectures: the laws of reading and writing hold in every family of blocks."""

from typing import Any

import families
import pytest
import torch
from families import FAMILIES, LAYERS
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaModel

from repalign import architectures, checks
from repalign.errors import CheckError, InputError
from repalign.models import LanguageModel
from repalign.sites import STREAMS, Site
from repalign.tokens import Tokens

RAGGED = [[7, 30, 12, 55, 31, 9], [8, 41], [3, 9, 77, 14]]
SUMMING = [name for name, family in FAMILIES.items() if "attn_out" in family.streams]
IN_SEQUENCE = [name for name in SUMMING if "resid_mid" in FAMILIES[name].streams]

every_family = pytest.mark.parametrize("name", FAMILIES)


@pytest.fixture(autouse=True)
def _no_grad() -> Any:
    with torch.no_grad():
        yield


def _tokens(side: Any = "right") -> Tokens:
    return Tokens.pad(RAGGED, 5, side)


def _sites(model: LanguageModel) -> list[Site]:
    return [site for stream in model.architecture.streams for site in model.sites(stream)]


def _hooks(network: nn.Module) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules()
    )


@every_family
def test_blocks_and_streams_are_found(name: str) -> None:
    model, family = families.model(name), FAMILIES[name]
    assert model.architecture.layers is model.network.get_submodule(family.blocks)
    assert (model.n_layers, model.d_model) == (LAYERS, families.WIDTH)
    assert model.architecture.streams == family.streams


@every_family
def test_boundaries_are_the_models_own_hidden_states(name: str) -> None:
    model, family = families.model(name), FAMILIES[name]
    states = model.forward(_tokens(), output_hidden_states=True).hidden_states
    found = model.capture(_tokens(), model.sites("resid_pre") + model.sites())
    assert len(states) == LAYERS + 1
    for layer in range(LAYERS - 1):
        after = found[Site(layer)]
        assert after.shape == (3, 6, families.WIDTH)
        assert torch.equal(after, states[layer + family.states])
        assert torch.equal(after, found[Site(layer + 1, "resid_pre")])
        assert not torch.equal(after, found[Site(layer, "resid_pre")])
    if family.states == 1:
        assert torch.equal(found[Site(0, "resid_pre")], states[0])


@pytest.mark.parametrize("name", SUMMING)
def test_attention_and_mlp_make_up_a_block(name: str) -> None:
    model = families.model(name)
    found = model.capture(_tokens(), _sites(model))
    for layer in range(LAYERS):
        pre, attention, mlp, post = (
            found[Site(layer, stream)]
            for stream in ("resid_pre", "attn_out", "mlp_out", "resid_post")
        )
        held = torch.allclose(pre + attention + mlp, post, rtol=1e-5, atol=1e-5)
        assert held == FAMILIES[name].sums
        assert attention.norm() > 0.01
        assert mlp.norm() > 0.01
        if name in IN_SEQUENCE and FAMILIES[name].sums:
            middle = found[Site(layer, "resid_mid")]
            assert torch.equal(middle, pre + attention)
            assert torch.allclose(middle + mlp, post, rtol=1e-5, atol=1e-5)


HEADS = [name for name, family in FAMILIES.items() if "heads" in family.streams]


@pytest.mark.parametrize("name", HEADS)
def test_the_projection_makes_of_heads_what_attention_puts_out(name: str) -> None:
    model = families.model(name)
    found = model.capture(_tokens(), _sites(model))
    normed = FAMILIES[name].kind == "" and name in ("gemma2", "gemma3_text", "olmo2", "glm4")
    for layer in range(LAYERS):
        heads, out = found[Site(layer, "heads")], found[Site(layer, "attn_out")]
        wide = 48 if name == "llama, wide heads" else families.WIDTH
        assert heads.shape == (3, 6, wide)
        assert model.architecture.width(Site(layer, "heads")) == wide
        made = model.architecture.projection(layer)(heads)
        if normed:
            made = model.architecture.attention(layer)(made)
        assert torch.allclose(made, out, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_without_its_heads_attention_says_the_same_everywhere(name: str) -> None:
    model = families.model(name)
    with model.hooked(dict.fromkeys(model.sites("heads"), torch.zeros_like)):
        found = model.capture(_tokens(), model.sites("attn_out"))
    for out in found.values():
        assert torch.equal(out, out[:1, :1].expand_as(out))


@pytest.mark.parametrize("name", ["gpt2", "llama, wide heads", "falcon", "gptj"])
def test_heads_are_laid_side_by_side(name: str) -> None:
    """One head alone leaves its part of the projection: the parts of all heads are the whole."""
    model = families.model(name)
    site, after = Site(1, "heads"), Site(1, "attn_out")
    whole = model.capture(_tokens(), [after])[after]
    width = model.architecture.width(site) // 4
    parts = []
    for head in range(4):
        kept = torch.zeros(4 * width)
        kept[head * width : (head + 1) * width] = 1
        with model.hooked({site: lambda x, kept=kept: x * kept}):
            parts.append(model.capture(_tokens(), [after])[after])
    with model.hooked({site: torch.zeros_like}):
        bias = model.capture(_tokens(), [after])[after]
    assert torch.allclose(torch.stack(parts).sum(dim=0) - 3 * bias, whole, atol=1e-5)
    assert all(not torch.allclose(part, bias, atol=1e-4) for part in parts)


def test_the_width_of_heads_is_known_of_packed_and_bare_weights() -> None:
    model = families.unchecked("llama, wide heads")
    site = Site(1, "heads")

    class Packed(nn.Module):
        """As quantised weights are kept: two numbers in a byte, in one column."""

        in_features = 48
        weight = torch.zeros(32 * 48 // 2, 1, dtype=torch.uint8)

    class Bare(nn.Module):
        weight = torch.zeros(32, 48)

    attention: Any = model.architecture.layers[1].self_attn
    plain = attention.o_proj
    try:
        for made in (Packed(), Bare()):
            attention.o_proj = made
            assert model.architecture.width(site) == 48
    finally:
        attention.o_proj = plain
    assert model.architecture.width(Site(1, "attn_out")) == families.WIDTH
    with pytest.raises(InputError, match="Layer 0 of family 'mamba' has no output projection"):
        families.model("mamba").architecture.projection(0)


def test_a_family_that_scales_its_residual_cannot_be_read_inside_but_between() -> None:
    model = families.model("granite")
    checks.ensure(model, model.sites())
    # What is within its attention is not scaled yet.
    checks.ensure(model, model.sites("heads"))
    with pytest.raises(CheckError, match=r"sums .*allow_failed=\['sums'\]"):
        checks.ensure(model, [Site(0, "attn_out")])


@every_family
def test_self_checks_hold(name: str) -> None:
    report = checks.run(families.model(name))
    failed = [outcome.name for outcome in report.failed()]
    assert failed == ([] if FAMILIES[name].sums else ["sums"])


@every_family
def test_an_ablated_state_has_no_part_along_the_vector_in_any_row(name: str) -> None:
    model = families.model(name)
    tokens = _tokens()
    plain = model.capture(tokens, [Site(LAYERS - 1)])[Site(LAYERS - 1)]
    for stream in model.architecture.streams:
        site = Site(1, stream)
        vector = torch.randn(model.architecture.width(site))
        vector /= vector.norm()

        def ablate(x: Tensor, vector: Tensor = vector) -> Tensor:
            return x - torch.outer((x @ vector).flatten(), vector).view_as(x)

        with model.hooked({site: ablate}):
            found = model.capture(tokens, [site, Site(LAYERS - 1)])
        assert (found[site] @ vector).abs().max() < 1e-5
        moved = (found[Site(LAYERS - 1)] - plain).abs().amax(dim=-1)
        # Every token of every row: a tuple output taken apart wrongly loses rows.
        assert (moved[tokens.attended] > 1e-7).all()


@every_family
def test_what_is_written_reaches_the_logits_of_every_row(name: str) -> None:
    model = families.model(name)
    tokens = _tokens()
    plain = model.logits(tokens)
    for stream in model.architecture.streams:
        with model.hooked({Site(LAYERS - 1, stream): lambda x: x + torch.randn(x.shape[-1])}):
            written = model.logits(tokens)
        assert written.shape == plain.shape
        assert ((written - plain).abs().amax(dim=-1)[tokens.attended] > 1e-6).all()
    assert torch.equal(model.logits(tokens), plain)


@every_family
def test_writing_back_what_was_read_changes_no_bit(name: str) -> None:
    model = families.model(name)
    plain = model.logits(_tokens())
    with model.hooked(dict.fromkeys(_sites(model), torch.clone)):
        assert torch.equal(model.logits(_tokens()), plain)


@pytest.mark.parametrize("name", IN_SEQUENCE)
def test_the_mlp_reads_what_is_written_in_the_middle(name: str) -> None:
    model = families.model(name)
    middle, after, post = (Site(1, stream) for stream in ("resid_mid", "mlp_out", "resid_post"))
    plain = model.capture(_tokens(), [after])[after]
    wanted = torch.randn(3, 6, families.WIDTH)
    with model.hooked({middle: lambda _: wanted}):
        found = model.capture(_tokens(), [middle, after, post])
    assert torch.allclose(found[middle], wanted, atol=1e-5)
    assert (found[after] - plain).abs().amax(dim=-1)[_tokens().attended].min() > 1e-6
    if FAMILIES[name].sums:
        assert torch.allclose(found[post], wanted + found[after], atol=1e-5)


def test_the_middle_of_a_llama_is_what_its_own_modules_compute() -> None:
    model = families.model("llama")
    block: Any = model.architecture.layers[1]
    wanted = torch.randn(3, 6, families.WIDTH)
    with model.hooked({Site(1, "resid_mid"): lambda _: wanted}):
        found = model.capture(_tokens(), [Site(1, "mlp_out"), Site(1)])
    mlp = block.mlp(block.post_attention_layernorm(wanted))
    assert torch.allclose(found[Site(1, "mlp_out")], mlp, atol=1e-5)
    assert torch.allclose(found[Site(1)], wanted + mlp, atol=1e-5)


@every_family
def test_rows_of_a_ragged_batch_are_as_each_alone(name: str) -> None:
    model = families.model(name)
    sites = _sites(model)
    alone = [model.capture(Tokens.pad([row], 5), sites) for row in RAGGED]
    for tokens in (_tokens("right"), _tokens("left")):
        together = model.capture(tokens, sites)
        for index in range(len(RAGGED)):
            here = tokens.attended[index]
            for site in sites:
                found, wanted = together[site][index][here], alone[index][site][0]
                assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-5)


@every_family
def test_early_exit_leaves_no_trace(name: str) -> None:
    model = families.model(name)
    before = model.forward(_tokens(), output_hidden_states=True)
    hooks = _hooks(model.network)
    for site in _sites(model):
        model.capture(_tokens(), [site])
    assert _hooks(model.network) == hooks
    after = model.forward(_tokens(), output_hidden_states=True)
    assert torch.equal(after.logits, before.logits)
    assert len(after.hidden_states) == LAYERS + 1
    for one, other in zip(before.hidden_states, after.hidden_states, strict=True):
        assert torch.equal(one, other)


@every_family
def test_hooks_are_gone_after_an_exception(name: str) -> None:
    model = families.model(name)
    plain = model.logits(_tokens())
    hooks = _hooks(model.network)

    def fail(_: Tensor) -> None:
        raise ZeroDivisionError

    for site in _sites(model):
        with pytest.raises(ZeroDivisionError), model.hooked({site: fail}):
            model.logits(_tokens())
    assert _hooks(model.network) == hooks
    assert torch.equal(model.logits(_tokens()), plain)


@every_family
def test_reading_ends_after_the_deepest_site(name: str) -> None:
    model = families.model(name)
    ran: list[int] = []
    handles = [
        block.register_forward_hook(lambda *_, layer=layer: ran.append(layer))
        for layer, block in enumerate(model.architecture.layers)
    ]
    model.capture(_tokens(), [Site(1), Site(0)])
    for handle in handles:
        handle.remove()
    assert ran == [0, 1]


def test_what_is_kept_is_not_written_over_later() -> None:
    # Falcon adds the attention's output into the tensor that the MLP put out, in place.
    model = families.model("falcon")
    site = Site(1, "mlp_out")
    seen: list[Tensor] = []
    found = model.capture(
        _tokens(), [site, Site(1)], lambda tensor: seen.append(tensor.clone()) or tensor
    )
    assert torch.equal(found[site], seen[0])


@pytest.mark.parametrize(
    ("name", "site", "message"),
    [
        ("llama", Site(LAYERS), r"L3\.resid_post: this model has 3 layers, 0 to 2"),
        ("mamba", Site(0, "attn_out"), "'mamba' offer the streams resid_pre, resid_post"),
        ("phi", Site(0, "resid_mid"), "offer the streams resid_pre, resid_post, heads, attn_out, "),
    ],
)
def test_a_site_that_is_not_there_is_refused(name: str, site: Site, message: str) -> None:
    model = families.model(name)
    with pytest.raises(InputError, match=message):
        model.capture(_tokens(), [site])
    with pytest.raises(InputError, match=message), model.hooked({site: torch.clone}):
        pass
    assert set(model.architecture.streams) <= set(STREAMS)


def test_no_sites_are_refused() -> None:
    with pytest.raises(InputError, match=r"No sites .* model\.sites\(\)"):
        families.model("llama").capture(_tokens(), [])


@pytest.mark.parametrize(
    ("name", "context"),
    [("gpt2", 160), ("llama", 160), ("mpt", 160), ("bloom", None), ("mamba", None)],
)
def test_the_longest_text_is_known(name: str, context: int | None) -> None:
    assert families.model(name).architecture.context == context


def test_what_is_no_transformer_is_refused() -> None:
    with pytest.raises(InputError, match="Linear has no Hugging Face config"):
        architectures.find(nn.Linear(2, 2))
    network = LlamaModel(
        LlamaConfig(
            vocab_size=8,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
        )
    )
    network.layers.append(nn.Identity())
    with pytest.raises(InputError, match="no list of 2 blocks"):
        architectures.find(network)


def test_module_outputs_are_taken_apart_and_put_together() -> None:
    tensor, other = torch.ones(1), torch.zeros(1)
    for output in (tensor, (tensor, "x"), [tensor, "x"]):
        assert architectures.main_tensor(output) is tensor
        assert architectures.main_tensor(architectures.replaced(output, other)) is other
        assert type(architectures.replaced(output, other)) is type(output)
    assert architectures.replaced((tensor, "x"), other)[1] == "x"  # type: ignore[index]
    for output in (None, (), {"hidden": tensor}, ("x", tensor)):
        with pytest.raises(TypeError, match="not a tensor or a tuple"):
            architectures.main_tensor(output)
