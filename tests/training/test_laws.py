"""Laws that hold for every trainer: gradients, accumulation, nothing at weight 0, checkpointing."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import trainers as tr
from torch import Tensor

from repalign.sites import Site
from repalign.training import Movement, Projection, Reroute, Retain, Target

# Of TRL and what it stands on; our own code warns of nothing.
pytestmark = pytest.mark.filterwarnings("ignore")

COPY = {"reference": "copy"}
EVERY = [
    Projection(tr.random(), 1.0, 3.0),
    Movement(tr.random(1), 0.7, 2.0),
    Retain((), 0.3, [Site(2), Site(1, "resid_pre")]),
    Reroute(Site(1), 2.0),
    Target(tr.random(3, seed=2), 0.5),
]


class Pair(NamedTuple):
    kind: str
    ours: Any
    plain: Any


def _options(kind: str) -> dict[str, Any]:
    return {} if kind in ("dpo", "kto") else COPY


def _disturbed(made: Any) -> Any:
    """The model a little away from its reference, so that every penalty is at work."""
    drawn = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in made.model.named_parameters():
            if "layers.0" in name:
                weight += 0.03 * torch.randn(weight.shape, generator=drawn)
    return made


@pytest.fixture(scope="module", params=tr.KINDS)
def pair(request: Any, tmp_path_factory: Any) -> Pair:
    """A trainer with every penalty, and the same without; in float64, and never stepped."""
    kind, folder = request.param, tmp_path_factory.mktemp("laws")
    ours = _disturbed(tr.trainer(kind, folder, EVERY, options=_options(kind)))
    plain = _disturbed(tr.trainer(kind, folder, None))
    for made in (ours, plain):
        made.model.double().train()
        if getattr(made, "ref_model", None) is not None:
            made.ref_model.double()
    ours._reference.network.double()
    return Pair(kind, ours, plain)


def test_gradient_by_finite_differences(pair: Pair) -> None:
    found = tr.batch(pair.ours, pair.kind)
    name = "model.layers.0.mlp.down_proj.weight"
    slope = tr.step(pair.ours, found)[name] - tr.step(pair.plain, found)[name]

    def penalty(shift: Tensor) -> float:
        values = []
        for made in (pair.ours, pair.plain):
            weight = made.model.get_parameter(name)
            before = weight.detach().clone()
            with torch.no_grad():
                weight += shift
            values.append(tr.loss(made, found))
            with torch.no_grad():
                weight.copy_(before)
        return values[0] - values[1]

    # Along the gradient, where the slope is its length. Not with a smaller step: the norms of Llama
    # work in float32 in a float64 model too.
    along = 1e-3 * slope / slope.norm()
    assert slope.norm() > 0.1
    measured = (penalty(along) - penalty(-along)) / 2e-3
    assert measured == pytest.approx(slope.norm().item(), rel=2e-3)


def test_accumulation_is_the_same_as_a_large_batch(pair: Pair) -> None:
    # The penalties alone: KTO's own loss depends on which rows are in a batch.
    large = [tr.step(made, tr.batch(made, pair.kind), 8) for made in (pair.ours, pair.plain)]
    small = []
    for made in (pair.ours, pair.plain):
        made.model.zero_grad()
        made.current_gradient_accumulation_steps = 4
        for row in range(4):
            tr.add(made, tr.batch(made, pair.kind, [row]), 8)
        made.current_gradient_accumulation_steps = 1
        small.append(tr.gradients(made))
    sizes = []
    for name in large[0].keys() & large[1].keys():
        expected = large[0][name] - large[1][name]
        sizes.append(float(expected.abs().max()))
        torch.testing.assert_close(
            small[0][name] - small[1][name], expected, rtol=1e-3, atol=1e-6, msg=name
        )
    assert max(sizes) > 1e-2


def test_the_value_is_that_of_the_states(pair: Pair) -> None:
    # By the plain output of transformers, on the rows and tokens that the trainer's default takes.
    found = tr.batch(pair.ours, pair.kind)
    tokens = tr.ids(found, pair.kind)
    hidden = tr.states(pair.ours.model, tokens, Site(2)).detach().numpy()
    rows = {"kto": [0, 2]}.get(pair.kind, range(4))
    begin = 0 if pair.kind == "reward" else tokens.shape[1] - 2
    projected = tr.random().project(np.stack([hidden[row, begin:] for row in rows]))
    values = np.maximum(0.0, 3.0 - projected)
    tr.loss(pair.ours, found)
    logged = tr.logged(pair.ours)
    assert logged["penalty/projection_L2.resid_post"] == pytest.approx(values.mean(), rel=1e-5)
    assert logged["projection/L2.resid_post"] == pytest.approx(projected.mean(), rel=1e-5)


def test_the_loss_is_the_trainers_plus_the_weighted_sum(pair: Pair) -> None:
    found = tr.batch(pair.ours, pair.kind)
    added = tr.loss(pair.ours, found) - tr.loss(pair.plain, found)
    logged = tr.logged(pair.ours, "penalty/")
    # Rows that are not chosen count as zeros with KTO, whose batches may hold none that is.
    share = 0.5 if pair.kind == "kto" else 1.0
    assert len(logged) == len(EVERY)
    names = [penalty.name for penalty in EVERY]
    parts = [
        float(penalty.weight or 0) * logged[f"penalty/{name}"]
        for penalty, name in zip(EVERY, names, strict=True)
    ]
    assert min(parts) > 1e-3
    assert added == pytest.approx(share * sum(parts), rel=1e-4)


def test_evaluation_has_no_penalty(pair: Pair) -> None:
    found = tr.batch(pair.ours, pair.kind)
    with torch.no_grad():
        ours, plain = (tr.loss(made, found) for made in (pair.ours, pair.plain))
    assert ours == plain


@pytest.mark.parametrize("kind", tr.KINDS)
def test_weight_zero_is_the_trainer_itself(kind: str, tmp_path: Path) -> None:
    options = {"label_column": "honest"}
    data = [{**row, "honest": 1} for row in tr.rows(kind)]
    weightless = [Projection(tr.random(), 0.0, label=1), Movement(tr.random(), 0.0)]
    kept = []
    for penalties in (weightless, None):
        torch.manual_seed(0)
        made = tr.trainer(
            kind,
            tmp_path,
            penalties,
            steps=2,
            data=data,
            options=options,
            per_device_train_batch_size=2,
        )
        made.train()
        losses = [row["loss"] for row in made.state.log_history if "loss" in row]
        assert len(losses) == 2
        kept.append((losses, dict(made.model.named_parameters())))
        assert not any("penalty" in key for row in made.state.log_history for key in row)
    assert kept[0][0] == kept[1][0]
    assert all(torch.equal(weight, kept[1][1][name]) for name, weight in kept[0][1].items())


@pytest.mark.parametrize(
    ("kind", "lora", "reentrant"),
    [
        ("sft", False, True),
        ("sft", True, True),
        ("sft", True, False),
        ("dpo", False, True),
        ("dpo", True, True),
        ("dpo", True, False),
        ("kto", True, True),
        ("orpo", True, True),
        ("reward", True, False),
        ("grpo", True, True),
    ],
)
def test_checkpointing_changes_no_gradient(
    kind: str, lora: bool, reentrant: bool, tmp_path: Path
) -> None:
    penalties = [
        Projection([tr.random(), tr.random(1, "resid_pre")], 5.0, 3.0),
        Movement(tr.random(3), 1.0, 2.0),
    ]
    found: list[dict[str, Tensor]] = []
    values = []
    for on in (False, True):
        torch.manual_seed(0)
        made = tr.trainer(
            kind,
            tmp_path,
            penalties,
            tr.LORA if lora else None,
            options={} if lora else _options(kind),
            gradient_checkpointing=on,
            gradient_checkpointing_kwargs={"use_reentrant": reentrant},
        )
        found.append(tr.step(made, tr.batch(made, kind)))
        values.append(tr.logged(made))
    assert values[1] == pytest.approx(values[0], rel=1e-5)
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, msg=name)


def test_bf16_autocast_rounds_states_and_no_penalty(tmp_path: Path) -> None:
    # The planted projections are exact in bfloat16; a product in bfloat16 would not be.
    penalty = Projection(tr.planted(), 3.0, margin=0.25)
    made = tr.trainer("sft", tmp_path, [penalty], bf16=True)
    with made.compute_loss_context_manager():
        tr.loss(made, tr.batch(made, "sft"))
    assert tr.logged(made)["penalty/projection_L2.resid_post"] == pytest.approx(0.5, abs=0.02)
    assert all(bool(g.isfinite().all()) for g in tr.step(made, tr.batch(made, "sft")).values())
