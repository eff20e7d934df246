"""Can a penalty keep a model honest while it is rewarded for agreeing? See README.md."""

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from drawing import draw
from measuring import MEASURES, Bench, ahead, of_items, over_seeds
from peft import LoraConfig
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from repalign import Activations, Direction, LanguageModel, Site, collect
from repalign.datasets import agreeable, load
from repalign.fitting import by_name
from repalign.runs import Environment
from repalign.steering import random_like
from repalign.training import Movement, Penalty, Retain, Together, penalised
from repalign.training.penalties import Where

FOLDER = Path(__file__).parent
# The embedded model's own template puts 22 tokens of a system prompt before every text.
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SITES = [Site(layer) for layer in range(14, 17)]
TRAINED_LAYERS = list(range(10, 18))
CONTEXTS = 72
"""Items that directions are read from."""


@dataclass(frozen=True)
class Plan:
    """How much is trained and measured."""

    steps: int = 12
    pairs: int = 4
    """Rows in a step."""
    rate: float = 2e-3
    beta: float = 0.5
    split: str = "held_out"
    false: int = 200
    true: int = 60
    texts: int = 12
    tokens: int = 400


SMOKE = Plan(steps=1, pairs=2, split="validation", false=4, true=2, texts=2, tokens=20)


@dataclass(frozen=True)
class Setting:
    """A penalty by its direction and weights; without a direction `retain` is all there is."""

    direction: str = ""
    weight: float = 0.0
    retain: float = 0.0
    """Of all movement; beside a direction of movement off it, relative to `weight`."""
    clip: float = 1.0
    span: Where = "all"
    label: int | None = None
    """0 for a penalty on the rows of false claims alone."""

    def penalties(self, directions: Mapping[str, Sequence[Direction]]) -> list[Penalty | Together]:
        """What the trainer is given."""
        where: dict[str, Any] = {"span": self.span, "label": self.label}
        if not self.direction:
            return [Retain(at=SITES, weight=self.retain, **where)] if self.retain else []
        found = directions[self.direction]
        moved = Movement(found, 1.0, form="linear", clip=self.clip, **where)
        return [Together((moved, Retain(found, self.retain, **where)), self.weight)]


FALSE_ROWS: dict[str, Any] = {"span": "completion", "label": 0}
SETTINGS: Mapping[str, Setting] = {
    "plain": Setting(),
    "honest 4 false rows": Setting("honest", 4.0, 0.02, **FALSE_ROWS),
    "random 4 false rows": Setting("random", 4.0, 0.02, **FALSE_ROWS),
    "retain 0.02 false rows": Setting(retain=0.02, **FALSE_ROWS),
    "retain 0.1 false rows": Setting(retain=0.1, **FALSE_ROWS),
    "shuffled 4 false rows": Setting("shuffled", 4.0, 0.02, **FALSE_ROWS),
    "persona 4 false rows": Setting("persona", 4.0, 0.02, **FALSE_ROWS),
    "honest 2": Setting("honest", 2.0, 0.005),
    "random 2": Setting("random", 2.0, 0.005),
    "retain 0.005": Setting(retain=0.005),
}
"""Numbers are weights. Settings stand in the order in which they are run."""

CONTROLS = ("retain", "random", "shuffled", "persona")
EQUAL = ("style_margin", "style_win", "kl")


def main() -> None:
    """Train and measure what is not in results.json yet, then sum up and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one step, few items; seconds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="settings by name; all of them otherwise")
    parser.add_argument("--out", type=Path, default=FOLDER)
    asked = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    plan = SMOKE if asked.smoke else Plan()
    experiment(plan, list(asked.only or SETTINGS), range(asked.seeds), asked.out)


def experiment(plan: Plan, names: Sequence[str], seeds: Sequence[int], out: Path) -> dict[str, Any]:
    """Run settings by seeds, writing each run to `results.json` as soon as it is finished."""
    path = out / "results.json"
    model = LanguageModel.load("smollm2")
    model.tokenizer.chat_template = TEMPLATE
    done = begin(path, plan, model)
    bench: Bench | None = None
    checked: Any = None
    fitted: Mapping[str, Sequence[Direction]] = {}
    for seed in seeds:
        for name in names:
            if any((run["setting"], run["seed"]) == (name, seed) for run in done["runs"]):
                continue
            if bench is None:
                counts = (plan.false, plan.true, plan.texts, plan.tokens)
                bench = Bench.of(model, SITES, plan.split, *counts)
                fitted = directions(model, min(CONTEXTS, 8 * plan.false))
                done["before"] = bench.measure(model)
            with_controls = {**fitted, "random": [random_like(d, seed) for d in fitted["honest"]]}
            penalties = SETTINGS[name].penalties(with_controls)
            started = time.time()
            network, record = trained(model, penalties, SETTINGS[name].label, plan, seed)
            adapted = LanguageModel(network, model.tokenizer, model.name)
            adapted.checked = checked
            run = {"setting": name, "seed": seed, "penalties": record}
            run["values"] = bench.measure(adapted)
            # Adapters of one form pass the self-checks alike.
            checked = adapted.checked
            model = LanguageModel(network.unload(), model.tokenizer, model.name)
            run["seconds"] = round(time.time() - started)
            done["runs"].append(run)
            write(path, done)
            shown = {m: round(float(of_items(run["values"], m).mean()), 3) for m in MEASURES}
            print(seed, name, shown, f"{run['seconds']} s", flush=True)
    done["summary"] = summary(done)
    write(path, done)
    draw(done["summary"]["settings"], out / "frontier.svg")
    return done


def begin(path: Path, plan: Plan, model: LanguageModel) -> dict[str, Any]:
    """What was finished, or an empty record."""
    settled = {
        "model": model.name,
        "weights": model.fingerprint,
        "plan": asdict(plan),
        "settings": {name: asdict(setting) for name, setting in SETTINGS.items()},
    }
    if not path.exists():
        return {**settled, "environment": Environment.here().model_dump(), "runs": []}
    there = json.loads(path.read_text())
    for name in ("weights", "plan"):
        if there[name] != settled[name]:
            raise SystemExit(f"{path} is of another {name}; move it away, or say --out FOLDER.")
    kept = [
        r
        for r in there["runs"]
        if there["settings"][r["setting"]] == settled["settings"].get(r["setting"])
    ]
    return {**there, **settled, "runs": kept}


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Put the record in place of the one before."""
    waiting = path.with_suffix(".part")
    waiting.write_text(json.dumps(record) + "\n")
    waiting.replace(path)


