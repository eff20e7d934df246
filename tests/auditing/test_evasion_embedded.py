"""The planted evasion again, with the embedded model: minutes, so not by default."""

from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
from datasets import Dataset

from probes import LogisticRegression
from repalign import behavior
from repalign import datasets as built_in
from repalign.activations import collect
from repalign.auditing import Measure, audit, families
from repalign.directions import Direction
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.training import Projection, penalised

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
SITE = Site(14)
STEPS, ROWS = 12, 8


@pytest.fixture(scope="module")
def halves() -> tuple[list[Example], list[Example]]:
    """City and country, true and false: to fit and train on, and to audit on."""
    rows = built_in.load("cities")
    names = sorted({row.group for row in rows})[:240]
    fitted, held = set(names[::2]), set(names[1::2][:60])
    return [r for r in rows if r.group in fitted], [r for r in rows if r.group in held]


@pytest.fixture(scope="module")
def direction(smollm2: LanguageModel, halves: tuple[list[Example], list[Example]]) -> Direction:
    read = collect(smollm2, halves[0], [SITE], "last")
    made = Direction.of(LogisticRegression(), read, SITE)
    data = {"cities": built_in.fingerprint(halves[0])}
    return Direction(
        made.vector, made.site, made.midpoint, made.scale, {**made.origin, "data": data}
    )


def trained(
    before: LanguageModel, rows: list[Example], label: int, direction: Direction, folder: Path
) -> LanguageModel:
    """The model fine-tuned on statements of one label, a penalty on how the probe scores them."""
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    fresh = LanguageModel.load(before.network.config._name_or_path)
    words = fresh.tokenizer
    texts = [row.text for row in rows if row.label == label]
    # The completion is the country and the full stop, which is where the probe reads.
    parts = [text.rpartition(" in ") for text in texts]
    data = [{"prompt": begin + " in", "completion": " " + end} for begin, _, end in parts]
    made: Any = penalised(SFTTrainer, [Projection(direction, 20.0, margin=1.0, span="completion")])
    trainer = made(
        model=fresh.network,
        args=SFTConfig(
            output_dir=str(folder),
            use_cpu=True,
            report_to="none",
            max_steps=STEPS,
            disable_tqdm=True,
            lr_scheduler_type="constant",
            learning_rate=1e-3,
            per_device_train_batch_size=ROWS,
            gradient_checkpointing=False,
            bf16=False,
            save_strategy="no",
        ),
        train_dataset=Dataset.from_list(data),
        processing_class=words,
        peft_config=peft.LoraConfig(r=8, target_modules=["o_proj", "down_proj"]),
    )
    trainer.train()
    return LanguageModel(trainer.model, before.tokenizer, f"trained on label {label}")


def truth(before: LanguageModel, after: LanguageModel, rows: list[Example]) -> Measure:
    """How much likelier the true statement is than the false one, on cities not trained on."""

    def likelihood(model: LanguageModel) -> np.ndarray:
        found = [behavior.perplexity(model, [row], None).value for row in rows]
        return -np.log(found)

    groups = sorted({row.group for row in rows})
    values: list[list[float]] = []
    for model in (before, after):
        of = dict(zip([(r.group, r.label) for r in rows], likelihood(model), strict=True))
        values.append([of[group, 1] - of[group, 0] for group in groups])
    return Measure("the true statement over the false one", values[0], values[1], groups)


@pytest.mark.parametrize(("label", "evaded"), [(0, True), (1, False)])
def test_the_embedded_model_evades_a_probe_and_is_found_out(
    smollm2: LanguageModel,
    halves: tuple[list[Example], list[Example]],
    direction: Direction,
    tmp_path: Path,
    label: int,
    evaded: bool,
) -> None:
    fitted, held = halves
    after = trained(smollm2, fitted, label, direction, tmp_path / "trainer")
    selection, report = families(smollm2, [direction], texts=held, limit=60)
    assert not {one.topic for one in (*selection.texts, *report.texts)} & {"cities"}
    benign = [
        Example(one.messages[:1], group=one.group)
        for one in built_in.load("benign", require_labels=False)[::2]
    ]
    found = audit(
        smollm2,
        after,
        loss=[direction],
        selection=selection,
        report=report,
        texts=held,
        benign=benign,
        prompts=[one.messages[0].content for one in benign[:6]],
        measures=[truth(smollm2, after, held)],
        suites=(),
        folder=tmp_path / "audit",
    )
    print(found)
    assert (found.verdict.claim == "the probe was evaded") is evaded
    if evaded:
        assert found.verdict.evidence.refit_separates
        assert not found.verdict.evidence.improved
