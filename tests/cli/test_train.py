import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import toy as toys
from cli_types import Shell

from repalign.auditing import bench
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.recipes import stages

# PEFT reads what transformers deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
PLAN = """
base = "{base}"
method = "dpo"

[data]
source = "{pairs}"

[lora]
r = 2
target_modules = ["q_proj", "o_proj"]

[[penalties]]
kind = "movement"
name = "towards"
margin = 1.0
auto_weight = 0.5
directions = {{ data = "{texts}", sites = "1-2" }}

[arguments]
max_steps = 4
save_steps = 1
per_device_train_batch_size = 2
learning_rate = 0.01

[audit]
run = {audit}
suites = []
limit = 4
"""
Write = Callable[..., Path]


@pytest.fixture
def write(model_folder: Path, topics: dict[str, Path], tmp_path: Path) -> Write:
    """Write a plan on the toy, and its data."""
    pairs = tmp_path / "pairs.jsonl"
    rows = [
        {"prompt": f"the {noun} is", "chosen": f" {false}", "rejected": f" {true}"}
        for noun, false, true in zip(toys.NOUNS, toys.FALSE * 5, toys.TRUE * 5, strict=True)
    ]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def wrote(name: str = "plan.toml", change: tuple[str, str] = ("", ""), **more: Any) -> Path:
        values = {"base": model_folder, "pairs": pairs, "texts": topics["one"], "audit": "false"}
        path = tmp_path / name
        path.write_text(PLAN.format(**{**values, **more}).replace(*change))
        return path

    return wrote


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def steps(folder: Path) -> list[dict[str, Any]]:
    """What was logged of each step, but for clocks, and for the tokens that TRL counts anew."""
    others = ("runtime", "per_second", "_time", "num_tokens")
    return [
        {name: value for name, value in entry.items() if not name.endswith(others)}
        for entry in record(folder)["results"]["log"]
        if "loss" in entry
    ]


def test_a_run_holds_the_plan_the_log_and_a_model(
    shell: Shell, write: Write, tmp_path: Path, model_folder: Path
) -> None:
    folder = tmp_path / "run"
    ended = shell("train", write(), "--out", folder, "--json")
    assert ended.code == 0, ended.err
    assert f"repalign train --resume {folder}" in ended.err
    found = record(folder)
    assert found["verb"] == "train"
    assert found["asked"]["plan"] == write().read_text()
    assert found["model"]["name"] == str(model_folder)
    (stage,) = found["results"]["stages"]
    assert (stage["rows"], stage["steps"]) == (10, 4)
    logged = steps(folder)
    assert [entry["step"] for entry in logged] == [1, 2, 3, 4]
    assert {"penalty/towards", "weight/towards", "projection/L1.resid_post"} <= set(logged[0])
    # The hinge begins at margin · scale of each site and falls; it is measured before the update.
    scales = [2 * toys.STRENGTH] * 2
    assert logged[0]["penalty/towards"] == pytest.approx(sum(scales) / 2, rel=1e-5)
    (penalty,) = stage["penalties"]["penalties"]
    assert penalty["auto_weight"] == 0.5
    assert stage["penalties"]["measured"]["towards"] == logged[0]["weight/towards"]
    # What was trained is loaded by the name of its folder, and is no longer the base.
    trained = LanguageModel.load(str(folder / "stage-1" / "trained"))
    assert trained.fingerprint != LanguageModel.load(str(model_folder)).fingerprint
    assert (folder / "report.html").is_file()


