"""Lint finds what was planted, and is quiet where nothing was."""

import json
from itertools import pairwise

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold

from repalign.datasets.lint import Finding, lint, shortcut_scores
from repalign.errors import InputError
from repalign.examples import Example, Message

NAMES = [
    a + b for a in ("bel", "cor", "dan", "fen", "gam", "hol") for b in ("ta", "mi", "ro", "su")
]


def clean(number: int = 300, seed: int = 0) -> list[Example]:
    """Four random words a text and a label drawn apart from them; each group holds both labels."""
    generator = np.random.default_rng(seed)
    rows = []
    for row in range(number):
        words = [f"{a}{b}" for a, b in generator.choice(NAMES, (4, 2))]
        rows.append(Example.of_text(" ".join(words) + ".", row % 2, f"g{row // 2}", topic="t"))
    return rows


def warned(examples: list[Example]) -> set[str]:
    return {finding.check for finding in lint(examples).findings if finding.severity == "warning"}


def shortcut(examples: list[Example], name: str) -> Finding:
    finding = lint(examples).finding(name)
    assert finding.estimate is not None
    return finding


def padded_true(examples: list[Example], suffix: str) -> list[Example]:
    return [
        Example.of_text(e.text[:-1] + suffix * (e.label or 0) + ".", e.label, e.group, topic="t")
        for e in examples
    ]


