"""Penalties in TRL's trainers: what is added is what was said, on the right pass and rows."""

import inspect
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy as toys
from datasets import Dataset
from peft import LoraConfig
from torch import Tensor
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.reward_trainer import RewardTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from repalign.directions import Direction
from repalign.errors import InputError, MissingExtraError, RepalignError
from repalign.sites import Site
from repalign.training import Projection, penalised

# Of TRL and what it stands on; our own code warns of nothing.
pytestmark = pytest.mark.filterwarnings("ignore")

KINDS: dict[str, Any] = {"sft": SFTTrainer, "dpo": DPOTrainer}
# Four rows whose texts have the same number of tokens; the completion is a marker and `</s>`.
PAIRS = [
    {"prompt": f"the {noun} is", "chosen": f" {false}", "rejected": f" {true}"}
    for noun, false, true in zip(toys.NOUNS, toys.FALSE * 2, toys.TRUE * 2, strict=False)
]
COMPLETIONS = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in PAIRS]
ROWS = {"sft": COMPLETIONS, "dpo": PAIRS}
LORA = LoraConfig(r=4, target_modules=["q_proj", "o_proj", "down_proj"], init_lora_weights=False)


def _planted(site: Site, scale: float = 2 * toys.STRENGTH) -> Direction:
    return Direction(toys.direction().numpy(), site, 0.0, scale)


def _random(layer: int = 2, stream: str = "resid_post") -> Direction:
    vector = np.random.default_rng(1).normal(size=toys.WIDTH).astype(np.float32)
    return Direction(vector / np.linalg.norm(vector), Site(layer, stream), 0.3, 0.7)


def _trainer(
    kind: str,
    folder: Path,
    penalties: list[Projection] | None,
    lora: LoraConfig | None = None,
    steps: int = 1,
    rows: list[dict[str, str]] | None = None,
    **settings: Any,
) -> Any:
    """A trainer on a fresh toy; plain TRL where `penalties` is None."""
    settings = {"per_device_train_batch_size": 4, "gradient_checkpointing": False} | settings
    words = toys.tokenizer()
    network = toys.network(words)
    config = {"sft": SFTConfig, "dpo": DPOConfig}[kind](
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        report_to="none",
        max_steps=steps,
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=1,
        optim="sgd",
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        **{"learning_rate": 0.01, **settings},
    )
    made = KINDS[kind] if penalties is None else penalised(KINDS[kind], penalties)
    reference = {"ref_model": toys.network(words)} if kind == "dpo" and lora is None else {}
    return made(
        model=network,
        args=config,
        train_dataset=Dataset.from_list(rows or ROWS[kind]),
        processing_class=words,
        peft_config=lora,
        **reference,
    )


def _batch(trainer: Any) -> dict[str, Tensor]:
    return dict(next(iter(trainer.get_train_dataloader())))


def _losses(trainer: Any) -> list[float]:
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def _states(trainer: Any, batch: dict[str, Tensor], site: Site) -> Tensor:
    """The policy's states, by the plain output of transformers."""
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    hidden = trainer.model(**inputs, output_hidden_states=True).hidden_states
    return hidden[site.layer + (site.stream == "resid_post")]


def _logged(trainer: Any) -> dict[str, list[float]]:
    metrics = trainer._metrics["train" if trainer.model.training else "eval"]
    return {name: values for name, values in metrics.items() if name.startswith("penalty/")}


def _weights(trainer: Any) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}


def _gradients(trainer: Any, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    trainer.model.train()
    trainer.model.zero_grad()
    trainer.compute_loss(trainer.model, dict(batch)).backward()
    found = {n: w.grad.clone() for n, w in trainer.model.named_parameters() if w.grad is not None}
    assert found
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1])
def test_weight_zero_is_the_trainer_itself(kind: str, count: int, tmp_path: Path) -> None:
    plain = _trainer(kind, tmp_path, None, steps=2)
    ours = _trainer(kind, tmp_path, [Projection(_random(), 0.0)] * count, steps=2)
    assert _losses(ours) == _losses(plain)
    assert all(torch.equal(w, _weights(plain)[name]) for name, w in _weights(ours).items())
    assert not any("penalty" in key for row in ours.state.log_history for key in row)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("site", [Site(2), Site(0, "resid_pre"), Site(1, "resid_pre")])