def test_a_run_is_audited_beside_its_controls(
    shell: Shell, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The built-in ones are longer than the toy can read.
    benign = [
        Example.of_chat(f"the {a} and {b}", f"the {b}") for a in toys.NOUNS for b in toys.NOUNS
    ]
    monkeypatch.setattr(bench, "ordinary", lambda: benign)
    controls = ("suites = []", "suites = []\ncontrols = ['plain', 'shuffled']")
    folder = tmp_path / "run"
    ended = shell("train", write(audit="true", change=controls), "--out", folder)
    assert ended.code == 0, ended.err
    results = record(folder)["results"]
    found = results["audit"]
    assert found["verdict"]["sentence"] in ended.out
    assert set(found["probes"]) == {"loss", "selection", "report"}
    names = ("plain", "shuffled")
    assert set(found["controls"]) == set(results["controls"]) == set(names)
    penalties = {name: results["controls"][name][0]["penalties"]["penalties"] for name in names} | {
        "own": results["stages"][0]["penalties"]["penalties"]
    }
    assert penalties.pop("plain") == []
    # The same penalty with other directions, at the same sites.
    directions = [one[0]["directions"] for one in penalties.values()]
    assert len({json.dumps(each) for each in directions}) == len(directions)
    sites = [[one["site"] for one in each] for each in directions]
    assert sites == [["L1.resid_post", "L2.resid_post"]] * len(directions)
    page = (folder / "report.html").read_text()
    assert found["verdict"]["sentence"] in page
    assert "penalty/towards" in page


def test_a_training_that_was_stopped_goes_on_as_if_nothing_had_happened(
    shell: Shell, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = write()
    assert shell("train", plan, "--out", tmp_path / "whole").code == 0
    reporting = stages._reporting

    def stopping(progress: Any) -> Any:
        def until(done: int, total: int) -> None:
            if done == 3:
                raise OSError("the machine went away")

        return reporting(until)

    with monkeypatch.context() as patch:
        patch.setattr(stages, "_reporting", stopping)
        with pytest.raises(OSError, match="went away"):
            shell("train", plan, "--out", tmp_path / "cut")
    ended = shell("train", "--resume", tmp_path / "cut")
    assert ended.code == 0, ended.err
    assert steps(tmp_path / "cut") == steps(tmp_path / "whole")
    ended = shell("train", "--resume", tmp_path / "cut")
    assert (ended.code, "finished" in ended.err) == (2, True)


def test_rows_that_changed_since_are_refused(shell: Shell, write: Write, tmp_path: Path) -> None:
    plan = write()
    assert shell("train", plan, "--out", tmp_path / "run").code == 0
    (tmp_path / "run" / "run.json").unlink()
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(pairs.read_text().replace("sea", "moon"))
    ended = shell("train", "--resume", tmp_path / "run")
    assert ended.code == 2
    assert "was begun with other rows" in ended.err


def test_rows_in_the_format_of_another_method_are_refused(
    shell: Shell, write: Write, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "the sea is", "completion": " true"}\n')
    ended = shell("train", write(pairs=rows), "--out", tmp_path / "run")
    assert ended.code == 2
    assert (
        "has the columns prompt, completion; method dpo needs chosen + rejected. These columns do "
        "for sft, grpo, rloo."
    ) in ended.err


def test_a_value_that_trl_refuses_is_said_in_its_words(
    shell: Shell, write: Write, tmp_path: Path
) -> None:
    plan = write(change=("save_steps = 1", 'lr_scheduler_type = "sideways"'))
    ended = shell("train", plan, "--out", tmp_path / "run")
    assert ended.code == 2
    assert "[arguments]: DPOConfig refuses these arguments" in ended.err
    assert "sideways" in ended.err


def test_a_second_stage_begins_with_what_the_first_learned(
    shell: Shell, write: Write, tmp_path: Path, model_folder: Path
) -> None:
    text = write().read_text()
    head, _, rest = text.partition("method =")
    body, _, audit = f"method ={rest}".partition("[audit]")
    for table in ("data", "lora", "arguments"):
        body = body.replace(f"[{table}]", f"[stages.{table}]")
    body = body.replace("[[penalties]]", "[[stages.penalties]]")
    plan = tmp_path / "two.toml"
    stage = "[[stages]]\nname = {!r}\n"
    plan.write_text(f"{head}{stage.format('one')}{body}{stage.format('two')}{body}[audit]{audit}")
    ended = shell("train", plan, "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    found = steps(tmp_path / "run")
    assert [entry["step"] for entry in found] == list(range(1, 9))
    assert [entry["stage"] for entry in found] == ["one"] * 4 + ["two"] * 4
    first = LanguageModel.load(str(tmp_path / "run" / "one" / "trained"))
    merged = LanguageModel.load(str(tmp_path / "run" / "one" / "merged"))
    base = LanguageModel.load(str(model_folder))
    name = "model.layers.1.self_attn.q_proj.weight"
    with torch.no_grad():
        whole = first.network.merge_and_unload().state_dict()[name]
        assert torch.allclose(merged.network.state_dict()[name], whole, atol=1e-6)
        assert not torch.allclose(base.network.state_dict()[name], whole, atol=1e-4)
    # DPO's reference is what the first stage gave: at its first step the two agree.
    assert found[4]["rewards/margins"] == pytest.approx(0.0, abs=1e-5)


def test_an_example_is_written_once(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = shell("train", "--example", "dpo")
    assert ended.code == 0
    assert "repalign train dpo.toml --smoke" in ended.out
    assert (tmp_path / "dpo.toml").read_text().startswith("# Preference training")
    ended = shell("train", "--example", "dpo")
    assert ended.code == 2
    assert "there already" in ended.err


def test_nothing_to_train_is_said(shell: Shell) -> None:
    ended = shell("train")
    assert ended.code == 2
    assert "--example dpo" in ended.err
