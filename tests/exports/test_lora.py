"""export_lora: an adapter that PEFT loads does what the hooks do."""

import copy
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch

from repalign.directions import Direction
from repalign.errors import InputError
from repalign.exports import export_lora, verify_export
from repalign.interventions import Ablate, Add
from repalign.interventions.everywhere import everywhere
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.storage import read_json, read_tensors
from repalign.tokens import Tokens

RAGGED = Tokens.pad([[7, 30, 12, 55, 31, 9], [8, 41], [3, 9, 77, 14]], 5)
# What an adapter cannot hold, of a family of each kind.
REFUSED = {
    "gpt2": {},
    "opt": {},
    "llama": {},
    "falcon": {},
    "granite": {},
    "mixtral": {"post": "No matrix"},
    "qwen3_moe": {"post": "No matrix"},
    "deepseek_v3": {"post": "PEFT cannot adapt"},
    "gemma2": {"ablate": "post_feedforward_layernorm", "post": "No matrix"},
    "jamba": {"ablate": r"layers\.0\.mamba\.out_proj", "post": "No matrix"},
    "mamba": {"ablate": "PEFT cannot adapt mamba", "post": "PEFT cannot adapt mamba"},
}
# PEFT's own notices to those who load an adapter.
as_pefts = pytest.mark.filterwarnings(
    "ignore:Model has .tie_word_embeddings:UserWarning",
    "ignore:.lora_bias=True. was passed",
    "ignore:.is_gradient_checkpointing.:FutureWarning",
)


@as_pefts
@pytest.mark.parametrize("name", REFUSED)
def test_families_are_adapted_or_refused(
    name: str,
    family: Callable[[str], LanguageModel],
    jobs: Callable[[LanguageModel], dict[str, Any]],
    texts: Sequence[str],
    tmp_path: Path,
) -> None:
    model = family(name)
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    for job in ("ablate", "post"):
        wanted, folder = jobs(model)[job], tmp_path / job
        if job in REFUSED[name]:
            with pytest.raises(InputError, match=REFUSED[name][job]):
                export_lora(model, wanted, folder)
            assert not folder.exists()
            continue
        assert export_lora(model, wanted, folder) == folder
        assert verify_export(model, wanted, folder, texts).worst < 1e-5
    after = model.network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@as_pefts
@pytest.mark.parametrize("name", ["gpt2", "opt"])
def test_where_biases_are_ablated_embeddings_are_saved_whole(
    name: str,
    biased: Callable[[str], LanguageModel],
    jobs: Callable[[LanguageModel], dict[str, Any]],
    texts: Sequence[str],
    tmp_path: Path,
) -> None:
    model = biased(name)
    made = jobs(model)
    made["both"] |= made["heads"]
    for job in ("ablate", "both", "heads"):
        wanted, folder = made[job], tmp_path / job
        export_lora(model, wanted, folder)
        assert verify_export(model, wanted, folder, texts).worst < 1e-5
        saved = read_json(folder / "adapter_config.json")["modules_to_save"]
        assert len(saved or []) == (0 if job == "heads" else 2)


@as_pefts
def test_peft_loads_it_on_a_fresh_base_and_can_switch_it_off(
    model: LanguageModel, direct: Callable[..., Direction], texts: Sequence[str], tmp_path: Path
) -> None:
    wanted = {**everywhere(model, Ablate.of(direct(0))), Site(1): Add(direct(1), 2.0)}
    folder = export_lora(model, wanted, tmp_path / "adapter")
    base = copy.deepcopy(model.network)
    network = peft.PeftModel.from_pretrained(base, str(folder)).eval()
    loaded = LanguageModel(network, model.tokenizer, "loaded")
    assert verify_export(model, wanted, loaded, texts).worst < 1e-5
    with network.disable_adapter():
        assert torch.equal(loaded.logits(RAGGED), model.logits(RAGGED))


