"""The weight that is measured at step 0: what it is, what it leaves, what is resumed with it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import trainers as tr
from torch import Tensor

from repalign.errors import InputError
from repalign.training import Movement, Projection, Together, delta

# Of TRL and what it stands on; our own code warns of nothing.
pytestmark = pytest.mark.filterwarnings("ignore")


def _norm(gradients: dict[str, Tensor]) -> float:
    return float(torch.stack([g.norm() for g in gradients.values()]).norm())


@pytest.mark.parametrize(
    ("kind", "lora", "checkpointing"),
    [("sft", False, False), ("dpo", True, True), ("grpo", True, False), ("orpo", True, False)],
)
def test_the_weight_is_a_share_of_the_losss_gradient(
    kind: str, lora: bool, checkpointing: bool, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "gradient_checkpointing": checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": True},
    }
    adapter = tr.LORA if lora else None
    parts = (Projection(tr.random(), 2.0, 3.0), Projection(tr.random(1), 0.5, 3.0, name="second"))
    penalties = [Together(parts, auto_weight=0.25, name="both")]
    torch.manual_seed(0)
    plain = tr.trainer(kind, tmp_path, None, adapter, **settings)
    torch.manual_seed(0)
    fixed = tr.trainer(kind, tmp_path, [Together(parts, 1.0)], adapter, **settings)
    torch.manual_seed(0)
    made = tr.trainer(kind, tmp_path, penalties, adapter, **settings)
    found = tr.batch(made, kind)
    base, whole = tr.step(plain, found), tr.step(fixed, found)
    alone = {name: whole[name] - base.get(name, 0.0) for name in whole}
    gradients = tr.step(made, found)
    weight = made.penalty_record["measured"]["both"]
    assert weight == pytest.approx(0.25 * _norm(base) / _norm(alone), rel=1e-3)
    for name, gradient in gradients.items():
        expected = base.get(name, torch.zeros(())) + weight * alone[name]
        torch.testing.assert_close(gradient, expected.expand_as(gradient), rtol=1e-3, atol=1e-5)
    assert tr.logged(made)["weight/second"] == pytest.approx(0.5 * weight)
    # What was measured left no trace in the logs.
    if hasattr(made, "_metrics"):
        assert {len(values) for values in made._metrics["train"].values()} == {1}
    # Once, and not again with other data.
    tr.loss(made, tr.batch(made, kind, [0, 1]))
    assert made.penalty_record["measured"] == {"both": weight}


def test_measuring_draws_no_random_numbers(tmp_path: Path) -> None:
    noisy = tr.LoraConfig(r=4, target_modules=["q_proj"], lora_dropout=0.5, init_lora_weights=False)
    values = []
    for weight, share in ((1.0, None), (None, 0.1)):
        torch.manual_seed(0)
        made = tr.trainer(
            "sft", tmp_path, [Projection(tr.random(), weight, 3.0, auto_weight=share)], noisy
        )
        torch.manual_seed(1)
        tr.step(made, tr.batch(made, "sft"))
        values.append(tr.logged(made)["penalty/projection_L2.resid_post"])
    assert values[0] == values[1]
    torch.manual_seed(2)
    assert tr.loss(made, tr.batch(made, "sft")) != tr.loss(made, tr.batch(made, "sft"))


def test_a_weight_that_cannot_be_measured(tmp_path: Path) -> None:
    still = tr.trainer("dpo", tmp_path, [Movement(tr.random(), auto_weight=0.1)])
    with pytest.raises(InputError, match="margin above 0"):
        tr.loss(still, tr.batch(still, "dpo"))
    # Without a gradient of the trainer's own, it waits for a batch that has one.
    made = tr.trainer("rloo", tmp_path, [Projection(tr.random(), auto_weight=0.1, margin=3.0)])
    found = tr.batch(made, "rloo")
    tr.loss(made, {**found, "advantages": torch.zeros(4)})
    assert made.penalty_record["measured"] == {}
    assert tr.logged(made)["weight/projection_L2.resid_post"] == 0.0
    tr.loss(made, found)
    assert made.penalty_record["measured"]["projection_L2.resid_post"] > 0


def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path) -> None:
    def made(**more: Any) -> Any:
        torch.manual_seed(0)
        penalties = [delta(tr.random(), margin=1.0)]
        return tr.trainer(
            "dpo",
            tmp_path,
            penalties,
            tr.LORA,
            steps=4,
            save_strategy="steps",
            save_steps=2,
            per_device_train_batch_size=2,
            **more,
        )

    whole = made()
    whole.train()
    checkpoint = tmp_path / "checkpoint-2"
    record = json.loads((checkpoint / "penalties.json").read_text())
    assert record["measured"] == whole.penalty_record["measured"]
    rest = made()
    rest.train(resume_from_checkpoint=str(checkpoint))
    assert rest.penalty_record == whole.penalty_record
    ours, theirs = (
        [(row["loss"], row["penalty/retain_L2.resid_post"]) for row in each.state.log_history[:4]]
        for each in (rest, whole)
    )
    assert ours == theirs
    assert theirs[3][1] > 0
    other = tr.trainer("dpo", tmp_path, [delta(tr.random(), margin=2.0)], tr.LORA, steps=4)
    with pytest.raises(InputError, match="trained with other penalties"):
        other.train(resume_from_checkpoint=str(checkpoint))