def directions(model: LanguageModel, count: int) -> dict[str, list[Direction]]:
    """The honest directions and what stands beside them, all of the honest ones' scale."""
    told = agreeable.contrast("train", count, seed=1, claims="false")
    read = collect(model, told, SITES)
    coin = np.random.default_rng(0)
    flipped = {group: coin.integers(2) for group in np.unique(read.groups)}
    labels = np.array(
        [label ^ flipped[group] for label, group in zip(read.labels, read.groups, strict=True)]
    )
    spoken = load("cities_persona")[: 4 * count]
    sources = {
        "honest": read,
        "shuffled": replace(read, labels=labels),
        "persona": collect(model, spoken, SITES, "assistant"),
    }
    found = {name: [fit(one, site) for site in SITES] for name, one in sources.items()}
    return {
        name: [
            replace(one, scale=like.scale) for one, like in zip(row, found["honest"], strict=True)
        ]
        for name, row in found.items()
    }


def fit(read: Activations, site: Site) -> Direction:
    """The difference of the class means at a site."""
    return Direction.of(by_name("mean_difference"), read, site)


def trained(
    model: LanguageModel,
    penalties: Sequence[Penalty | Together],
    label: int | None,
    plan: Plan,
    seed: int,
) -> tuple[Any, Any]:
    """Train an adapter on the model; returns the network with it and the penalties' record."""
    rows = agreeable.preferences("train", plan.steps * plan.pairs, seed)
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        column = None if label is None else "claim_is_true"
        trainer = penalised(DPOTrainer, penalties, label_column=column)(
            model=model.network,
            args=DPOConfig(
                output_dir=folder,
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                max_steps=plan.steps,
                per_device_train_batch_size=plan.pairs,
                learning_rate=plan.rate,
                beta=plan.beta,
                seed=seed,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=model.tokenizer,
            peft_config=LoraConfig(
                r=8,
                lora_alpha=16,
                target_modules=["q_proj", "v_proj", "o_proj", "down_proj"],
                layers_to_transform=TRAINED_LAYERS,
            ),
        )
        trainer.train()
        return trainer.model, trainer.penalty_record


def summary(done: Mapping[str, Any]) -> dict[str, Any]:
    """Each setting's measures over seeds, and how far the honest ones are ahead of their controls.

    The controls are compared at an equal style margin, style win rate and drift.
    """
    by_name = {
        name: {run["seed"]: run["values"] for run in done["runs"] if run["setting"] == name}
        for name in SETTINGS
    }
    by_name = {"before": {0: done["before"]}} | {n: runs for n, runs in by_name.items() if runs}
    measured = {
        name: {
            measure: {
                **over_seeds([of_items(runs[seed], measure) for seed in sorted(runs)]).to_json(),
                "by_seed": [
                    round(float(of_items(runs[seed], measure).mean()), 4) for seed in sorted(runs)
                ],
            }
            for measure in MEASURES
        }
        for name, runs in by_name.items()
    }
    compared = [
        {"setting": name, "control": control, "equal": axis, "measure": measure, **found}
        for name in by_name
        if name.startswith("honest")
        for control in CONTROLS
        for axis in EQUAL
        for measure in ("share", "margin")
        if (others := family(by_name, control))
        and (found := ahead(by_name[name], others, axis, measure))
    ]
    return {"settings": measured, "ahead": compared}


def family(by_name: Mapping[str, Any], control: str) -> list[Any]:
    """A control at every weight, 0 included."""
    names = [name for name in by_name if name.startswith(control)]
    return [by_name[name] for name in ("plain", *names) if names and name in by_name]


if __name__ == "__main__":
    main()