@as_pefts
@pytest.mark.parametrize("tied", [False, True])
def test_load_finds_base_and_adapter(
    model: LanguageModel,
    tied: bool,
    family: Callable[[str], LanguageModel],
    direct: Callable[..., Direction],
    texts: Sequence[str],
    tmp_path: Path,
) -> None:
    source = family("gpt2") if tied else model
    source.network.save_pretrained(tmp_path / "base")
    source.tokenizer.save_pretrained(tmp_path / "base")
    base = LanguageModel.load(tmp_path / "base")
    wanted = everywhere(base, Ablate.of(direct(0), direct(1)))
    folder = export_lora(base, wanted, tmp_path / "adapter")
    loaded = LanguageModel.load(folder)
    assert loaded.name == f"{tmp_path / 'base'}+adapter"
    assert verify_export(base, wanted, loaded, texts).worst < 1e-5
    head = loaded.network.get_base_model().get_output_embeddings().weight
    assert torch.equal(head, base.network.get_output_embeddings().weight)


def test_the_numbers_are_those_of_the_formula(
    model: LanguageModel, direct: Callable[..., Direction], tmp_path: Path
) -> None:
    ablate = Ablate.of(direct(0), direct(1))
    folder = export_lora(model, everywhere(model, ablate), tmp_path / "adapter")
    config = read_json(folder / "adapter_config.json")
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (2, 2, False)
    assert config["base_model_name_or_path"] == "toy"
    tensors = read_tensors(folder / "adapter_model.safetensors")
    name = "base_model.model.model.layers.2.mlp.down_proj"
    weight = model.network.model.layers[2].mlp.down_proj.weight.detach().numpy()
    inner, outer = tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"]
    assert np.allclose(inner, ablate.basis.T @ weight, atol=1e-6)
    assert np.allclose(outer, -ablate.basis, atol=1e-6)
    table = "base_model.model.model.embed_tokens"
    assert tensors[f"{table}.lora_embedding_A"].shape == (2, len(model.tokenizer))
    # Nothing of the base is copied: A and B for 9 matrices, and no others.
    assert len(tensors) == 2 * (1 + 2 * model.n_layers)


def test_a_push_is_a_constant_and_nothing_else(
    model: LanguageModel, direct: Callable[..., Direction], tmp_path: Path
) -> None:
    push = Add(direct(0), -1.5)
    folder = export_lora(model, {Site(2): push}, tmp_path / "adapter")
    tensors = read_tensors(folder / "adapter_model.safetensors")
    name = "base_model.model.model.layers.2.mlp.down_proj.lora_"
    assert set(tensors) == {f"{name}{part}" for part in ("A.weight", "B.weight", "B.bias")}
    assert np.allclose(tensors[f"{name}B.bias"], push.push)
    assert not tensors[f"{name}A.weight"].any()
    assert not tensors[f"{name}B.weight"].any()


def test_what_peft_cannot_hold_is_refused(
    model: LanguageModel,
    family: Callable[[str], LanguageModel],
    direct: Callable[..., Direction],
    tmp_path: Path,
) -> None:
    push = Add(direct(2), 1.0)
    with pytest.raises(InputError, match=r"No matrix of toy .*L0\.resid_pre.*'weights'"):
        export_lora(model, {Site(0, "resid_pre"): push}, tmp_path / "first")
    experts = family("deepseek_v3")
    both = {**everywhere(experts, Ablate.of(direct(0))), Site(0): push}
    with pytest.raises(InputError, match=r"both what these experts .*experts\.down_proj"):
        export_lora(experts, both, tmp_path / "both")
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="exists already"):
        export_lora(model, {Site(1): push}, tmp_path / "there")


def test_nothing_is_warned_of_that_is_meant(
    family: Callable[[str], LanguageModel], direct: Callable[..., Direction], tmp_path: Path
) -> None:
    model = family("gpt2")
    wanted = {**everywhere(model, Ablate.of(direct(0))), Site(1): Add(direct(2), 1.0)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_lora(model, wanted, tmp_path / "adapter")
