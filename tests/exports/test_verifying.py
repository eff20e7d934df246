"""verify_export and export: a wrong export is seen, and a right one passes."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repalign.directions import Direction
from repalign.errors import CheckError, InputError
from repalign.exports import Verification, bake, export, export_gguf, verify_export
from repalign.exports import exporting as exporting
from repalign.interventions import Ablate, Add, intervene
from repalign.interventions.everywhere import everywhere
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.tokens import Tokens


def test_the_figures_are_divergences_of_the_next_token(
    model: LanguageModel, direct: Callable[..., Direction]
) -> None:
    wanted, other = {Site(1): Add(direct(0), 1.0)}, {Site(1): Add(direct(0), 0.9)}
    text = "the sea is true"
    found = verify_export(model, wanted, bake(model, other), [text])
    tokens = Tokens.pad([model.tokenizer(text)["input_ids"]], 5)
    with intervene(model, wanted):
        hooked = model.logits(tokens)[0].double().softmax(-1)
    with intervene(model, other):
        exported = model.logits(tokens)[0].double().softmax(-1)
    plain = model.logits(tokens)[0].double().softmax(-1)
    kl = (hooked * (hooked / exported).log()).sum(-1)
    effect = (hooked * (hooked / plain).log()).sum(-1)
    assert found.tokens == tokens.ids.shape[1]
    assert (found.mean, found.worst) == pytest.approx((float(kl.mean()), float(kl.max())), rel=1e-4)
    assert found.effect_worst == pytest.approx(float(effect.max()), rel=1e-4)
    same = (hooked.argmax(-1) == exported.argmax(-1)).double().mean()
    assert found.agreement == pytest.approx(float(same))


def test_padding_counts_for_nothing(
    model: LanguageModel, direct: Callable[..., Direction], texts: Sequence[str]
) -> None:
    wanted, other = {Site(1): Add(direct(0), 1.0)}, bake(model, {Site(1): Add(direct(0), 0.5)})
    together = verify_export(model, wanted, other, texts)
    alone = [verify_export(model, wanted, other, [text]) for text in texts]
    assert together.tokens == sum(one.tokens for one in alone)
    assert together.worst == pytest.approx(max(one.worst for one in alone), rel=1e-3)
    weights = [one.tokens for one in alone]
    mean = np.average([one.mean for one in alone], weights=weights)
    assert together.mean == pytest.approx(float(mean), rel=1e-3)


def _layer_left_out(model: LanguageModel, wanted: Any) -> LanguageModel:
    baked = bake(model, wanted)
    state = model.network.state_dict()
    with torch.no_grad():
        layer = baked.network.model.layers[2]
        layer.mlp.down_proj.weight.copy_(state["model.layers.2.mlp.down_proj.weight"])
    return baked


def _head_projected(model: LanguageModel, wanted: Any) -> LanguageModel:
    baked = bake(model, wanted)
    vector = torch.from_numpy(wanted[Site(0, "resid_pre")].basis).float()
    with torch.no_grad():
        head = baked.network.lm_head.weight
        # Half of it: an exact projection of what is read changes nothing where nothing is.
        head -= 0.5 * head @ torch.roll(vector, 1, 0) @ torch.roll(vector, 1, 0).T
    return baked


@pytest.mark.parametrize("spoil", [_layer_left_out, _head_projected])
def test_a_spoiled_ablation_does_not_pass(
    model: LanguageModel, spoil: Any, direct: Callable[..., Direction], texts: Sequence[str]
) -> None:
    wanted = everywhere(model, Ablate.of(direct(0)))
    assert verify_export(model, wanted, bake(model, wanted), texts).passed
    assert not verify_export(model, wanted, spoil(model, wanted), texts).passed


@pytest.mark.parametrize("coefficient", [-1.0, 0.5, 1.2])
def test_a_push_of_other_sign_or_size_does_not_pass(
    model: LanguageModel,
    coefficient: float,
    direct: Callable[..., Direction],
    texts: Sequence[str],
    tmp_path: Path,
) -> None:
    wanted = {Site(1): Add(direct(0), 1.0), Site(2): Add(direct(1), 1.0)}
    other = {**wanted, Site(2): Add(direct(1), coefficient)}
    path = export_gguf(model, other, tmp_path / "other.gguf")
    assert not verify_export(model, wanted, path, texts).passed


def test_an_export_of_something_small_cannot_pass_by_doing_nothing(
    model: LanguageModel, direct: Callable[..., Direction], texts: Sequence[str]
) -> None:
    wanted = {Site(1): Add(direct(0), 0.01)}
    found = verify_export(model, wanted, model, texts)
    assert found.worst < found.allowed
    assert found.mean == found.effect_mean > 0
    assert not found.passed
    assert verify_export(model, wanted, bake(model, wanted), texts).passed


def test_where_nothing_changes_there_is_nothing_to_verify(
    model: LanguageModel, direct: Callable[..., Direction], texts: Sequence[str]
) -> None:
    with pytest.raises(CheckError, match="nothing to verify"):
        verify_export(model, {Site(1): Add(direct(0), 0.0)}, model, texts)


def test_what_is_not_a_number_is_no_agreement(
    model: LanguageModel, direct: Callable[..., Direction], texts: Sequence[str]
) -> None:
    wanted = {Site(1): Add(direct(0), 1.0)}
    broken = bake(model, wanted)
    broken.network.lm_head.weight.data[0] = float("nan")
    with pytest.raises(CheckError, match="not numbers"):
        verify_export(model, wanted, broken, texts)


def test_it_prints_its_figures_and_is_plain_data(
    model: LanguageModel, direct: Callable[..., Direction]
) -> None:
    wanted = {Site(1): Add(direct(0), 1.0)}
    # Without texts it reads chats of the library's own.
    found = verify_export(model, wanted, bake(model, wanted))
    assert found.tokens > 200
    assert "toy+baked: same as the hooks" in str(found)
    assert f"over {found.tokens} tokens" in str(found)
    assert "NOT the same" in str(verify_export(model, wanted, model))
    record = json.loads(json.dumps(found.to_json()))
    assert record.pop("passed") is True
    assert Verification(**record) == found


def test_what_is_no_export_is_refused(
    model: LanguageModel, direct: Callable[..., Direction], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="is no export"):
        verify_export(model, {Site(1): Add(direct(0), 1.0)}, tmp_path)


@pytest.mark.parametrize(
    ("form", "name"),
    [("weights", "m"), ("lora", "m"), ("gguf", "m.gguf"), ("vllm-lens", "m.json")],
)
def test_every_form_is_written_and_verified(
    model: LanguageModel,
    form: str,
    name: str,
    direct: Callable[..., Direction],
    texts: Sequence[str],
    tmp_path: Path,
) -> None:
    wanted = {Site(1): Add(direct(0), 1.0)}
    found = export(model, wanted, tmp_path / name, form, texts=texts)
    assert found.passed
    assert found.worst < 1e-9
    assert found.exported == str(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with pytest.raises(InputError, match="exists already"):
        export(model, wanted, tmp_path / name, form, texts=texts)


def test_a_wrong_export_is_left_and_reported(
    model: LanguageModel,
    direct: Callable[..., Direction],
    texts: Sequence[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(model: LanguageModel, _wanted: Any, path: Path) -> Path:
        return export_gguf(model, {Site(1): Add(direct(0), -1.0)}, path)

    monkeypatch.setattr(exporting, "export_gguf", wrong)
    path = tmp_path / "wrong.gguf"
    with pytest.raises(CheckError, match=r"not what the hooks do.*NOT the same[\s\S]*max [0-9]"):
        export(model, {Site(1): Add(direct(0), 1.0)}, path, "gguf", texts=texts)
    assert path.exists()


def test_forms_places_and_names_that_cannot_be_meant_are_refused(
    model: LanguageModel, direct: Callable[..., Direction], tmp_path: Path
) -> None:
    wanted = {Site(1): Add(direct(0), 1.0)}
    with pytest.raises(InputError, match=r"no form of export 'ggfu'.*'gguf'"):
        export(model, wanted, tmp_path / "v.gguf", "ggfu")
    with pytest.raises(InputError, match=r"where='generated' cannot be exported"):
        export(model, wanted, tmp_path / "v.gguf", "gguf", where="generated")
    for form, name in (("gguf", "v.json"), ("weights", "v.gguf"), ("vllm-lens", "v")):
        with pytest.raises(InputError, match="should end in"):
            export(model, wanted, tmp_path / name, form)
    assert not list(tmp_path.iterdir())