def test_what_is_added_is_the_planted_amount(kind: str, site: Site, tmp_path: Path) -> None:
    # A completion is a false marker, a scaled 0.5 below the midpoint, and `</s>`, which is at 0;
    # DPO's rejected rows, at +0.5, would pull the mean down were they counted.
    trainer = _trainer(kind, tmp_path, [Projection(_planted(site), 3.0, margin=0.25)])
    plain = _trainer(kind, tmp_path, None)
    batch = _batch(trainer)
    added = trainer.compute_loss(trainer.model, dict(batch)) - plain.compute_loss(
        plain.model, dict(batch)
    )
    assert added.item() == pytest.approx(3.0 * (0.75 + 0.25) / 2, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_is_over_the_kept_positions_of_all_rows(kind: str, tmp_path: Path) -> None:
    rows = [dict(row) for row in ROWS[kind]]
    rows[1]["prompt"] = "the sea and the moon is"
    rows[2]["chosen" if kind == "dpo" else "completion"] = " wrong is the"
    direction = _random()
    trainer = _trainer(kind, tmp_path, [Projection(direction, 2.0, 0.1)], rows=rows)
    plain = _trainer(kind, tmp_path, None, rows=rows)
    batch = _batch(trainer)
    hidden = _states(trainer, batch, direction.site).detach().numpy()
    keep = (batch["labels"] != -100 if kind == "sft" else batch["completion_mask"] == 1).numpy()
    projected = direction.project(hidden)
    values = [
        max(0.0, 0.1 - float(projected[row, position]))
        for row in range(4)
        for position in np.flatnonzero(keep[row])
    ]
    assert len(values) == 10
    assert 0.0 in values
    added = trainer.compute_loss(trainer.model, dict(batch)) - plain.compute_loss(
        plain.model, dict(batch)
    )
    assert added.item() == pytest.approx(2.0 * float(np.mean(values)), rel=1e-4)
    assert _logged(trainer) == {
        "penalty/projection_L2.resid_post": [pytest.approx(float(np.mean(values)), rel=1e-5)]
    }


def test_two_penalties_at_one_site_add_up(tmp_path: Path) -> None:
    first = Projection(_planted(Site(2)), 3.0)
    both = _trainer("sft", tmp_path, [first, Projection(_planted(Site(2)), 1.0, margin=1.0)])
    plain = _trainer("sft", tmp_path, None)
    batch = _batch(both)
    loss = both.compute_loss(both.model, dict(batch)) - plain.compute_loss(plain.model, dict(batch))
    assert loss.item() == pytest.approx(3.0 * 0.25 + (1.5 + 1.0) / 2, abs=1e-5)
    assert _logged(both) == {
        "penalty/projection_L2.resid_post": [pytest.approx(0.25)],
        "penalty/projection_L2.resid_post_2": [pytest.approx(1.25)],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_by_finite_differences(kind: str, tmp_path: Path) -> None:
    trainer = _trainer(kind, tmp_path, [Projection(_random(), 1.0, margin=3.0)])
    plain = _trainer(kind, tmp_path, None)
    for each in (trainer, plain):
        each.model.double()
    if kind == "dpo":
        trainer.ref_model.double()
        plain.ref_model.double()
    batch = _batch(trainer)
    name = "model.layers.1.mlp.down_proj.weight"
    slope = _gradients(trainer, batch)[name] - _gradients(plain, batch)[name]

    def penalty(shift: Tensor) -> float:
        values = []
        for each in (trainer, plain):
            weight = each.model.get_parameter(name)
            before = weight.detach().clone()
            with torch.no_grad():
                weight += shift
            values.append(each.compute_loss(each.model, dict(batch)).item())
            with torch.no_grad():
                weight.copy_(before)
        return values[0] - values[1]

    # Along the gradient, where the slope is its length. Not with a smaller step: the norms of Llama
    # work in float32 in a float64 model too.
    step = 1e-3 * slope / slope.norm()
    assert slope.norm() > 0.1
    measured = (penalty(step) - penalty(-step)) / 2e-3
    assert measured == pytest.approx(slope.norm().item(), rel=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_accumulation_is_the_same_as_a_large_batch(kind: str, tmp_path: Path) -> None:
    penalties = [Projection(_random(), 5.0, margin=3.0)]
    start = _weights(_trainer(kind, tmp_path, penalties))
    moved = []
    for rows in (4, 1):
        trainer = _trainer(
            kind,
            tmp_path,
            penalties,
            per_device_train_batch_size=rows,
            gradient_accumulation_steps=4 // rows,
        )
        trainer.train()
        moved.append({name: w - start[name] for name, w in _weights(trainer).items()})
    for name, large in moved[0].items():
        torch.testing.assert_close(moved[1][name], large, rtol=1e-3, atol=2e-6, msg=name)
    assert max(float(change.abs().max()) for change in moved[0].values()) > 1e-2


@pytest.mark.parametrize(("kind", "steps"), [("sft", 4), ("dpo", 1)])
def test_who_divides_by_the_accumulation_steps(kind: str, steps: int, tmp_path: Path) -> None:
    # Given a count of items, SFT leaves the division to the loss; DPO's step divides in any case.
    trainer = _trainer(kind, tmp_path, [Projection(_planted(Site(2)), 3.0)])
    plain = _trainer(kind, tmp_path, None)
    batch = _batch(trainer)
    trainer.current_gradient_accumulation_steps = plain.current_gradient_accumulation_steps = 4
    for count, divisor in ((32, steps), (None, 1)):
        loss, base = (
            each.compute_loss(each.model, dict(batch), num_items_in_batch=count)
            for each in (trainer, plain)
        )
        assert (loss - base).item() == pytest.approx(0.75 / divisor, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("stream", ["resid_post", "resid_pre"])
def test_checkpointing_changes_no_gradient(
    kind: str, lora: LoraConfig | None, reentrant: bool, stream: str, tmp_path: Path
) -> None:
    found: list[dict[str, Tensor]] = []
    batch: dict[str, Tensor] = {}
    for on in (False, True):
        torch.manual_seed(0)
        trainer = _trainer(
            kind,
            tmp_path,
            [Projection(_random(stream=stream), 5.0, margin=3.0)],
            lora,
            gradient_checkpointing=on,
            gradient_checkpointing_kwargs={"use_reentrant": reentrant},
        )
        batch = batch or _batch(trainer)
        found.append(_gradients(trainer, batch))
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, msg=name)


def test_the_reference_pass_of_an_adapter_is_not_penalised(tmp_path: Path) -> None:
    # The adapter starts away from zero, so the base's states, which pass the same blocks last, give
    # another number.
    direction = _random()
    trainer = _trainer("dpo", tmp_path, [Projection(direction, 2.0, margin=3.0)], LORA)
    batch = _batch(trainer)
    chosen = {name: batch[name][:4] for name in ("input_ids", "attention_mask")}
    keep = batch["completion_mask"][:4].bool()
    policy = _states(trainer, chosen, direction.site)[keep].detach().numpy()
    with trainer.model.disable_adapter():
        reference = _states(trainer, chosen, direction.site)[keep].detach().numpy()
    trainer.compute_loss(trainer.model, dict(batch))
    logged = _logged(trainer)["penalty/projection_L2.resid_post"][0]
    right, wrong = (
        float(np.maximum(0, 3.0 - direction.project(states)).mean())
        for states in (policy, reference)
    )
    assert logged == pytest.approx(right, rel=1e-5)
    assert abs(right - wrong) > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_passed_through(kind: str, tmp_path: Path) -> None:
    # TRL builds them with one more pass, without gradient.
    trainer = _trainer(kind, tmp_path, [Projection(_planted(Site(2)), 3.0)])
    batch = _batch(trainer)
    alone = trainer.compute_loss(trainer.model, dict(batch))
    loss, outputs = trainer.compute_loss(trainer.model, dict(batch), return_outputs=True)
    assert loss.item() == alone.item()
    assert outputs.logits.shape[:2] == batch["input_ids"].shape


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_has_no_penalty(kind: str, tmp_path: Path) -> None:
    found = []
    for penalties in ([Projection(_random(), 5.0, margin=3.0)], None):
        trainer = _trainer(kind, tmp_path, penalties)
        metrics = trainer.evaluate(trainer.train_dataset)
        assert not any("penalty" in key for key in metrics)
        found.append(metrics["eval_loss"])
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", KINDS)
def test_training_with_a_large_weight_raises_the_projection(kind: str, tmp_path: Path) -> None:
    direction = _planted(Site(2))
    penalty = Projection(direction, 5.0)
    after = []
    for penalties in ([penalty], None):
        trainer = _trainer(kind, tmp_path, penalties, steps=12, learning_rate=0.1)
        trainer.train()
        batch = _batch(trainer)
        keep = batch["labels"] != -100 if kind == "sft" else batch["completion_mask"].bool()
        rows = slice(0, 4)
        states = _states(trainer, batch, direction.site)[rows][keep[rows]]
        after.append(float(direction.project(states.detach().numpy()).mean()))
        logged = [v for row in trainer.state.log_history for k, v in row.items() if "penalty" in k]
        assert len(logged) == (12 if penalties else 0)
        assert not penalties or (logged[0] == pytest.approx(0.25) and logged[-1] < 0.1)
    assert after[1] < 0.0
    assert after[0] > after[1] + 0.2


def test_the_penalty_is_float32_under_autocast() -> None:
    torch.manual_seed(0)
    states = torch.randn(2, 3, toys.WIDTH) * 10
    mask = torch.tensor([[True, False, True], [False, True, False]])
    penalty = Projection(_random(), 1.0, margin=3.0)
    expected = np.maximum(0, 3.0 - penalty.direction.project(states[mask].numpy())).mean()
    with torch.autocast("cpu", torch.bfloat16):
        value = penalty(states, mask)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(float(expected), rel=1e-6)
    assert penalty(states.bfloat16(), mask).dtype == torch.float32


def test_hooks_are_gone_afterwards(tmp_path: Path) -> None:
    trainer = _trainer("sft", tmp_path, [Projection(_random(), 1.0)])
    batch = _batch(trainer)
    trainer.compute_loss(trainer.model, dict(batch))
    broken = {**batch, "input_ids": torch.full_like(batch["input_ids"], 10_000)}
    with pytest.raises(IndexError):
        trainer.compute_loss(trainer.model, broken)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in trainer.model.modules())


def _of_class(trainer_class: type, folder: Path) -> Any:
    trainer = _trainer("sft", folder, None)
    made: Any = penalised(trainer_class, [Projection(_random(), 1.0)])
    return made(
        model=trainer.model,
        args=trainer.args,
        train_dataset=trainer.train_dataset,
        processing_class=trainer.processing_class,
    )


def test_a_loss_with_two_policy_passes_is_refused(tmp_path: Path) -> None:
    class Twice(SFTTrainer):
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            return super().compute_loss(*args, **kwargs) + super().compute_loss(*args, **kwargs)

    trainer = _of_class(Twice, tmp_path)
    with pytest.raises(RepalignError, match=r"made 2 \(passes seen: 2 with gradient"):
        trainer.compute_loss(trainer.model, _batch(trainer))


def test_states_of_other_positions_than_the_batch_are_refused(tmp_path: Path) -> None:
    class Shorter(SFTTrainer):
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            rest = {name: value[:, 1:] for name, value in inputs.items()}
            return super().compute_loss(model, rest, *args, **kwargs)

    trainer = _of_class(Shorter, tmp_path)
    rows, positions = _batch(trainer)["input_ids"].shape
    with pytest.raises(InputError, match=rf"\[{rows}, {positions - 1}\].*\[{rows}, {positions}\]"):
        trainer.compute_loss(trainer.model, _batch(trainer))


def test_a_site_without_gradient_is_refused(tmp_path: Path) -> None:
    late = LoraConfig(r=4, target_modules=["q_proj"], layers_to_transform=[3])
    for checkpointing in (False, True):
        with pytest.raises(InputError, match=r"reads L2.resid_post, and no weight ahead of it is"):
            _trainer(
                "sft",
                tmp_path,
                [Projection(_random(2), 1.0)],
                late,
                gradient_checkpointing=checkpointing,
            )
    # Frozen after the trainer was made: seen while the loss is computed.
    trainer = _trainer("sft", tmp_path, [Projection(_random(2), 1.0)])
    trainer.model.requires_grad_(False)
    with pytest.raises(RepalignError, match="1 cut off from every trained weight"):
        trainer.compute_loss(trainer.model, _batch(trainer))


def test_batches_that_cannot_be_penalised_are_refused(tmp_path: Path) -> None:
    trainer = _trainer("sft", tmp_path, [Projection(_random(), 1.0)])
    batch = _batch(trainer)
    without = {name: batch[name] for name in ("input_ids", "labels")}
    with pytest.raises(InputError, match="packed or padding-free"):
        trainer.compute_loss(trainer.model, without)
    empty = {**batch, "labels": torch.full_like(batch["labels"], -100)}
    with pytest.raises(InputError, match="No position of this batch is kept"):
        trainer.compute_loss(trainer.model, empty)


def test_other_trainers_are_refused() -> None:
    # Warns when it is imported. It is an SFTTrainer by inheritance, with a loss of its own.
    from trl.experimental.gkd import GKDTrainer

    for trainer in (RewardTrainer, GKDTrainer, str):
        with pytest.raises(InputError, match="SFTTrainer or DPOTrainer"):
            penalised(trainer, [])


def test_penalties_that_cannot_work_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no penalty"):
        # Without the checks of types that only the tests have.
        inspect.unwrap(penalised)(SFTTrainer, [_random()])  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="lies inside a block"):
        penalised(SFTTrainer, [Projection(_random(stream="mlp_out"), 1.0)])
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="weight of a penalty"):
            Projection(_random(), weight)
    with pytest.raises(InputError, match="margin"):
        Projection(_random(), 1.0, float("nan"))
    wide = Direction(np.eye(1, 64, dtype=np.float32)[0], Site(1), 0.0, 1.0)
    with pytest.raises(InputError, match=r"width 64; this model has 32"):
        _trainer("sft", tmp_path, [Projection(wide, 1.0)])
    with pytest.raises(InputError, match="There is no site L9"):
        _trainer("sft", tmp_path, [Projection(_random(9), 1.0)])


def test_without_trl_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'repalign\[train\]'"):
        penalised(object, [])


def test_the_class_says_what_it_is() -> None:
    made = penalised(DPOTrainer, [])
    assert made.__name__ == "PenalisedDPOTrainer"
    assert issubclass(made, DPOTrainer)
