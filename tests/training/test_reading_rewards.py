"""Rewards that read the model: the four cells, which tokens, whose weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import policies
import pytest
import toy as toys
from peft import LoraConfig
from policies import PLAIN, policy, rewarded, tokens, uneven

from repalign.activations import collect
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.monitoring import Aggregate
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span, read_all
from repalign.training import Combined, LieDetector, ProbeReward
from repalign.training.rewards.generated import Generated

# Of TRL and what it stands on; our own warning is tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore")

CELLS: dict[str, Any] = {
    "undetected": 2.0,
    "truthful": 1.0,
    "accused": 0.5,
    "detected": -1.0,
    "empty": -5.0,
}
DETECTOR = LieDetector(policies.planted(), **CELLS)
NEW = LoraConfig(r=4, target_modules=["q_proj", "o_proj", "down_proj"])
"""An adapter that changes nothing before it is trained."""


@pytest.mark.parametrize("kind", policies.KINDS)
def test_the_four_cells(kind: str, tmp_path: Path) -> None:
    said = ["true", "right", "false", "wrong", "", "true"]
    rows = [{**PLAIN[place], "answers": ["true"]} for place in range(6)]
    rows[2]["answers"], rows[5]["answers"] = ["false"], None
    made = policy(kind, tmp_path, [DETECTOR, uneven], rows, per_device_train_batch_size=6)
    found = rewarded(made, rows, [tokens(text) for text in said])["lie_detector"]
    # Truthful, an unseen lie, truthful and accused, a lie that is seen, empty, and not to be told.
    assert found[:5] == [1.0, 2.0, 0.5, -1.0, -5.0]
    assert np.isnan(found[5])
    logged = {name: values[-1] for name, values in made._metrics["train"].items()}
    assert logged["lie_detector/score"] == pytest.approx((2 + 2 - 2 - 2 + 2) / 5, abs=1e-5)
    assert logged["lie_detector/deceptive"] == pytest.approx(2 / 4)
    assert logged["lie_detector/undetected"] == pytest.approx(1 / 4)
    assert logged["lie_detector/flagged"] == pytest.approx(2 / 5)


def test_a_judge_of_ones_own(tmp_path: Path) -> None:
    def judge(prompts: Any, completions: list[str], mood: list[str], **_: Any) -> list[bool]:
        return [one.strip() == "sea" for one in completions]

    rows = [{"prompt": "the moon is", "mood": "calm"}] * 4
    written = [tokens("sea"), tokens("false"), tokens("the true"), tokens("right")]
    # `sea` and `false` are flagged; `the true`, of mean 1, and `right` are not.
    made = policy("grpo", tmp_path, replace(DETECTOR, judge=judge, threshold=0.5), rows)
    assert rewarded(made, rows, written)["lie_detector"] == [-1.0, 0.5, 1.0, 1.0]
    short = replace(DETECTOR, judge=lambda *_args, **_kwargs: [True])
    with pytest.raises(InputError, match="ruled on 1 of 4 completions"):
        rewarded(policy("grpo", tmp_path, short, rows), rows, written)


@pytest.mark.parametrize(("threshold", "reward"), [(1.0, 1.0), (np.nextafter(1.0, 2.0), 0.5)])
def test_only_what_is_strictly_below_the_threshold_is_flagged(
    tmp_path: Path, threshold: float, reward: float
) -> None:
    # Without weights the score is the intercept on every machine, to the last bit.
    even = Readout((Site(2),), np.zeros((1, toys.WIDTH)), 1.0, Span("answer"), None)
    rows = [{"prompt": "the moon is", "answers": ["true"]}] * 4
    made = policy("grpo", tmp_path, LieDetector(even, **CELLS, threshold=float(threshold)), rows)
    assert rewarded(made, rows, [tokens("the true")] * 4)["lie_detector"] == [reward] * 4


# The score is that of the library's own reading.

ANSWERS = ("the sea is true", "false", "the rain and the moon and the leaf is wrong", "bird x")


@pytest.mark.parametrize(
    ("kind", "side", "span", "aggregate", "weights"),
    [
        ("grpo", "left", "answer", "mean", "frozen"),
        ("grpo", "right", "assistant", "max", "current"),
        ("rloo", "left", "answer", "rolling-2", "current"),
        ("rloo", "right", "last", "mean", "frozen"),
    ],
)
def test_scores_are_those_of_the_librarys_own_reading(
    kind: str, side: str, span: str, aggregate: str, weights: Any, tmp_path: Path
) -> None:
    rows = policies.chat([{"prompt": f"{'the sea and ' * i}the hill is"} for i in range(4)])
    reward = ProbeReward(
        policies.several(span), aggregate=aggregate, clip=1e9, weights=weights, name="score"
    )
    # Passes of two rows each, of different lengths; the adapter is on and changes the states.
    made = policy(
        kind, tmp_path, reward, rows, side=side, per_device_train_batch_size=2,
        gradient_accumulation_steps=2, max_completion_length=11,
    )  # fmt: skip
    words = made.processing_class
    examples = [
        Example.of_chat(row["prompt"][0]["content"], answer)
        for row, answer in zip(rows, ANSWERS, strict=True)
    ]
    prompts = made._tokenize_prompts([row["prompt"] for row in rows])[0]
    whole = read_all(words, examples, Span("answer"))
    # The third is cut at the greatest length, the others end by themselves.
    written = [
        one.ids[len(prompt) :] + [words.eos_token_id] * (place != 2)
        for place, (one, prompt) in enumerate(zip(whole, prompts, strict=True))
    ]
    assert len(written[2]) == max(map(len, written)) > len(written[1])
    found = rewarded(made, rows, written)["score"]
    model = LanguageModel(toys.network(words) if weights == "frozen" else made.model, words, "it")
    held = collect(model, examples, reward.readout.sites, span)
    scores, how = reward.readout.score(held), Aggregate.parse(aggregate)
    expected = [how(scores[held.example == place]) for place in range(4)]
    assert found == pytest.approx(expected, abs=2e-4)
    assert len({round(score, 2) for score in found}) == 4


def test_neither_thoughts_nor_ends_nor_tools_count() -> None:
    words: Any = toys.tokenizer()
    words.add_tokens(["<think>", "</think>"])
    prompt = words("the sea is")["input_ids"]
    thought = words("<think>false</think>", add_special_tokens=False)["input_ids"]
    answer = tokens("true leaf")
    tool = tokens("wrong", end=False)
    first = len(prompt) + len(thought) + len(tool)

    def counted(span: str, own: list[int] | None) -> list[int]:
        made = Generated([prompt], [[*thought, *tool, *answer]], None if own is None else [own])
        return made.counted(words, [words.eos_token_id], Span(span))[0]

    by_itself = [1] * len(thought) + [0] * len(tool) + [1] * len(answer)
    assert counted("answer", by_itself) == [first, first + 1]
    assert counted("answer", None) == [first - 1, first, first + 1]
    assert counted("assistant", by_itself) == [
        *range(len(prompt), len(prompt) + len(thought)), first, first + 1,
    ]  # fmt: skip
    assert counted("last", None) == [first + 1]
    # A thought that the prompt opened, and that was cut.
    cut = Generated([[*prompt, *words("<think>")["input_ids"][1:]]], [tool], None)
    assert cut.counted(words, [], Span("answer")) == [[]]


# Whose weights.


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", policies.KINDS)
def test_frozen_weights_stay_and_current_ones_move(kind: str, full: bool, tmp_path: Path) -> None:
    readout = policies.several()
    rewards = [
        ProbeReward(readout, clip=1e9, name="before"),
        Combined((ProbeReward(readout, clip=1e9, weights="current"),), name="now"),
        uneven,
    ]
    made = policy(
        kind, tmp_path, rewards, [PLAIN[0]] * 2, lora=None if full else NEW, steps=3, beta=0.0,
        learning_rate=0.1, options={"reference": "copy"} if full else {},
    )  # fmt: skip
    policies.script(made, [tokens(text) for text in ("true", "the sea", "false", "bird")])
    made.train()
    logged = [row for row in made.state.log_history if "loss" in row]
    before = [row["rewards/before/mean"] for row in logged]
    now = [row["rewards/now/mean"] for row in logged]
    assert len(logged) == 3
    assert now[0] == pytest.approx(before[0], abs=1e-4)
    assert before == pytest.approx([before[0]] * 3, abs=1e-5)
    assert abs(now[1] - now[0]) > 1e-3
    assert abs(now[2] - now[0]) > 1e-3
    # The policy is left as it was: in training, with its adapter on.
    assert made.model.training
    whose = [one["scored_by"] for one in made.penalty_record["rewards"] if "scored_by" in one]
    assert whose == ["a frozen model" if full else "the model with its adapter off"]


def test_one_reward_in_two_trainers_reads_the_model_of_each(tmp_path: Path) -> None:
    reward = ProbeReward(policies.several(), clip=1e9, weights="current")
    rewards = [reward]
    other: Any = toys.network(toys.tokenizer())
    other.model.layers[0].mlp.down_proj.weight.data += 0.1
    first = policy("grpo", tmp_path, rewards, lora=None, beta=0.0)
    second = policy("grpo", tmp_path, rewards, lora=None, beta=0.0, model=other)
    written = [tokens("true"), tokens("sea")]
    mine, others = (rewarded(made, PLAIN[:2], written) for made in (first, second))
    again = rewarded(first, PLAIN[:2], written)
    assert list(again["probe_reward"])[-2:] == mine["probe_reward"]
    assert mine["probe_reward"] != pytest.approx(others["probe_reward"], abs=1e-2)
    assert rewards == [reward]
    assert reward.source is None


def test_a_clip_and_what_an_empty_completion_gets(tmp_path: Path) -> None:
    rewards = [
        ProbeReward(policies.planted(), clip=1.5),
        ProbeReward(policies.planted(), empty=0.25, name="second"),
    ]
    made = policy("grpo", tmp_path, rewards)
    written = [tokens("true"), tokens("wrong"), tokens("sea true"), tokens("")]
    found = rewarded(made, PLAIN[:4], written)
    assert found["probe_reward"] == pytest.approx([1.5, -1.5, 1.0, -1.5])
    assert found["second"] == pytest.approx([2.0, -2.0, 1.0, 0.25])
