import re
from pathlib import Path

import pytest

from repalign.errors import InputError
from repalign.recipes.checking import check
from repalign.recipes.folders import begin, example, examples, resume
from repalign.recipes.plan import Plan, parse, read

PLAN = """
base = "toy"
method = "dpo"
seed = 3

[data]
source = "agreeable"
count = 12

[[penalties]]
kind = "delta"
weight = 2.0
directions = { data = "capitals_persona", sites = "1-2" }

[arguments]
max_steps = 4
"""


def changed(old: str, new: str) -> str:
    assert old in PLAN
    return PLAN.replace(old, new)


def test_a_plan_says_what_its_file_says() -> None:
    plan = parse(PLAN)
    (stage,) = plan.stages
    assert (plan.base, plan.seed, stage.name, stage.method) == ("toy", 3, "stage-1", "dpo")
    assert stage.data == {"source": "agreeable", "count": 12}
    assert stage.penalties[0]["weight"] == 2.0
    assert stage.arguments == {"max_steps": 4}
    assert stage.lora is None
    assert plan.audit.run
    assert plan.audit.controls == ()
    check(plan)


@pytest.mark.parametrize("name", ["curriculum", "dpo", "grpo", "sft"])
def test_every_example_can_be_followed(name: str) -> None:
    check(parse(example(name)))


def test_the_examples_are_those_of_the_recipes() -> None:
    assert examples() == ["curriculum", "dpo", "grpo", "sft"]
    with pytest.raises(InputError, match=r"no example 'dop'\. Did you mean 'dpo'"):
        example("dop")


def test_stages_follow_each_other() -> None:
    plan = parse(example("curriculum"))
    assert [stage.name for stage in plan.stages] == ["honest", "quality"]
    assert [stage.data["stage"] for stage in plan.stages] == ["honest", "quality"]


def test_a_smoke_run_is_the_plan_in_little() -> None:
    little = parse(example("dpo")).smoke()
    assert little.stages[0].arguments["max_steps"] == 2
    assert little.stages[0].data["count"] == 8
    assert little.stages[0].data["source"] == "agreeable"
    assert little.audit.controls == ()
    assert little.stages[0].penalties == parse(example("dpo")).stages[0].penalties


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("base =", "bsae =", "no key in the plan 'bsae'. Did you mean 'base'"),
        ('base = "toy"\n', "", "names the model to train"),
        ('method = "dpo"', "", "there is no `method`"),
        ('"dpo"', '"dop"', "no method 'dop'. Did you mean 'dpo'"),
        ("seed = 3", 'seed = "3"', '`seed` is a whole number; "3" was given'),
        ("seed = 3", "seed = -1", "0 or more; -1"),
        ("source =", "sauce =", r"\[data\] needs a `source`"),
        ('kind = "delta"', 'kin = "delta"', "a table with a `kind`"),
        ("[arguments]", "[arguments", "not TOML"),
        ("[arguments]", "[audit]\nlimit = 0\n[arguments]", "1 or more; 0"),
        ("[arguments]", "[audit]\ncontrols = ['rnadom']\n[arguments]", "Did you mean 'random'"),
        ("[arguments]", "[audit]\nsuits = ['mask']\n[arguments]", "Did you mean 'suites'"),
        ("[arguments]", "[[rewards]]\nkind = 'x'\n[arguments]", "takes no rewards"),
        ('method = "dpo"', 'method = "grpo"', "needs at least one of"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse(changed(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"agreeable"', '"agreable"', "no source of data 'agreable'. Did you mean 'agreeable'"),
        ('"agreeable"', '"pairs.jsonl"', "There is no file pairs.jsonl"),
        ("count = 12", "cuont = 12", "no option of the source 'agreeable' 'cuont'.*'count'"),
        ('"delta"', '"delt"', "no penalty 'delt'. Did you mean 'delta'"),
        ("weight = 2.0", "wieght = 2.0", "no key of the penalty 'delta' 'wieght'.*'weight'"),
        ("sites =", "site =", "no key of directions 'site'. Did you mean 'sites'"),
        ("max_steps", "max_step", "no argument of DPOConfig 'max_step'. Did you mean 'max_steps'"),
        ("max_steps = 4", 'output_dir = "x"', "not a plan's to set; that is the run's folder"),
        ("weight = 2.0", 'weight = 2.0\nspan = "chosn"', "does not tell the span 'chosn' apart"),
        ("[arguments]", "[lora]\nrank = 4\n[arguments]", "no argument of LoraConfig 'rank'"),
        ("[arguments]", "[audit]\nsuites = ['maks']\n[arguments]", "no suite 'maks'"),
    ],
)
def test_what_does_not_exist_is_refused_before_a_model_is_loaded(
    old: str, new: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        check(parse(changed(old, new)))


def test_a_control_needs_something_to_replace() -> None:
    without = re.sub(r"\[\[penalties\]\].*?\n\n", "", PLAN, flags=re.S)
    for name, said in (("random", "no penalty of this plan has directions"), ("plain", "has none")):
        with pytest.raises(InputError, match=said):
            check(parse(f"{without}\n[audit]\ncontrols = ['{name}']\n"))


def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no plan .*nothing\.toml\. Write one with"):
        read(tmp_path / "nothing.toml")
    path = tmp_path / "plan.toml"
    path.write_text(changed("base =", "bsae ="))
    with pytest.raises(InputError, match=r"plan.toml: There is no key"):
        read(path)


def begun(folder: Path, text: str = PLAN) -> Plan:
    plan = parse(text)
    begin(folder, plan, smoke=True)
    return plan


def test_a_training_goes_on_with_its_own_plan(tmp_path: Path) -> None:
    plan = begun(tmp_path / "run")
    held, smoke = resume(tmp_path / "run", None)
    assert (held, smoke) == (plan, True)
    # Comments are no other plan.
    assert resume(tmp_path / "run", parse(f"# again\n{PLAN}"))[0] == plan
    with pytest.raises(InputError, match="begun with another plan: `arguments` of stage-1 differs"):
        resume(tmp_path / "run", parse(changed("max_steps = 4", "max_steps = 5")))
    with pytest.raises(InputError, match="begun with another plan: `seed` differs"):
        resume(tmp_path / "run", parse(changed("seed = 3", "seed = 4")))


def test_a_plan_that_was_changed_in_the_folder_is_refused(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    path = tmp_path / "run" / "plan.toml"
    path.write_text(path.read_text().replace("max_steps = 4", "max_steps = 5"))
    with pytest.raises(InputError, match="was changed since the training began"):
        resume(tmp_path / "run", None)


def test_a_folder_is_begun_once(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    with pytest.raises(InputError, match=r"was begun\. Go on with it: repalign train --resume"):
        begun(tmp_path / "run")
    with pytest.raises(InputError, match="holds no training to go on with"):
        resume(tmp_path, None)
