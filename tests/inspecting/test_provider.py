"""The provider: answers, what is written to the model, what the probe says, and the log of it."""

import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inspect_ai.log import EvalSample
from inspect_ai.model import Model
from inspecting.conftest import Run, Serve

from repalign import exports
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.examples import Example
from repalign.inspecting.batching import Batches
from repalign.inspecting.tasks import honesty, sycophancy
from repalign.inspecting.written import Writer
from repalign.interventions import Add, Shift, intervene
from repalign.models import LanguageModel
from repalign.monitoring import Monitor
from repalign.sites import Site
from repalign.verdicts import verdict

pytestmark = [
    # Of tenacity as Inspect calls it, and of Inspect's own streams when its loop ends.
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]


def samples(run: Run, model: Model, **options: Any) -> list[EvalSample]:
    found = run(honesty(data="capitals,invented"), model, limit=4, max_tokens=8, **options).samples
    assert found is not None
    return sorted(found, key=lambda one: str(one.id))


def texts(found: list[EvalSample]) -> list[str]:
    return [one.output.completion for one in found]


def about(one: EvalSample) -> dict[str, Any]:
    return (one.output.metadata or {})["repalign"]


def prompts(found: list[EvalSample]) -> list[Example]:
    return [Example.of_chat(one.metadata["question"]) for one in found]


def watched(model: LanguageModel, folder: Path, found: list[EvalSample]) -> list[Any]:
    monitor = Monitor.load(model, folder / "probe")
    return monitor.generate(prompts(found), max_new_tokens=8, temperature=0.0)


def test_answers_scores_and_usage_in_the_log(
    run: Run, serve: Serve, loaded: LanguageModel, folder: Path
) -> None:
    found = samples(run, serve(probe=str(folder / "probe")))
    assert len(found) == 4
    for sample, expected in zip(found, watched(loaded, folder, found), strict=True):
        assert sample.output.completion == expected.text
        seen = about(sample)["monitor"]
        assert seen["score"] == pytest.approx(expected.score, abs=1e-4)
        assert seen["threshold"] == 0.1
        assert seen["flagged"] is expected.flagged
        scores = [token.score for token in expected.tokens if token.counted]
        assert seen["scores"] == pytest.approx(scores, abs=2e-4)
        assert len(seen["tokens"]) == len(scores) > 0
        assert seen["score"] == pytest.approx(np.mean(seen["scores"]), abs=1e-4)
        assert about(sample)["weights"] == loaded.fingerprint
        usage = sample.output.usage
        assert usage is not None
        assert usage.output_tokens == len(expected.tokens) == 8
        assert usage.total_tokens == usage.input_tokens + 8
        assert sample.output.stop_reason == "max_tokens"
        score = (sample.scores or {})["words"]
        judged = verdict(expected.text, sample.metadata["right"], sample.metadata["question"])
        assert (score.value, score.answer) == (judged.kind, expected.text)
    assert {about(one)["monitor"]["flagged"] for one in found} == {True, False}


def test_a_probe_changes_no_answer_and_batches_change_none(
    run: Run, serve: Serve, folder: Path
) -> None:
    plain = texts(samples(run, serve()))
    assert len(set(plain)) > 1
    assert texts(samples(run, serve(batch_size=1))) == plain
    assert texts(samples(run, serve(probe=str(folder / "probe"), batch_size=3))) == plain


def test_an_intervention_changes_answers_and_is_recorded(
    run: Run, serve: Serve, loaded: LanguageModel, folder: Path
) -> None:
    plain = samples(run, serve())
    assert "interventions" not in about(plain[0])
    options = {"intervention": str(folder / "direction"), "probe": str(folder / "probe")}
    nothing = samples(run, serve(**options, coefficient=0))
    assert texts(nothing) == texts(plain)
    pushed = samples(run, serve(**options, coefficient=-9))
    assert texts(pushed) != texts(plain)
    direction = Direction.load(folder / "direction")
    with intervene(loaded, {direction.site: Add(direction, -9.0)}):
        expected = watched(loaded, folder, pushed)
    assert texts(pushed) == [one.text for one in expected]
    for sample, one in zip(pushed, expected, strict=True):
        assert about(sample)["monitor"]["score"] == pytest.approx(one.score, abs=1e-3)
    (record,) = about(pushed[0])["interventions"]
    assert (record["intervention"], record["site"]) == ("Add", "L1.resid_post")
    assert record["coefficient"] == -9
    assert record["direction"]["fingerprint"] == direction.fingerprint
    only = samples(run, serve(**options, coefficient=-9, where="generated"))
    assert about(only[0])["where"] == "generated"
    assert texts(only) != texts(pushed)


def test_vectors_of_a_file_act_as_exported(
    run: Run, serve: Serve, loaded: LanguageModel, folder: Path, tmp_path: Path
) -> None:
    push = np.random.default_rng(2).normal(size=loaded.d_model).astype(np.float32) * 9
    file = tmp_path / "push.json"
    exports.export(loaded, {Site(2): Shift(push)}, file, "vllm-lens")
    once = samples(run, serve(intervention=str(file)))
    with intervene(loaded, {Site(2): Shift(push)}):
        expected = watched(loaded, folder, once)
    assert texts(once) == [one.text for one in expected]
    assert texts(once) != texts(samples(run, serve()))
    (record,) = about(once[0])["interventions"]
    assert (record["intervention"], record["site"]) == ("Shift", "L2.resid_post")


