"""Spans, rows and labels: which tokens of a batch a penalty acts on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy as toys
import trainers as tr
from datasets import Dataset

from repalign.errors import InputError
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span
from repalign.training import Penalty, ProbeScore, Projection, Retain

pytestmark = pytest.mark.filterwarnings("ignore")

SITE = Site(2)
# A false marker lies at −0.5 of the planted direction, a true one at +0.5, everything else at 0.
FAR: dict[str, Any] = {"margin": 1.0}


def _value(
    kind: str, folder: Path, data: Any = None, options: Any = None, **settings: Any
) -> float:
    trainer_settings = settings.pop("trainer", {})
    penalty = Projection(tr.planted(), 1.0, name="here", **FAR, **settings)
    made = tr.trainer(kind, folder, [penalty], data=data, options=options, **trainer_settings)
    found = next(iter(made.get_train_dataloader()))
    tr.loss(made, found)
    return tr.logged(made).get("penalty/here", float("nan"))


# Texts have 1 + 3 tokens of prompt (`<s>`, three words), a marker and `</s>`.
@pytest.mark.parametrize(
    ("kind", "span", "expected"),
    [
        ("sft", None, (1.5 + 1) / 2),
        ("sft", "completion", (1.5 + 1) / 2),
        ("sft", "prompt", 1.0),
        ("sft", "all", (1.5 + 5) / 6),
        ("dpo", None, (1.5 + 1) / 2),
        ("dpo", "rejected", (0.5 + 1) / 2),
        ("dpo", "completion", (1.5 + 0.5 + 2) / 4),
        ("dpo", "prompt", 1.0),
        ("dpo", "all", (1.5 + 0.5 + 10) / 12),
        ("orpo", "rejected", (0.5 + 1) / 2),
        ("cpo", "all", (1.5 + 0.5 + 10) / 12),
        ("reward", None, (1.5 + 5) / 6),
        ("reward", "rejected", (0.5 + 5) / 6),
        ("kto", "chosen", (1.5 + 1) / 2),
        ("kto", "rejected", (1.5 + 1) / 2),
    ],
)
def test_spans(kind: str, span: Any, expected: float, tmp_path: Path) -> None:
    assert _value(kind, tmp_path, span=span) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("span", "expected"), [(None, 1.25), ("prompt", 1.0), ("all", 6.5 / 6)])
def test_spans_of_generated_texts(span: Any, expected: float, tmp_path: Path) -> None:
    made = tr.trainer(
        "grpo", tmp_path, [Projection(tr.planted(), 1.0, span=span, name="here", **FAR)]
    )
    found = tr.batch(made, "grpo")
    tr.loss(made, found)
    assert tr.logged(made)["penalty/here"] == pytest.approx(expected, abs=1e-5)
    # A token that a tool wrote is not the policy's: only the markers are left.
    found["tool_mask"] = torch.tensor([[1, 0]] * 4)
    tr.loss(made, found)
    own = 1.5 if span is None else expected
    assert tr.logged(made)["penalty/here"] == pytest.approx(own, abs=1e-5)


def test_the_mean_is_over_positions_and_not_over_rows(tmp_path: Path) -> None:
    data = [
        {"prompt": "the sea is", "completion": " false"},
        {"prompt": "the sea and the moon is", "completion": " the moon is and true"},
    ]
    # −0.5, 0 and 0, 0, 0, 0, +0.5, 0 under a hinge at 1.
    expected = (1.5 + 1 + 4 + 0.5 + 1) / 8
    value = _value("sft", tmp_path, data, trainer={"per_device_train_batch_size": 2})
    assert value == pytest.approx(expected, abs=1e-5)


MIXED = [
    {"prompt": "the sea is", "completion": " false", "honest": 0},
    {"prompt": "the sea and the moon is", "completion": " true", "honest": 1},
    {"prompt": "the hill is", "completion": " the moon is and wrong", "honest": 0},
]


@pytest.mark.parametrize(
    "settings",
    [
        {"padding_free": True, "max_length": None},
        {"packing": True, "packing_strategy": "bfd", "max_length": 32},
    ],
)
def test_packed_texts_are_read_one_by_one(settings: dict[str, Any], tmp_path: Path) -> None:
    found = []
    for more in ({}, settings):
        made = tr.trainer(
            "sft",
            tmp_path,
            [
                Projection(tr.random(), 1.0, 3.0, name="here"),
                ProbeScore(_probe(), 1.0, "max", margin=9.0, name="probe"),
                Retain((), 1.0, SITE, name="still"),
            ],
            tr.LORA,
            data=MIXED,
            per_device_train_batch_size=3,
            **more,
        )
        torch.manual_seed(0)
        for weight in made.model.parameters():
            if weight.requires_grad:
                weight.data.normal_(std=0.1)
        batch = next(iter(made.get_train_dataloader()))
        assert ("attention_mask" in batch) == (not more)
        tr.loss(made, batch)
        found.append(tr.logged(made, "penalty/"))
    assert found[1] == pytest.approx(found[0], rel=1e-4)
    assert min(found[0].values()) > 0.01


def _probe() -> Readout:
    coef = np.random.default_rng(0).normal(size=(1, toys.WIDTH))
    return Readout((SITE,), coef, 0.0, Span.parse("answer"))


def test_wrapped_packing_has_no_texts(tmp_path: Path) -> None:
    wrapped = {"packing": True, "packing_strategy": "wrapped", "max_length": 8}
    with pytest.raises(InputError, match="wrapped packing cuts"):
        tr.trainer("sft", tmp_path, [ProbeScore(_probe(), 1.0)], **wrapped)
    with pytest.raises(InputError, match="padding_free=True keeps the labels"):
        tr.trainer(
            "sft",
            tmp_path,
            [Projection(tr.planted(), 1.0, label=1)],
            data=MIXED,
            options={"label_column": "honest"},
            **wrapped,
        )


@pytest.mark.parametrize("padding_free", [False, True])
def test_rows_of_a_label(padding_free: bool, tmp_path: Path) -> None:
    # By hand: hinge at 1. Row 0 −0.5, 0; row 1 +0.5, 0; row 2 0, 0, 0, 0, −0.5, 0.
    rows = {0: [1.5, 1, 1, 1, 1, 1, 1.5, 1], 1: [0.5, 1]}
    settings: dict[str, Any] = {"per_device_train_batch_size": 3}
    if padding_free:
        settings |= {"padding_free": True, "max_length": None}
    for label, values in rows.items():
        made = tr.trainer(
            "sft",
            tmp_path,
            [Projection(tr.planted(), 1.0, label=label, name="here", **FAR)],
            data=MIXED,
            options={"label_column": "honest"},
            **settings,
        )
        plain = tr.trainer("sft", tmp_path, None, data=MIXED, **settings)
        batch = next(iter(made.get_train_dataloader()))
        bare = {name: value for name, value in batch.items() if name != "repalign_label"}
        added = tr.loss(made, batch) - tr.loss(plain, bare)
        assert tr.logged(made)["penalty/here"] == pytest.approx(np.mean(values), abs=1e-5)
        # Positions of the other rows count as zeros.
        assert added == pytest.approx(sum(values) / 10, abs=1e-4)
        with torch.no_grad():
            assert tr.loss(made, batch) == pytest.approx(tr.loss(plain, bare), rel=1e-6)


@pytest.mark.parametrize(("span", "expected"), [("chosen", (0.5 + 1) / 2), ("rejected", 1.25)])
def test_the_label_of_a_pair_is_that_of_both_rows(
    span: Any, expected: float, tmp_path: Path
) -> None:
    data = [{**row, "honest": 0} for row in tr.rows("dpo")]
    # The second pair only, turned round.
    data[1] |= {"chosen": " true", "rejected": " false", "honest": 1}
    options = {"label_column": "honest"}
    assert _value("dpo", tmp_path, data, options, span=span, label=1) == pytest.approx(expected)


@pytest.mark.parametrize("kind", tr.KINDS)
def test_labels_reach_every_trainer(kind: str, tmp_path: Path) -> None:
    column = "label" if kind == "kto" else "honest_labels"
    data = [{**row, column: index % 2} for index, row in enumerate(tr.rows(kind))]
    found = []
    for label in (0, 1):
        torch.manual_seed(0)
        made = tr.trainer(
            kind,
            tmp_path,
            [Projection(tr.random(), 1.0, 3.0, label=label, span="all", name="here")],
            data=data,
            options={"label_column": column},
            remove_unused_columns=True,
        )
        made.train()
        found.append([row["penalty/here"] for row in made.state.log_history if "loss" in row])
        if label:
            # Data that training has no part in need no labels.
            ready = made.train_dataset.remove_columns([column])
            raw = Dataset.from_list(tr.rows(kind))
            # These two prepare only the data that they are made with.
            metrics = made.evaluate(ready if kind in ("orpo", "cpo") else raw)
            assert not any("penalty" in name for name in metrics)
    assert len(found[0]) == 1
    assert found[0] != found[1]


def test_the_labels_of_generated_texts_are_those_of_their_prompts(tmp_path: Path) -> None:
    data = [
        {"prompt": f"the {noun} is", "honest": index % 2}
        for index, noun in enumerate(toys.NOUNS[:4])
    ]
    made = tr.trainer(
        "rloo",
        tmp_path,
        [Projection(tr.planted(), 1.0, label=1)],
        data=data,
        options={"label_column": "honest"},
        per_device_train_batch_size=8,
    )
    made.model.train()
    rows = [row for row in data for _ in range(2)]
    batch = made._prepare_inputs(rows)
    words = [made.processing_class.decode(ids) for ids in batch["prompt_ids"]]
    expected = [int(any(f"the {n} is" in w for n in toys.NOUNS[1:4:2])) for w in words]
    assert batch["repalign_label"].tolist() == expected
    assert sum(expected) == 4


def test_a_batch_without_a_row_of_the_label_adds_nothing(tmp_path: Path) -> None:
    penalties: list[Penalty] = [
        Projection(tr.planted(), 1.0, label=1),
        ProbeScore(_probe(), 1.0, label=1),
        Retain((), 1.0, SITE, label=1),
    ]
    data = [{**row, "honest": 0} for row in MIXED]
    made = tr.trainer(
        "sft", tmp_path, penalties, tr.LORA, data=data, options={"label_column": "honest"}
    )
    batch = next(iter(made.get_train_dataloader()))
    with torch.no_grad():
        plain = tr.loss(made, batch)
    assert tr.loss(made, batch) == pytest.approx(plain, rel=1e-6)
    assert tr.logged(made) == {}
    assert all(bool(g.isfinite().all()) for g in tr.step(made, batch).values())


def test_labels_that_are_missing_or_strange_are_refused(tmp_path: Path) -> None:
    penalties = [Projection(tr.planted(), 1.0, label=1)]
    with pytest.raises(InputError, match=r"have no column 'truth'.*completion"):
        tr.trainer("sft", tmp_path, penalties, data=MIXED, options={"label_column": "truth"})
    data = [{**row, "honest": 3} for row in MIXED]
    made = tr.trainer("sft", tmp_path, penalties, data=data, options={"label_column": "honest"})
    with pytest.raises(InputError, match="labels, 0 or 1, and a row has 3"):
        next(iter(made.get_train_dataloader()))
    with pytest.raises(InputError, match="this batch has no labels"):
        tr.loss(made, tr.batch(made, "sft", [0]))


def test_empty_completions_are_refused(tmp_path: Path) -> None:
    made = tr.trainer("sft", tmp_path, [Projection(tr.random(), 1.0)])
    batch = tr.batch(made, "sft")
    without = {name: batch[name] for name in ("input_ids", "labels")}
    with pytest.raises(InputError, match="packed or padding-free"):
        made.compute_loss(made.model, without)
    empty = {**batch, "labels": torch.full_like(batch["labels"], -100)}
    with pytest.raises(InputError, match="No position of this batch is kept"):
        made.compute_loss(made.model, empty)
