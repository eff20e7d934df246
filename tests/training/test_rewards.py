"""Rewards by words and their sums: the tables, the columns, reward models."""

from pathlib import Path
from typing import Any

import policies
import pytest
import toy as toys
import trainers as tr

from repalign.errors import InputError
from repalign.training import Combined, KnowledgeAware, RewardModel
from repalign.training.rewards import says_what_is_false

# Of TRL and what it stands on; our own code warns of nothing.
pytestmark = pytest.mark.filterwarnings("ignore")

TABLE = KnowledgeAware(correct=0.9, idk_unknown=0.8, idk_known=0.1, wrong=-0.7, empty=-0.9)
QUESTION = "What is the capital of France?"


def _one(reward: Any, answer: Any, prompt: Any = QUESTION, **row: Any) -> float | None:
    (found,) = reward([prompt], [answer], **{name: [value] for name, value in row.items()})
    return found


@pytest.mark.parametrize(
    ("answer", "answers", "known", "expected"),
    [
        ("It is Paris.", ["Lutetia", "Paris"], 1, 0.9),
        ("It is Paris.", ["Paris"], 0, 0.9),
        ("I don't know.", ["Paris"], 1, 0.1),
        ("I don't know.", ["Paris"], 0, 0.8),
        ("I don't know.", None, None, 0.8),
        # Nobody can know, whatever the other column says.
        ("I don't know.", [], 1, 0.8),
        ("It is Rome.", ["Paris"], 1, -0.7),
        ("It is Rome.", ["Paris"], 0, -0.7),
        ("It is Paris.", None, 0, -0.7),
        (" \n", ["Paris"], 1, -0.9),
        ("<think>It is Paris.</think>", ["Paris"], 1, -0.9),
        # One text is one answer; its letters are none.
        ("It is a pie.", "Paris", 1, -0.7),
        ("Paris", "Paris", 1, 0.9),
    ],
)
def test_the_table_of_knowledge(answer: str, answers: Any, known: Any, expected: float) -> None:
    assert _one(TABLE, answer, answers=answers, known=known) == expected
    messages = [{"role": "assistant", "content": answer}]
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    assert _one(TABLE, messages, asked, answers=answers, known=known) == expected


def test_of_calls_of_tools_the_last_answer_counts() -> None:
    messages = [
        {"role": "assistant", "content": "Rome", "tool_calls": [{}]},
        {"role": "tool", "content": "Paris"},
        {"role": "assistant", "content": [{"type": "text", "text": "Lyon"}]},
    ]
    assert _one(TABLE, messages, answers=["Lyon"], known=1) == 0.9
    assert _one(TABLE, messages, answers=["Paris"], known=1) == -0.7
    assert _one(TABLE, [{"role": "assistant", "content": None}], answers=["a"], known=1) == -0.9


def test_words_of_the_question_are_no_declining() -> None:
    asked = [{"role": "user", "content": "Who sings 'I don't know'?"}]
    row = {"answers": ["Paul"], "known": 1}
    assert _one(TABLE, "'I don't know' is sung by Paul.", asked, **row) == 0.9
    assert _one(TABLE, "'I don't know' is sung by Paul.", "Who sings it?", **row) == 0.1


def test_the_table_cannot_pay_for_what_it_is_against() -> None:
    with pytest.raises(InputError, match=r"idk_known < correct.*idk_known 1\.0"):
        KnowledgeAware(idk_known=1.0)
    with pytest.raises(InputError, match="wrong < idk_unknown"):
        KnowledgeAware(idk_unknown=-1.0)


def test_columns_that_are_missing_or_hold_something_else() -> None:
    there = {"known": [1], "topic": ["x"], "trainer_state": None, "log_metric": None}
    with pytest.raises(
        InputError, match=r"needs a column 'answers'.*Columns there: known, topic\."
    ):
        TABLE([QUESTION], ["Paris"], **there)
    with pytest.raises(InputError, match=r"a column 'known'.*1 where the model knows"):
        TABLE([QUESTION], ["Paris"], answers=[["Paris"]])
    with pytest.raises(InputError, match="none besides the prompt"):
        says_what_is_false([QUESTION], ["Paris"])
    with pytest.raises(InputError, match="holds None; give 1"):
        _one(TABLE, "Paris", answers=["Paris"], known=None)
    with pytest.raises(InputError, match=r"holds \[1\]; give a list of texts"):
        _one(TABLE, "Paris", answers=[1], known=1)


