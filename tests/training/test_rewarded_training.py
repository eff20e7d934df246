"""Trainings with rewards: whole runs, their records, the warning, and what is refused."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import policies
import pytest
import toy as toys
import trainers as tr
from policies import PLAIN, policy, rewarded, tokens, uneven

from repalign.errors import InputError, RepalignError
from repalign.readouts import Readout
from repalign.spans import Span
from repalign.training import (
    Combined,
    KnowledgeAware,
    LieDetector,
    ProbeReward,
    Projection,
    Retain,
)

# Of TRL and what it stands on; our own warning is asked for below.
pytestmark = pytest.mark.filterwarnings("ignore")

DETECTOR = LieDetector(policies.planted())


@pytest.mark.parametrize(("kind", "conversational"), [("grpo", True), ("rloo", False)])
def test_a_whole_training(kind: str, conversational: bool, tmp_path: Path) -> None:
    rewards = [DETECTOR, Combined((KnowledgeAware(), uneven), (1.0, 0.1)), uneven]
    data = policies.chat(PLAIN) if conversational else PLAIN
    made = policy(
        kind, tmp_path, rewards, data, reward_weights=[1.0, 0.5, 0.25], steps=3,
        penalties=[Projection(tr.planted(), 0.1, 5.0)], gradient_accumulation_steps=2,
        save_strategy="steps", save_steps=2,
    )  # fmt: skip
    made.train()
    logged = [row for row in made.state.log_history if "loss" in row]
    assert len(logged) == 3
    for row in logged:
        means = [row[f"rewards/{name}/mean"] for name in ("lie_detector", "combined", "uneven")]
        whole = means[0] + 0.5 * means[1] + 0.25 * means[2]
        assert row["reward"] == pytest.approx(whole, abs=1e-5)
        assert {"lie_detector/score", "combined/knowledge_aware", "kl"} <= set(row)
    record = made.penalty_record["rewards"]
    assert [one["reward"].rsplit(".", 1)[-1] for one in record] == [
        "LieDetector", "Combined", "uneven",
    ]  # fmt: skip
    ours = {"weights": "frozen", "scored_by": "the model with its adapter off", "threshold": 0.0}
    assert ours.items() <= record[0].items()
    assert record[0]["judge"] == "repalign.training.rewards.deception.says_what_is_false"
    assert record[0]["readout"]["fingerprint"] == DETECTOR.readout.fingerprint
    saved = json.loads((tmp_path / "checkpoint-2" / "penalties.json").read_text())
    assert saved["rewards"] == json.loads(json.dumps(record))
    if kind == "grpo":
        changed = [replace(DETECTOR, undetected=-1.0), *rewards[1:]]
        other = policy(
            kind, tmp_path, changed, data, penalties=[Projection(tr.planted(), 0.1, 5.0)]
        )
        with pytest.raises(InputError, match="trained with other rewards"):
            other.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_without_a_probe_or_a_penalty_no_record_is_kept(tmp_path: Path) -> None:
    made = policy("grpo", tmp_path, uneven, save_strategy="steps", save_steps=1)
    made.train()
    assert "rewards" not in made.penalty_record
    assert not (tmp_path / "checkpoint-1" / "penalties.json").exists()


# The leash.


@pytest.mark.parametrize(
    ("rewards", "penalties", "beta", "warned"),
    [
        (DETECTOR, (), 0.0, "lie_detector"),
        (Combined((ProbeReward(policies.planted()),)), (), 0.0, "probe_reward"),
        (uneven, (Projection(tr.planted(), 1.0),), 0.0, "projection_L2.resid_post"),
        (DETECTOR, (), 0.1, None),
        (KnowledgeAware(), (), 0.0, None),
        (uneven, (Projection(tr.planted(), 0.0),), 0.0, None),
        (uneven, (Retain(tr.planted(), 1.0),), 0.0, None),
    ],
)
def test_a_probe_in_the_loop_without_a_leash_is_warned_of(
    rewards: Any, penalties: Any, beta: float, warned: str | None, tmp_path: Path
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        policy("rloo" if penalties else "grpo", tmp_path, rewards, penalties=penalties, beta=beta)
    ours = [one for one in caught if "beta=0" in str(one.message)]
    assert len(ours) == (warned is not None)
    if warned is not None:
        assert f"has beta=0 while {warned} trains against a probe" in str(ours[0].message)
        assert "Set beta=0.1" in str(ours[0].message)


# What cannot work.


def test_a_detector_has_a_threshold_for_what_it_reads() -> None:
    with pytest.raises(InputError, match="no threshold, so it flags nothing"):
        LieDetector(policies.planted(threshold=None))
    with pytest.raises(InputError, match="0 is for the mean over span 'answer', not for the top-5"):
        LieDetector(policies.planted(), aggregate="top-5")
    with pytest.raises(InputError, match="not for the mean over span 'last'"):
        LieDetector(policies.planted(), span="last")
    assert LieDetector(policies.planted(), span="last", threshold=0.3).threshold == 0.3
    with pytest.raises(InputError, match=r"fitted on span 'all'.*answer, assistant, last"):
        LieDetector(policies.planted("all"))
    with pytest.raises(InputError, match="finite numbers"):
        LieDetector(policies.planted(), undetected=float("nan"))
    with pytest.raises(InputError, match="clip of probe_reward"):
        ProbeReward(policies.planted(), clip=0.0)


def test_what_reads_the_model_belongs_to_a_trainer(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"belongs to no trainer.*penalised\(GRPOTrainer, \[\]\)"):
        DETECTOR(["a"], ["b"], [[1]], answers=[["b"]])
    plain = policy("grpo", tmp_path, Combined((DETECTOR,)), penalties=None)
    with pytest.raises(InputError, match="belongs to no trainer"):
        rewarded(plain, PLAIN[:2], [tokens("true")] * 2)
    with pytest.raises(InputError, match="belongs to no trainer"):
        DETECTOR.attach(plain)
    made = policy("grpo", tmp_path, DETECTOR)
    rewarded(made, PLAIN[:2], [tokens("true")] * 2)
    (ours,) = made.reward_funcs
    with pytest.raises(RepalignError, match="was given others"):
        ours(["a"] * 2, ["b"] * 2, [tokens("false")] * 2, answers=[["b"]] * 2)
    with pytest.raises(InputError, match="come with images"):
        ours(["a"] * 2, ["b"] * 2, [tokens("true")] * 2, images=[[], []])


def test_models_that_cannot_score(tmp_path: Path) -> None:
    narrow = Readout(policies.planted().sites, np.ones((1, 8)), 0.0, Span("answer"), 0.0)
    with pytest.raises(InputError, match=r"width 8 at L2\.resid_post; this model has 32"):
        policy("grpo", tmp_path, LieDetector(narrow))
    with pytest.raises(InputError, match=r'keeps none.*reference="copy"'):
        policy("grpo", tmp_path, DETECTOR, lora=None, beta=0.0)
    foreign = replace(policies.planted(), origin=MappingProxyType({"weights": "other"}))
    with pytest.raises(InputError, match="lie_detector was fitted on"):
        policy("grpo", tmp_path, LieDetector(foreign))
    policy("grpo", tmp_path, LieDetector(foreign), options={"same_weights": False})


def test_a_reference_that_moves_is_not_before_training(tmp_path: Path) -> None:
    words = toys.tokenizer()
    saved = toys.network(words)
    saved.save_pretrained(tmp_path / "base")
    model = type(saved).from_pretrained(tmp_path / "base")
    settings: dict[str, Any] = {"lora": None, "model": model, "sync_ref_model": True}
    with pytest.raises(InputError, match="sync_ref_model=True moves"):
        policy("grpo", tmp_path, DETECTOR, **settings)
    made = policy("grpo", tmp_path, DETECTOR, lora=None, model=model)
    assert made.before_training("it").separate is made.ref_model
    assert made.penalty_record["rewards"][0]["scored_by"] == "a frozen model"