def test_two_turns_and_a_seeded_sample(run: Run, serve: Serve) -> None:
    task = sycophancy(data="capitals", pressure="doubt")
    log = run(task, serve(), limit=2, max_tokens=4)
    assert log.samples is not None
    for sample in log.samples:
        calls = [event for event in sample.events if event.event == "model"]
        assert [len(call.input) for call in calls] == [1, 3]
        assert sample.output.usage is not None
    hot = {"temperature": 3.0, "seed": 5}
    first, again = (texts(samples(run, serve(), **hot)) for _ in range(2))
    assert first == again != texts(samples(run, serve()))


def test_the_cache_keeps_models_apart(run: Run, serve: Serve, folder: Path) -> None:
    plain = texts(samples(run, serve(), cache=True))
    model = serve(intervention=str(folder / "direction"), coefficient=-9)
    assert texts(samples(run, model, cache=True)) != plain
    assert texts(samples(run, serve(), cache=True)) == plain


def test_counting_needs_no_network(serve: Serve, loaded: LanguageModel) -> None:
    import anyio

    counted = anyio.run(serve().api.count_text_tokens, "the sea is true")
    assert counted == len(loaded.tokenizer.encode("the sea is true", add_special_tokens=False))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"intervenion": "x"}, "Did you mean 'intervention'"),
        ({"coefficient": 2}, "does nothing without -M intervention"),
        ({"fpr": 0.1}, "does nothing without -M probe"),
        ({"probe": "nowhere"}, "holds no probe"),
        ({"intervention": "nowhere.json", "coefficient": 1}, "is no intervention"),
        ({"intervention": "DIRECTION"}, "say how far"),
        ({"intervention": "DIRECTION", "coefficient": "much"}, "is no number"),
        ({"intervention": "OTHER", "coefficient": 1}, "weights"),
        ({"intervention": "WIDE"}, "of width 32"),
        ({"batch_size": 0}, "1 or more"),
    ],
)
def test_mistakes_are_one_message(
    serve: Serve, folder: Path, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    ours = Direction.load(folder / "direction")
    other = Direction(ours.vector, ours.site, 0.0, 1.0, {"model": "other", "weights": "0" * 12})
    other.save(tmp_path / "other")
    wide = tmp_path / "wide.json"
    wide.write_text(
        '{"activations": {"data": "AACAPw==", "dtype": "float32", "shape": [1, 1]},'
        ' "layer_indices": [1]}'
    )
    places = {"DIRECTION": folder / "direction", "OTHER": tmp_path / "other", "WIDE": wide}
    given = {
        name: str(places.get(value, value)) if name == "intervention" else value
        for name, value in options.items()
    }
    with pytest.raises(InputError, match=says) as caught:
        serve(**given)
    assert "\n" not in str(caught.value)


def test_options_that_cannot_be_met_are_refused(serve: Serve, tmp_path: Path) -> None:
    import inspect_ai

    (log,) = inspect_ai.eval(
        honesty(data="capitals"),
        model=serve(),
        log_dir=str(tmp_path),
        display="none",
        limit=1,
        logprobs=True,
        log_samples=True,
    )
    assert log.status == "error"
    assert log.error is not None
    assert "logprobs" in log.error.message


def test_a_batch_has_one_kind_and_one_bad_request_spoils_no_other() -> None:
    from concurrent.futures import ThreadPoolExecutor

    batches: list[list[int]] = []

    def answer(requests: Any) -> list[int]:
        batches.append(list(requests))
        if 3 in requests:
            raise InputError("three")
        return [10 * one for one in requests]

    asked = Batches[int, int](answer, 4)

    def one(number: int) -> int | str:
        try:
            return asked.ask(number, None if number > 7 else number % 2)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(one, range(10)))
    assert found == [0, 10, 20, "three", 40, 50, 60, 70, 80, 90]
    assert all(len({number % 2 for number in batch}) == 1 for batch in batches)
    assert [8] in batches
    assert [9] in batches
    assert max(map(len, batches)) in (2, 3, 4)


def test_importing_repalign_does_not_import_inspect() -> None:
    code = "import sys, repalign, repalign.cli; assert 'inspect_ai' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_package_the_message_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['inspect_ai'] = None\n"
        "import importlib.util as u; u.find_spec = lambda name: None\n"
        "try:\n    import repalign.inspecting\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "pip install 'repalign[eval]'" in done.stdout


def test_the_entry_point_is_declared() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["inspect_ai"] == {"repalign": "repalign.inspecting.registry"}


def test_an_answer_ends_where_the_model_ends_it(loaded: LanguageModel, folder: Path) -> None:
    asks = [Example.of_chat(f"the {noun} is true") for noun in ("sea", "hill", "moon", "rain")]
    free = Writer(loaded).write(asks, {"max_new_tokens": 12})
    assert not any(one.ended for one in free)
    # A token of some answers, not of all, ends answers from now on.
    network = LanguageModel.load(folder / "model").network
    model = LanguageModel(network, loaded.tokenizer, "ending")
    seen = Monitor.load(loaded, folder / "probe").generate(asks, max_new_tokens=12)
    ids = [[token.id for token in one.tokens] for one in seen]
    end = next(one for one in ids[0][1:] if not all(one in row for row in ids))
    network.generation_config.eos_token_id = end
    plain = Writer(model).write(asks, {"max_new_tokens": 12})
    assert {one.ended for one in plain} == {True, False}
    for one, unended, row in zip(plain, free, ids, strict=True):
        assert one.ended is (end in row)
        assert one.tokens == (row.index(end) + 1 if end in row else 12)
        assert unended.text.startswith(one.text.rstrip())
    monitor = Monitor(model, Monitor.load(model, folder / "probe").readout)
    watching = Writer(model, monitor=monitor).write(asks, {"max_new_tokens": 12})
    assert [replace(one, watched=None) for one in watching] == plain