@pytest.fixture
def no_shortcuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the checks that need no classifier the time of six."""
    monkeypatch.setattr("repalign.datasets.lint._shortcuts", lambda *_: [])


def test_clean_data_pass_every_check() -> None:
    report = lint(clean())
    assert [finding.check for finding in report.findings if finding.severity != "ok"] == []
    assert report.severity == "ok"
    assert (report.examples, report.groups, report.labels) == (300, 150, (150, 150, 0))
    shortcuts = [finding.estimate for finding in report.findings if finding.estimate]
    assert len(shortcuts) == 6
    for estimate in shortcuts:
        assert abs(estimate.value - 0.5) < 0.1
        assert estimate.low <= 0.5 + 0.05
        assert estimate.n == 150, "intervals count groups, not rows"


@pytest.mark.parametrize("seed", range(3))
def test_chance_is_not_called_a_shortcut(seed: int) -> None:
    assert not warned(clean(200, seed))


def test_planted_length_is_found() -> None:
    examples = padded_true(clean(), " and more words that are always the same five")
    for name in ("length_characters", "length_tokens"):
        finding = shortcut(examples, name)
        assert finding.estimate is not None
        assert finding.severity == "warning"
        assert finding.estimate.value > 0.99
        assert finding.estimate.low > 0.97
        assert "match the lengths" in finding.message


@pytest.mark.parametrize(
    ("name", "true", "false"),
    [
        ("first_token", "Surely {}.", "Maybe {}."),
        ("last_token", "{} yes.", "{} no."),
        ("punctuation", "{}, {}.", "{} {}."),
        ("bag_of_words", "{} indeed {}.", "{} hardly {}."),
    ],
)
def test_planted_cue_is_found_by_its_own_check(name: str, true: str, false: str) -> None:
    examples = [
        Example.of_text((true if e.label else false).format(*e.text[:-1].split()), e.label, e.group)
        for e in clean()
    ]
    finding = shortcut(examples, name)
    assert finding.estimate is not None
    assert finding.estimate.value > 0.95
    assert finding.severity == "warning"
    others = {"first_token", "last_token", "punctuation"} - {name}
    assert not others & warned(examples)


def test_a_constant_cue_is_exactly_chance() -> None:
    """Kills a baseline whose folds differ by their share of labels: ties must stay ties."""
    rows = [Example.of_text(f"Same {e.text}", e.label, e.group) for e in clean(198)][:-1]
    estimate = shortcut(rows, "first_token").estimate
    assert estimate is not None
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.5, 0.5)


def test_words_that_recur_with_the_other_label_in_another_group_are_noted() -> None:
    rows = [Example.of_text(f"{a}{b} is here", i % 2) for a, b in pairwise(NAMES) for i in range(2)]
    rows = [Example.of_text(f"{e.text} {'now' * i}", e.label) for i, e in enumerate(rows)]
    finding = shortcut(rows, "bag_of_words")
    assert finding.severity == "note"
    assert "far below chance" in finding.message
    together = [Example.of_text(e.text, e.label, f"g{i // 2}") for i, e in enumerate(rows)]
    assert shortcut(together, "bag_of_words").severity == "ok"


def test_different_instructions_for_the_classes_are_a_confound() -> None:
    def chat(example: Example, system: str) -> Example:
        return Example.of_chat("Say it.", example.text, example.label, example.group, system)

    told = [chat(e, "Be honest." if e.label else "Tell a lie.") for e in clean()]
    finding = shortcut(told, "instruction")
    assert finding.estimate is not None
    assert finding.estimate.value == 1.0
    assert finding.severity == "warning"
    assert "same prompts" in finding.message
    same = shortcut([chat(e, "Be honest.") for e in clean()], "instruction")
    assert same.estimate is not None
    assert same.estimate.value == 0.5
    with pytest.raises(KeyError):
        lint(clean()).finding("instruction")


def test_the_first_word_of_a_conversation_is_the_reply_s() -> None:
    chats = [
        Example.of_chat("Q?", ("Yes, " if e.label else "No, ") + e.text, e.label, e.group)
        for e in clean()
    ]
    finding = shortcut(chats, "first_token")
    assert finding.estimate is not None
    assert finding.estimate.value == 1.0


@pytest.mark.usefixtures("no_shortcuts")
def test_duplicates_are_told_by_kind_with_their_rows() -> None:
    rows = clean(100)
    first, second = rows[0], rows[2]
    within = lint([*rows, Example.of_text(first.text, 0, first.group)])
    assert within.finding("duplicates").severity == "note"
    assert within.finding("duplicates").rows == (101,)
    across = lint([*rows, Example.of_text(first.text, 0, "elsewhere")])
    assert across.finding("duplicates").severity == "warning"
    assert "examples 1, 101" in across.finding("duplicates").message
    loud = lint([*rows, Example.of_text(f"  {second.text.upper()[:-1]} !", 0, "elsewhere")])
    assert loud.finding("duplicates").severity == "ok"
    assert loud.finding("loose_duplicates").rows == (101,)
    assert loud.finding("conflicting_labels").severity == "ok"


@pytest.mark.usefixtures("no_shortcuts")
def test_conflicting_labels_are_called_out() -> None:
    rows = clean(100)
    assert rows[4].label == 0
    report = lint([*rows, Example.of_text(rows[4].text.upper(), 1, rows[4].group)])
    finding = report.finding("conflicting_labels")
    assert finding.severity == "warning"
    assert finding.rows == (5, 101)
    assert "label 0 in example 5, label 1 in example 101" in finding.message
    assert "correct or delete" in finding.message


@pytest.mark.usefixtures("no_shortcuts")
@pytest.mark.parametrize(
    ("one", "other"),
    [("6 * 2 = 12.", "6 / 2 = 12."), ("-5 is above 0.", "5 is above 0."), ("3 < 4", "3 > 4")],
)
def test_signs_that_carry_the_meaning_keep_texts_apart(one: str, other: str) -> None:
    rows = [*clean(100), Example.of_text(one, 1, "a"), Example.of_text(other, 0, "a")]
    assert "conflicting_labels" not in warned(rows)


@pytest.mark.usefixtures("no_shortcuts")
def test_the_same_text_under_two_instructions_is_no_duplicate() -> None:
    pair = [Example.of_chat("Q?", "A.", label, "g", f"Role {label}.") for label in (0, 1)]
    report = lint([*clean(100), *pair])
    assert report.finding("duplicates").severity == "ok"
    assert report.finding("conflicting_labels").severity == "ok"


@pytest.mark.usefixtures("no_shortcuts")
def test_imbalance_is_graded() -> None:
    def skewed(share: float) -> list[Example]:
        return [
            Example.of_text(e.text, int(i >= share * 200), f"{i}", topic="t")
            for i, e in enumerate(clean(200))
        ]

    graded = {share: lint(skewed(share)).finding("balance") for share in (0.5, 0.3, 0.1)}
    assert [finding.severity for finding in graded.values()] == ["ok", "note", "warning"]
    assert "180 examples have label 1 and 20 have label 0" in graded[0.1].message
    assert "add examples with label 0" in graded[0.1].message


@pytest.mark.usefixtures("no_shortcuts")
def test_a_topic_of_one_label_is_a_warning() -> None:
    rows = clean(200)
    extra = [Example.of_text(f"zon {i} ax", 1, f"x{i}", topic="metals") for i in range(20)]
    finding = lint([*rows, *extra]).finding("topics")
    assert finding.severity == "warning"
    assert "'metals'" in finding.message
    assert "topics" not in warned(rows)


@pytest.mark.usefixtures("no_shortcuts")
def test_groups_that_straddle_the_stated_split() -> None:
    def split(parts: list[str]) -> list[Example]:
        rows = clean(100)
        return [
            Example.of_text(e.text, e.label, e.group, split=p)
            for e, p in zip(rows, parts, strict=True)
        ]

    torn = ["train"] * 51 + ["test"] * 49
    finding = lint(split(torn)).finding("straddling")
    assert finding.severity == "warning"
    assert finding.rows == (51, 52)
    assert "'g25' in test and train" in finding.message
    assert "straddling" not in warned(split(["train"] * 50 + ["test"] * 50))


@pytest.mark.usefixtures("no_shortcuts")
def test_near_duplicates_count_only_across_groups() -> None:
    rows = clean(100)
    near = rows[10].text[:-1] + " too."
    across = lint([*rows, Example.of_text(near, 0, "elsewhere")]).finding("near_duplicates")
    assert across.severity == "note"
    assert across.rows == (11, 101)
    within = lint([*rows, Example.of_text(near, 0, rows[10].group)]).finding("near_duplicates")
    assert within.severity == "ok"


@pytest.mark.usefixtures("no_shortcuts")
def test_a_template_alone_makes_no_near_duplicates() -> None:
    rows = [
        Example.of_text(f"The village of {a}{b} lies in {b}{a}.", i % 2, f"{i}")
        for i, (a, b) in enumerate((a, b) for a in NAMES for b in NAMES if a < b)
    ]
    assert lint(rows).finding("near_duplicates").severity == "ok"


@pytest.mark.usefixtures("no_shortcuts")
def test_prompts_in_several_groups_are_noted() -> None:
    rows = [
        Example.of_chat(f"Question {i // 2}?", e.text, i % 2, f"g{i}")
        for i, e in enumerate(clean(100))
    ]
    finding = lint(rows).finding("shared_prompts")
    assert finding.severity == "note"
    assert "50 of 50 prompts" in finding.message
    grouped = [Example(e.messages, e.label, f"g{i // 2}") for i, e in enumerate(rows)]
    assert lint(grouped).finding("shared_prompts").severity == "ok"
    one_prompt = [Example.of_chat("Q?", e.text, e.label, e.group) for e in clean(100)]
    assert lint(one_prompt).finding("shared_prompts").severity == "ok"


@pytest.mark.usefixtures("no_shortcuts")
def test_empty_parts_white_space_and_missing_labels_are_located() -> None:
    rows = clean(100)
    rows[3] = Example((Message("system", " "), Message("user", "Hm?")), 1, rows[3].group)
    rows[5] = Example.of_text("ends in a blank. ", 1, rows[5].group, topic="t")
    rows[7] = Example.of_text("who can tell", None, rows[7].group, topic="t")
    report = lint(rows)
    assert report.finding("empty_parts").rows == (4,)
    assert report.finding("empty_parts").severity == "warning"
    assert report.finding("white_space").rows == (6,)
    assert report.finding("labels").rows == (8,)
    assert report.labels == (50, 49, 1)


def test_data_without_two_classes_are_still_linted() -> None:
    for label in (None, 1):
        rows = [Example.of_text(f"{name} {i}", label) for i, name in enumerate(NAMES)]
        report = lint(rows)
        assert report.finding("shortcuts").severity == "note"
        assert report.groups == len(NAMES), "rows without a group are groups of their own"
    with pytest.raises(InputError, match="at least one"):
        lint([])


def test_two_groups_a_class_are_enough_for_shortcuts() -> None:
    rows = [Example.of_text(f"{NAMES[i]} x", i % 2, f"g{i}") for i in range(4)]
    assert shortcut(rows, "bag_of_words").estimate is not None


def test_texts_without_words_do_not_break_the_baselines() -> None:
    rows = [Example.of_text("!?…"[: 1 + i % 3] * (1 + i), i % 2, f"g{i}") for i in range(40)]
    estimate = shortcut(rows, "bag_of_words").estimate
    assert estimate is not None
    assert estimate.value == 0.5


def test_report_is_plain_data() -> None:
    plain = lint(padded_true(clean(100), " and so on and on")).to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["labels"] == {"0": 50, "1": 50, "none": 0}
    length = next(f for f in plain["findings"] if f["check"] == "length_characters")
    assert {"value", "low", "high", "n"} <= length["estimate"].keys()
    assert plain["severity"] == "warning"


def test_lint_repeats_itself() -> None:
    assert lint(clean(100), seed=3) == lint(clean(100), seed=3)


def test_shortcut_scores_are_out_of_fold() -> None:
    """A word seen in one row only says nothing about it: in-sample scores would be perfect."""
    rows = [Example.of_text(f"word{i} word{i}x", i % 2, f"g{i}") for i in range(60)]
    groups = [row.group for row in rows]
    folds = list(GroupKFold(5).split(rows, groups=groups))
    scores = shortcut_scores(rows, folds)
    assert set(scores) == {"length", "bag_of_words"}
    labels = np.array([row.label for row in rows])
    for fitted, scored in folds:
        # every word of a scored row is unknown, so all rows of a fold score alike
        assert np.ptp(scores["bag_of_words"][scored]) == 0
        assert set(labels[fitted]) == {0, 1}
    long = padded_true(clean(100), " and so on and on")
    folds = list(GroupKFold(5).split(long, groups=[row.group for row in long]))
    length = shortcut_scores(long, folds)["length"]
    labels = np.array([row.label for row in long])
    assert length[labels == 1].min() > length[labels == 0].max(), "higher = label 1"


def test_shortcut_scores_follow_the_folds_given() -> None:
    rows = clean(40)
    first, second = np.arange(20), np.arange(20, 40)
    scores = shortcut_scores(rows, [(first, second)])["length"]
    assert np.isnan(scores[first]).all()
    assert np.isfinite(scores[second]).all()
    with pytest.raises(InputError, match="disjoint"):
        shortcut_scores(rows, [(first, first)])
    with pytest.raises(InputError, match="another fold"):
        shortcut_scores(rows, [(first, second), (first, second)])
    with pytest.raises(InputError, match="one class"):
        shortcut_scores(rows, [(first[::2], second)])
    with pytest.raises(InputError, match="no label"):
        shortcut_scores([*rows, Example.of_text("x")], [(first, second)])
