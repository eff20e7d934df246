"""References: whose states a penalty compares with, and that no gradient reaches them."""

from pathlib import Path
from typing import Any

import pytest
import torch
import toy as toys
import trainers as tr
from peft import get_peft_model
from torch import Tensor

from repalign.errors import InputError
from repalign.models.hooking import attached
from repalign.sites import Site
from repalign.training import Movement, Retain, penalised

pytestmark = pytest.mark.filterwarnings("ignore")

SITE = Site(2)
MOVED = Retain((), 1.0, SITE, span="all")
COMPLETION = Retain((), 1.0, SITE)


def _moved(made: Any, kind: str, plain: Any, span: str) -> float:
    """Mean squared movement by the plain outputs of the policy and of another model."""
    found = tr.batch(made, kind)
    tokens = tr.ids(found, kind)
    ours = tr.states(made.model, tokens, SITE)
    before = tr.states(plain, tokens, SITE)
    squares = (ours - before).square().sum(dim=-1).detach()
    rows = {"kto": [0, 2]}.get(kind, [0, 1, 2, 3])
    begin = 0 if span == "all" or kind == "reward" else tokens.shape[1] - 2
    return float((squares if span == "all" else squares[rows])[:, begin:].mean())


@pytest.mark.parametrize("kind", tr.KINDS)
def test_with_an_adapter_it_is_the_model_without(kind: str, tmp_path: Path) -> None:
    made = tr.trainer(kind, tmp_path, [COMPLETION], tr.LORA)
    tr.loss(made, tr.batch(made, kind))
    logged = tr.logged(made)["penalty/retain_L2.resid_post"]
    expected = _moved(made, kind, tr.network(kind, toys.tokenizer()), "completion")
    assert expected > 0.1
    assert logged == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("kind", "passes"), [("dpo", 2), ("kto", 4), ("sft", 2), ("orpo", 2)])
def test_no_pass_is_made_where_the_trainer_makes_one(
    kind: str, passes: int, tmp_path: Path
) -> None:
    made = tr.trainer(kind, tmp_path, [COMPLETION], tr.LORA)
    seen: list[bool] = []
    with attached(
        made._architecture, {Site(0): lambda _: seen.append(torch.is_grad_enabled())}, first=False
    ):
        tr.loss(made, tr.batch(made, kind))
    # KTO: the mismatched pairs and the batch, of the policy and of the reference.
    assert len(seen) == passes
    assert sum(seen) == 1


def test_a_pass_of_our_own_ends_at_the_deepest_site(tmp_path: Path) -> None:
    made = tr.trainer("sft", tmp_path, [Retain((), 1.0, Site(1))], tr.LORA)
    seen: list[int] = []
    keepers = {Site(layer): lambda _, layer=layer: seen.append(layer) for layer in range(4)}
    with attached(made._architecture, keepers, first=False):
        tr.loss(made, tr.batch(made, "sft"))
    assert seen == [0, 1, 2, 3, 0, 1]
    assert made.model.training


def test_outputs_asked_for_are_not_taken_for_the_reference(tmp_path: Path) -> None:
    # TRL builds them with one more pass of the policy without gradient, after the reference's.
    made = tr.trainer("dpo", tmp_path, [COMPLETION], tr.LORA)
    found = tr.batch(made, "dpo")
    alone = tr.loss(made, found)
    loss, outputs = made.compute_loss(made.model, dict(found), return_outputs=True)
    assert loss.item() == alone
    assert outputs.logits.shape[:2] == found["input_ids"].shape
    values = made._metrics["train"]["penalty/retain_L2.resid_post"]
    assert values[0] == values[1] > 0.1


@pytest.mark.parametrize("kind", ["dpo", "kto", "sft", "grpo"])
def test_a_model_that_was_given_is_the_one_compared_with(kind: str, tmp_path: Path) -> None:
    other = tr.network(kind, toys.tokenizer())
    with torch.no_grad():
        other.model.layers[0].mlp.down_proj.weight *= 1.5
    made = tr.trainer(kind, tmp_path, [COMPLETION], options={"reference": other})
    before = {name: weight.clone() for name, weight in other.named_parameters()}
    found = tr.batch(made, kind)
    tr.step(made, found)
    assert all(weight.grad is None for weight in other.parameters())
    assert all(torch.equal(w, before[name]) for name, w in other.named_parameters())
    expected = _moved(made, kind, other, "completion")
    assert expected > 0.01
    assert tr.logged(made)["penalty/retain_L2.resid_post"] == pytest.approx(expected, rel=1e-4)


def test_a_copy_stays_where_training_began(tmp_path: Path) -> None:
    made = tr.trainer(
        "sft", tmp_path, [MOVED], options={"reference": "copy"}, steps=3, learning_rate=0.05
    )
    start = {name: weight.detach().clone() for name, weight in made.model.named_parameters()}
    made.train()
    logged = [row["penalty/retain_L2.resid_post"] for row in made.state.log_history[:3]]
    assert logged[0] == 0.0
    assert logged[2] > logged[1] > 0.0
    kept = dict(made._reference.network.named_parameters())
    assert all(torch.equal(kept[name], weight) for name, weight in start.items())


def test_the_reference_is_read_without_dropout(tmp_path: Path) -> None:
    made = tr.trainer("sft", tmp_path, [Movement(tr.random(), 1.0)], tr.LORA)
    for layer in made.model.get_base_model().model.layers:
        layer.self_attn.attention_dropout = 0.5
    made.model.train()
    found, seen = tr.batch(made, "sft"), []
    for _ in range(2):
        tr.loss(made, found)
        seen.append(tr.logged(made))
    policy, reference = "projection/L2.resid_post", "projection/L2.resid_post/reference"
    assert seen[0][policy] != seen[1][policy]
    assert seen[0][reference] == seen[1][reference]
    assert made.model.training


