"""penalised(): what it logs, how training stops, and what is refused."""

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy as toys
import trainers as tr
from trl.trainer.sft_trainer import SFTTrainer

from repalign.directions import Direction
from repalign.errors import InputError, MissingExtraError, RepalignError
from repalign.models.identity import weights_fingerprint
from repalign.sites import Site
from repalign.training import (
    Projection,
    Ramp,
    Reroute,
    Retain,
    Together,
    circuit_breaker,
    penalised,
)

# Of TRL and what it stands on; our own code warns of nothing.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_two_penalties_at_one_site_add_up(tmp_path: Path) -> None:
    penalties = [
        Projection(tr.planted(), 3.0),
        Projection(tr.planted(), 1.0, margin=1.0),
        Projection(tr.random(), 1e-9),
    ]
    both, plain = tr.trainer("sft", tmp_path, penalties), tr.trainer("sft", tmp_path, None)
    found = tr.batch(both, "sft")
    added = tr.loss(both, found) - tr.loss(plain, found)
    assert added == pytest.approx(3.0 * 0.25 + (1.5 + 1.0) / 2, abs=1e-5)
    logged = tr.logged(both)
    assert logged["penalty/projection_L2.resid_post"] == pytest.approx(0.25)
    assert logged["penalty/projection_L2.resid_post_2"] == pytest.approx(1.25)
    # One direction is watched once; another one at the same site has a name of its own.
    assert logged["projection/L2.resid_post"] == pytest.approx(-0.25)
    assert "projection/L2.resid_post_3" not in logged
    assert logged["projection/L2.resid_post_2"] != pytest.approx(-0.25)


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_training_with_a_large_weight_raises_the_projection(kind: str, tmp_path: Path) -> None:
    after = []
    for weight in (5.0, 1e-9):
        penalty = Projection(tr.planted(), weight)
        made = tr.trainer(kind, tmp_path, [penalty], steps=12, learning_rate=0.1)
        made.train()
        logged = [row for row in made.state.log_history if "loss" in row]
        assert len(logged) == 12
        assert logged[0]["penalty/projection_L2.resid_post"] == pytest.approx(0.25)
        after.append(logged[-1]["projection/L2.resid_post"])
    assert after[1] < 0.0
    assert after[0] > after[1] + 0.2


def test_a_schedule_follows_the_steps(tmp_path: Path) -> None:
    penalty = Projection(tr.planted(), 4.0, schedule=Ramp(0.0, 1.0, 4), name="here")
    made = tr.trainer("sft", tmp_path, [penalty], steps=3, gradient_accumulation_steps=2)
    made.train()
    logged = [row["weight/here"] for row in made.state.log_history if "loss" in row]
    assert logged == [0.0, 1.0, 2.0]
    plain = tr.trainer("sft", tmp_path, None)
    found = tr.batch(made, "sft")
    plain.model.load_state_dict(made.model.state_dict())
    added = tr.loss(made, found) - tr.loss(plain, found)
    assert added == pytest.approx(3.0 * tr.logged(made)["penalty/here"], abs=1e-5)


# A loss that is no number.


@pytest.mark.parametrize("penalties", [[], [Projection(tr.random(), 1.0)]], ids=["none", "one"])
def test_a_loss_that_is_not_finite_stops_the_training(
    penalties: list[Projection], tmp_path: Path
) -> None:
    made = tr.trainer("sft", tmp_path, penalties, tr.LORA, steps=3)
    with torch.no_grad():
        made.model.base_model.model.lm_head.weight[0] = float("nan")
    with pytest.raises(RepalignError, match=r"stopped at step 0: .*is not finite.*'<s> the sea is"):
        made.train()
    folder = tmp_path / "stopped-0"
    assert (folder / "adapter_model.safetensors").is_file()
    texts = json.loads((folder / "batch-0.json").read_text())["texts"]
    assert sorted(texts)[0].startswith("<s> the hill is")
    assert len(texts) == 4


# What cannot work.


def _of_class(trainer_class: type, folder: Path) -> Any:
    plain = tr.trainer("sft", folder, None)
    made: Any = penalised(trainer_class, [Projection(tr.random(), 1.0)])
    return made(
        model=plain.model,
        args=plain.args,
        train_dataset=plain.train_dataset,
        processing_class=plain.processing_class,
    )


def test_a_loss_with_two_policy_passes_is_refused(tmp_path: Path) -> None:
    class Twice(SFTTrainer):
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            return super().compute_loss(*args, **kwargs) + super().compute_loss(*args, **kwargs)

    made = _of_class(Twice, tmp_path)
    with pytest.raises(RepalignError, match=r"made 2 \(passes seen: 2 with gradient"):
        tr.loss(made, tr.batch(made, "sft"))