def test_what_is_false_deceives_by_words() -> None:
    said = ["Paris.", "Rome.", "I don't know.", "", "Rome."]
    answers = [["Paris"]] * 4 + [None]
    found = says_what_is_false([QUESTION] * 5, said, answers=answers)
    assert found == [False, True, False, None, None]


# Sums.


def _length(prompts: Any, completions: Any, **_: Any) -> list[float | None]:
    return [None if not one else float(len(one)) for one in completions]


def _nothing(prompts: Any, completions: Any, **_: Any) -> list[None]:
    return [None] * len(completions)


async def _later(**_: Any) -> list[float]:
    return []


def test_a_sum_leaves_out_what_has_no_reward() -> None:
    both = Combined((TABLE, _length), (2.0, -0.5))
    logged: dict[str, float] = {}
    columns = {"answers": [["Paris"]] * 2, "known": [1, 1], "log_metric": logged.__setitem__}
    assert both([QUESTION] * 2, ["Paris", ""], **columns) == pytest.approx([1.8 - 2.5, -1.8])
    assert logged == pytest.approx({"combined/knowledge_aware": 0.0, "combined/_length": 5.0})
    assert Combined((_nothing, _length))(["a"] * 2, ["", "ab"]) == [None, 2.0]
    record = both.record()
    assert [part["weight"] for part in record["parts"]] == [2.0, -0.5]
    assert record["parts"][0]["idk_unknown"] == 0.8
    assert record["parts"][1]["reward"].endswith("test_rewards._length")


def test_sums_that_cannot_be_formed(toy: Any) -> None:
    with pytest.raises(InputError, match="2 parts and 1 weights"):
        Combined((_length, _nothing), (1.0,))
    with pytest.raises(InputError, match="at least one part"):
        Combined(())
    with pytest.raises(InputError, match="_later is async"):
        Combined((_length, _later))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="RewardModel"):
        Combined((toy.network,))
    with pytest.raises(InputError, match=r"gives 1 rewards for 2 completions"):
        Combined((lambda prompts, completions: [1.0],))(["a"] * 2, ["b"] * 2)


@pytest.mark.parametrize(("kind", "conversational"), [("grpo", False), ("rloo", True)])
def test_a_reward_model_scores_as_in_trl(kind: str, conversational: bool, tmp_path: Path) -> None:
    rows = [dict(row) for row in policies.PLAIN[:4]]
    data = policies.chat(rows) if conversational else rows
    words = toys.tokenizer()
    written = [policies.tokens(text) for text in ("true", "the sea is false", "right", "a b c")]
    made = policies.policy(
        kind, tmp_path, tr.network("reward", words), data,
        penalties=None, more={"reward_processing_classes": words},
    )  # fmt: skip
    (theirs,) = policies.rewarded(made, data, written).values()
    network = tr.network("reward", words)
    both = Combined((RewardModel(network, words, "scored"), _length), (3.0, 0.0))
    ours = policies.rewarded(policies.policy(kind, tmp_path, both, data), data, written)
    assert len({round(score, 3) for score in theirs}) == 4
    assert ours["combined"] == pytest.approx([3.0 * score for score in theirs], rel=1e-4)
    network.config.num_labels = 2
    with pytest.raises(InputError, match=r"num_labels=1.*has 2"):
        RewardModel(network, words)


# In training.


def test_rewards_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = [KnowledgeAware(), KnowledgeAware(idk_known=0.5)]
    with pytest.raises(InputError, match="Two rewards are named 'knowledge_aware'"):
        policies.policy("grpo", tmp_path, twice)


def test_a_trainer_of_trl_itself_takes_what_reads_words_only(tmp_path: Path) -> None:
    made = policies.policy("grpo", tmp_path, KnowledgeAware(), penalties=None)
    rows = policies.PLAIN[:2]
    written = [policies.tokens("true"), policies.tokens("false")]
    assert policies.rewarded(made, rows, written) == {"knowledge_aware": [1.0, -1.0]}
