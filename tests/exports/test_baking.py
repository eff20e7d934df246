"""bake: edited weights do what the hooks do, in every family, or the bake is refused."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import torch
import toy as toys

from repalign.directions import Direction
from repalign.errors import CheckError, InputError
from repalign.exports import bake, verify_export
from repalign.exports.baking import project
from repalign.interventions import Ablate, Add, Clamp, KeepNorm, Patch, Shift, intervene
from repalign.interventions.everywhere import everywhere
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.tokens import Tokens

RAGGED = Tokens.pad([[7, 30, 12, 55, 31, 9], [8, 41], [3, 9, 77, 14]], 5)
# What is behind the matrices of these, or beside them, and would be left untouched.
LEFT = {
    "bloom": r"word_embeddings_layernorm\.weight",
    "gemma2": r"post_attention_layernorm\.weight .*post_feedforward_layernorm\.weight",
    "gemma3_text": r"post_attention_layernorm\.weight .*post_feedforward_layernorm\.weight",
    "olmo2": r"post_attention_layernorm\.weight .*post_feedforward_layernorm\.weight",
    "glm4": r"post_self_attn_layernorm\.weight .*post_mlp_layernorm\.weight",
    "jamba": r"layers\.0\.mamba\.out_proj",
}
# Where nothing can hold a bias that would load again, of a family of each kind.
NO_BIAS = {
    "gpt2": set(),
    "llama": set(),
    "granite": set(),
    "bloom": set(),
    "falcon, in sequence": set(),
    "mamba": set(),
    "mistral": {"post", "attention", "heads"},
    "mixtral": {"post", "attention", "heads"},
    "gptj": {"attention", "heads"},
    "qwen3": {"post"},
    "deepseek_v3": {"post"},
    "gemma2": {"post", "attention"},
}


def _values(model: LanguageModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.network.state_dict().items()}


@pytest.mark.parametrize("name", families.FAMILIES)
def test_each_family_bakes_an_ablation_or_names_what_is_in_the_way(
    name: str,
    family: Callable[[str], LanguageModel],
    jobs: Callable[[LanguageModel], dict[str, Any]],
    texts: Sequence[str],
    tmp_path: Path,
) -> None:
    model = family(name)
    ablation, before = jobs(model)["ablate"], _values(model)
    if name in LEFT:
        with pytest.raises(InputError, match=f"untouched: .*{LEFT[name]}"):
            bake(model, ablation)
        return
    baked = bake(model, ablation)
    assert verify_export(model, ablation, baked, texts).worst < 1e-5
    basis = torch.from_numpy(ablation[Site(0, "resid_pre")].basis).float()
    for stream in (s for s in model.architecture.streams if s != "heads"):
        found = baked.capture(RAGGED, baked.sites(stream))
        assert max(float((state @ basis).abs().max()) for state in found.values()) < 1e-5
    after = model.network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)
    baked.network.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    assert torch.equal(LanguageModel.load(tmp_path).logits(RAGGED), baked.logits(RAGGED))


@pytest.mark.parametrize("name", NO_BIAS)
def test_pushes_become_biases_or_it_is_said_that_there_are_none(
    name: str,
    family: Callable[[str], LanguageModel],
    jobs: Callable[[LanguageModel], dict[str, Any]],
    texts: Sequence[str],
    tmp_path: Path,
) -> None:
    model = family(name)
    pushes = {job: wanted for job, wanted in jobs(model).items() if job not in ("ablate", "both")}
    for job, wanted in pushes.items():
        if job in NO_BIAS[name]:
            with pytest.raises(InputError, match=r"adds a constant at .*'lora'"):
                bake(model, wanted)
            continue
        baked = bake(model, wanted)
        assert verify_export(model, wanted, baked, texts).worst < 1e-5
        baked.network.save_pretrained(tmp_path / job)
        model.tokenizer.save_pretrained(tmp_path / job)
        loaded = LanguageModel.load(tmp_path / job)
        assert torch.equal(loaded.logits(RAGGED), baked.logits(RAGGED))


@pytest.mark.parametrize("name", ["llama", "gpt2", "granite"])
def test_ablation_and_pushes_go_together(
    name: str,
    family: Callable[[str], LanguageModel],
    jobs: Callable[[LanguageModel], dict[str, Any]],
    texts: Sequence[str],
) -> None:
    model = family(name)
    wanted = {**jobs(model)["both"], **jobs(model)["heads"]}
    assert verify_export(model, wanted, bake(model, wanted), texts).worst < 1e-5


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox"])
def test_biases_are_ablated_too(
    name: str,
    biased: Callable[[str], LanguageModel],
    jobs: Callable[[LanguageModel], dict[str, Any]],
    texts: Sequence[str],
) -> None:
    model = biased(name)
    wanted = jobs(model)["ablate"]
    assert verify_export(model, wanted, bake(model, wanted), texts).worst < 1e-5


@pytest.mark.parametrize("stream", ["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"])
def test_a_push_at_any_stream_is_the_same_as_the_hook(
    model: LanguageModel, stream: str, direct: Callable[..., Direction], texts: Sequence[str]
) -> None:
    wanted: dict[Site, Any] = {
        Site(1, stream): Add(direct(0), 1.0),
        Site(2, stream): Shift(direct(1).vector, -2.0),
    }
    baked = bake(model, wanted)
    assert verify_export(model, wanted, baked, texts).worst < 1e-5
    plain, edited = model.network.state_dict(), baked.network.state_dict()
    # Matrices stay: what is new are biases.
    assert all(torch.equal(plain[name], edited[name]) for name in plain)
    assert all(name.endswith(".bias") for name in set(edited) - set(plain))


def test_pushes_at_one_place_by_two_names_are_summed(
    model: LanguageModel, direct: Callable[..., Direction]
) -> None:
    push = Add(direct(0), 1.0)
    baked = bake(model, {Site(1): push, Site(2, "resid_pre"): push})
    bias = baked.network.model.layers[1].mlp.down_proj.bias
    assert torch.allclose(bias, torch.from_numpy(2 * push.push))
    assert not baked.network.model.layers[2].mlp.down_proj.bias.any()


def test_a_tied_read_out_keeps_its_weights(
    family: Callable[[str], LanguageModel], jobs: Callable[[LanguageModel], dict[str, Any]]
) -> None:
    model = family("gpt2")
    network = model.network
    assert network.lm_head.weight is network.transformer.wte.weight
    baked = bake(model, jobs(model)["ablate"]).network
    assert torch.equal(baked.lm_head.weight, network.lm_head.weight)
    assert not torch.equal(baked.transformer.wte.weight, network.transformer.wte.weight)
    assert baked.config.tie_word_embeddings is False
    assert network.config.tie_word_embeddings is True
    # What edits no embedding leaves them tied.
    pushed = bake(model, jobs(model)["post"]).network
    assert pushed.lm_head.weight is pushed.transformer.wte.weight
    assert pushed.config.tie_word_embeddings is True


def test_projecting_takes_out_the_directions_and_nothing_else() -> None:
    parameter = torch.nn.Parameter(torch.randn(3, 8, 5))
    before = parameter.detach().double().clone()
    basis = torch.linalg.qr(torch.randn(8, 2).double()).Q
    project(parameter, 1, basis)
    after = parameter.detach().double()
    assert torch.einsum("eoi,ok->eki", after, basis).abs().max() < 1e-6
    removed = before - after
    back = torch.einsum("eki,ok->eoi", torch.einsum("eoi,ok->eki", before, basis), basis)
    assert torch.allclose(removed, back, atol=1e-6)


def test_what_is_trained_and_what_is_frozen_stays_so(
    toy: LanguageModel, direct: Callable[..., Direction]
) -> None:
    frozen = toy.network.lm_head.weight.requires_grad_(False)
    baked = bake(toy, everywhere(toy, Ablate.of(direct(0))))
    assert not baked.network.lm_head.weight.requires_grad
    assert not frozen.requires_grad
    assert baked.network.model.embed_tokens.weight.requires_grad


def test_an_ablation_of_some_places_only_is_refused(
    model: LanguageModel, direct: Callable[..., Direction]
) -> None:
    ablate = Ablate.of(direct(0))
    with pytest.raises(InputError, match=r"at L1\.resid_post only.*everywhere\(model"):
        bake(model, {Site(1): ablate})
    lacking = everywhere(model, ablate)
    del lacking[Site(2, "mlp_out")]
    with pytest.raises(InputError, match="everywhere or not at all"):
        bake(model, lacking)
    other = {**everywhere(model, ablate), Site(2, "mlp_out"): Ablate.of(direct(1))}
    with pytest.raises(InputError, match="other directions at one site"):
        bake(model, other)


def test_a_push_that_meets_an_ablation_later_is_refused(
    model: LanguageModel, direct: Callable[..., Direction]
) -> None:
    ablate, push = Ablate.of(direct(0)), Add(direct(0), 1.0)
    sites = [s for name in ("resid_pre", "resid_mid") for s in model.sites(name)]
    wanted = {**dict.fromkeys([*sites, model.sites()[-1]], ablate), Site(1, "mlp_out"): push}
    with pytest.raises(InputError, match=r"L1\.mlp_out would later meet an Ablate"):
        bake(model, wanted)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda d: Add(d, 1.0, piecewise=True), "Add with piecewise=True"),
        (lambda d: Clamp(d, -1.0, 1.0), "Clamp"),
        (lambda d: KeepNorm(Add(d, 1.0)), "KeepNorm"),
        (lambda _: Patch(torch.zeros(1, 2, toys.WIDTH)), "Patch"),
        (lambda _: torch.relu, "builtin_function_or_method"),
    ],
)
def test_what_depends_on_the_state_is_refused(
    model: LanguageModel, make: Any, name: str, direct: Callable[..., Direction]
) -> None:
    with pytest.raises(InputError, match=rf"{name} at L1\.resid_post depends on .*Add and Shift"):
        bake(model, {Site(1): make(direct(0))})


def test_what_does_not_fit_the_model_is_refused(
    model: LanguageModel, direct: Callable[..., Direction]
) -> None:
    with pytest.raises(InputError, match="width 8; toy has 32"):
        bake(model, {Site(1): Add(direct(0, width=8), 1.0)})
    with pytest.raises(InputError, match="4 layers"):
        bake(model, {Site(7): Add(direct(0), 1.0)})


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_a_model_that_cannot_be_edited_is_refused(
    toy: LanguageModel, direct: Callable[..., Direction]
) -> None:
    import peft

    wanted = {Site(1): Add(direct(0), 1.0)}
    with intervene(toy, wanted), pytest.raises(InputError, match=r"intervene\(\) is open"):
        bake(toy, wanted)
    config = peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM")
    adapted = LanguageModel(peft.get_peft_model(toy.network, config), toy.tokenizer, "adapted")
    with pytest.raises(InputError, match="merge_and_unload"):
        bake(adapted, wanted)


def test_an_edit_that_went_wrong_is_not_handed_out(
    model: LanguageModel, direct: Callable[..., Direction], monkeypatch: pytest.MonkeyPatch
) -> None:
    from repalign.exports import baking

    monkeypatch.setattr(
        baking, "_add", lambda parameter, push: parameter.data.sub_(torch.from_numpy(push))
    )
    with pytest.raises(CheckError, match="do not do what the hooks do"):
        bake(model, {Site(1): Add(direct(0), 1.0)})


def test_coarse_formats_bake_too(direct: Callable[..., Direction], texts: Sequence[str]) -> None:
    words = toys.tokenizer()
    coarse = LanguageModel(toys.network(words).bfloat16(), words, "coarse")
    wanted = everywhere(coarse, Ablate.of(direct(0)))
    baked = bake(coarse, wanted)
    assert baked.dtype == torch.bfloat16
    found = verify_export(coarse, wanted, baked, texts)
    assert found.passed
    assert found.allowed == 0.05
    assert np.isfinite(found.worst)