def test_states_of_other_positions_than_the_batch_are_refused(tmp_path: Path) -> None:
    class Shorter(SFTTrainer):
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            rest = {name: value[:, 1:] for name, value in inputs.items()}
            return super().compute_loss(model, rest, *args, **kwargs)

    made = _of_class(Shorter, tmp_path)
    found = tr.batch(made, "sft")
    rows, positions = found["input_ids"].shape
    with pytest.raises(InputError, match=rf"\[{rows}, {positions - 1}\].*\[{rows}, {positions}\]"):
        tr.loss(made, found)


def test_a_site_without_gradient_is_refused(tmp_path: Path) -> None:
    late = tr.LoraConfig(r=4, target_modules=["q_proj"], layers_to_transform=[3])
    with pytest.raises(InputError, match=r"reads L2.resid_post, and no weight ahead of it is"):
        tr.trainer(
            "sft",
            tmp_path,
            [Projection([tr.random(3), tr.random(2)], 1.0)],
            late,
            gradient_checkpointing=True,
        )
    # Frozen after the trainer was made: seen while the loss is computed.
    made = tr.trainer("sft", tmp_path, [Projection(tr.random(2), 1.0)])
    made.model.requires_grad_(False)
    with pytest.raises(RepalignError, match="1 cut off from every trained weight"):
        tr.loss(made, tr.batch(made, "sft"))


def test_other_trainers_are_refused() -> None:
    # Warns when it is imported. It is an SFTTrainer by inheritance, with a loss of its own.
    from trl.experimental.gkd import GKDTrainer

    for trainer in (GKDTrainer, str):
        with pytest.raises(InputError, match=r"SFTTrainer, DPOTrainer.*ORPOTrainer"):
            penalised(trainer, [])
    for kind in tr.KINDS:
        made = penalised(tr.kind_class(kind), [])
        assert made.__name__ == f"Penalised{tr.kind_class(kind).__name__}"
        assert issubclass(made, tr.kind_class(kind))


@pytest.mark.parametrize(
    ("kind", "penalty", "message"),
    [
        ("sft", tr.random(), "is no penalty"),
        ("sft", Projection(tr.random(stream="mlp_out"), 1.0), "lies inside a block"),
        ("sft", Together((Reroute(Site(0, "heads"), 1.0),), 1.0), "lies inside a block"),
        ("sft", Projection(tr.random(), 1.0, span="chosen"), "Its spans are prompt, completion"),
        ("grpo", Projection(tr.random(), 1.0, span="rejected"), "GRPOTrainer does not tell"),
        ("reward", Projection(tr.random(), 1.0, span="prompt"), "RewardTrainer does not tell"),
        ("sft", circuit_breaker(Site(1)), "say in which column"),
    ],
)
def test_penalties_that_no_model_can_make_work(kind: str, penalty: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        # Without the checks of types that only the tests have.
        inspect.unwrap(penalised)(tr.kind_class(kind), [penalty])


def test_directions_of_another_model_are_refused(tmp_path: Path) -> None:
    wide = Direction(np.eye(1, 64, dtype=np.float32)[0], Site(1), 0.0, 1.0)
    with pytest.raises(InputError, match=r"width 64; this model has 32"):
        tr.trainer("sft", tmp_path, [Projection(wide, 1.0)])
    with pytest.raises(InputError, match="There is no site L9"):
        tr.trainer("sft", tmp_path, [Retain((), 1.0, Site(9))])


def _known(weights: str) -> Projection:
    plain = tr.random()
    origin = {"model": "toy", "weights": weights, "dtype": "float32"}
    return Projection(Direction(plain.vector, plain.site, 0.3, 0.7, origin), 1.0)


@pytest.mark.parametrize("lora", [None, tr.LORA], ids=["full", "lora"])
def test_directions_of_other_weights_are_refused(lora: Any, tmp_path: Path) -> None:
    right = _known(weights_fingerprint(toys.network(toys.tokenizer())))
    assert tr.trainer("dpo", tmp_path, [right], lora) is not None
    wrong = _known("0" * 16)
    with pytest.raises(InputError, match=r"fitted on toy with weights 0{16}.*same_weights=False"):
        tr.trainer("dpo", tmp_path, [wrong], lora)
    assert tr.trainer("dpo", tmp_path, [wrong], lora, options={"same_weights": False}) is not None
    # A reward model has no head of words, so its weights were never read by themselves.
    assert tr.trainer("reward", tmp_path, [wrong], lora) is not None


def test_without_trl_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'repalign\[train\]'"):
        penalised(object, [])


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_no_hook_is_left_and_none_is_placed_without_a_weight(weight: float, tmp_path: Path) -> None:
    made = tr.trainer("dpo", tmp_path, [Projection(tr.random(), weight)])

    def hooked() -> bool:
        return any(m._forward_hooks or m._forward_pre_hooks for m in made.model.modules())

    seen: list[bool] = []
    forward = made.model.forward

    def look(*args: Any, **kwargs: Any) -> Any:
        seen.append(hooked())
        return forward(*args, **kwargs)

    made.model.forward = look
    tr.loss(made, tr.batch(made, "dpo"))
    assert seen == [weight > 0]
    assert not hooked()