@pytest.mark.parametrize("lora", [None, tr.LORA], ids=["full", "lora"])
def test_mismatched_pairs_of_kto_are_not_taken_for_the_batch(lora: Any, tmp_path: Path) -> None:
    # Their rows are of another length, so taking them would be noticed.
    data = [
        {"prompt": "the sea is", "completion": " false", "label": True},
        {"prompt": "the sea and the moon is", "completion": " the moon is and true", "label": True},
    ]
    made = tr.trainer("kto", tmp_path, [MOVED], lora, data=data, per_device_train_batch_size=2)
    found = tr.batch(made, "kto", [0, 1])
    assert found["KL_input_ids"].shape != found["input_ids"].shape
    tr.loss(made, found)
    assert (tr.logged(made)["penalty/retain_L2.resid_post"] > 0.1) == (lora is not None)


def test_the_reference_carries_no_gradient(tmp_path: Path) -> None:
    # Movement of the shared base: were its states not cut off, raising v·h_ref would lower it too.
    penalty = Movement(tr.random(), 50.0, 5.0)
    full = tr.trainer("dpo", tmp_path, [penalty])
    tr.step(full, tr.batch(full, "dpo"))
    assert all(weight.grad is None for weight in full.ref_model.parameters())


def test_a_copy_of_a_model_with_an_adapter(tmp_path: Path) -> None:
    # The adapter starts away from zero, and the copy has it.
    made = tr.trainer("sft", tmp_path, [MOVED], tr.LORA, options={"reference": "copy"})
    found = tr.batch(made, "sft")
    tr.loss(made, found)
    assert tr.logged(made)["penalty/retain_L2.resid_post"] == 0.0
    with torch.no_grad():
        for name, weight in made.model.named_parameters():
            if "lora_B" in name:
                weight *= 2
    tr.loss(made, found)
    assert tr.logged(made)["penalty/retain_L2.resid_post"] > 0.1


def test_a_reference_of_another_size_is_refused(tmp_path: Path) -> None:
    small = toys.network(toys.tokenizer())
    small.model.layers = small.model.layers[:3]
    small.config.num_hidden_layers = 3
    with pytest.raises(InputError, match="width 32 and 3 layers, the model that is trained 32"):
        tr.trainer("sft", tmp_path, [MOVED], options={"reference": small})


@pytest.mark.parametrize("kind", ["sft", "reward", "orpo", "grpo"])
def test_without_any_reference_the_user_is_told(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'reference="copy" for a copy'):
        tr.trainer(kind, tmp_path, [COMPLETION])
    if kind == "sft":
        network = toys.network(toys.tokenizer())
        with pytest.raises(InputError, match="is the model that is trained"):
            tr.trainer(kind, tmp_path, [COMPLETION], model=network, options={"reference": network})


def test_precomputed_log_probabilities_leave_a_pass_of_our_own(tmp_path: Path) -> None:
    made = tr.trainer("dpo", tmp_path, [COMPLETION], tr.LORA, precompute_ref_log_probs=True)
    tr.loss(made, tr.batch(made, "dpo"))
    expected = _moved(made, "dpo", tr.network("dpo", toys.tokenizer()), "completion")
    assert tr.logged(made)["penalty/retain_L2.resid_post"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("ahead", [False, True])
def test_trls_copy_of_an_adapter_that_is_trained_further(ahead: bool, tmp_path: Path) -> None:
    torch.manual_seed(1)
    started = get_peft_model(toys.network(toys.tokenizer()), tr.LORA)
    made = tr.trainer("dpo", tmp_path, [COMPLETION], model=started, precompute_ref_log_probs=ahead)
    assert "ref" in made.model.peft_config
    found = tr.batch(made, "dpo")
    tr.loss(made, found)
    assert tr.logged(made)["penalty/retain_L2.resid_post"] == 0.0
    gradients = tr.step(made, found)
    assert gradients
    assert all(".default." in name for name in gradients)


def _weights(made: Any) -> dict[str, Tensor]:
    return dict(made.model.named_parameters())


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    made = tr.trainer("sft", tmp_path, [COMPLETION], tr.LORA)
    found = tr.batch(made, "sft")
    asked = {name: weight.requires_grad for name, weight in _weights(made).items()}
    tr.loss(made, found)
    broken = {**found, "input_ids": torch.full_like(found["input_ids"], 10_000)}
    with pytest.raises(IndexError):
        made.compute_loss(made.model, broken)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in made.model.modules())
    assert {name: weight.requires_grad for name, weight in _weights(made).items()} == asked
    assert penalised(tr.kind_class("sft"), []).__name__ == "PenalisedSFTTrainer"


def test_a_reference_that_moves_is_refused(tmp_path: Path) -> None:
    words = toys.tokenizer()
    toys.network(words).save_pretrained(tmp_path / "base")
    model = type(toys.network(words)).from_pretrained(tmp_path / "base")
    settings: dict[str, Any] = {"model": model, "sync_ref_model": True}
    with pytest.raises(InputError, match=r'sync_ref_model=True moves.*reference="copy"'):
        tr.trainer("dpo", tmp_path, [COMPLETION], **settings)
    made = tr.trainer("dpo", tmp_path, [COMPLETION], options={"reference": "copy"}, **settings)
    assert made._reference.separate is not made.ref_model
