import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import families
import numpy as np
import pytest
import torch
import toy as toys
from torch import Tensor, nn

from repalign import checks
from repalign.activations import collect
from repalign.directions import Direction
from repalign.errors import CheckError, InputError
from repalign.examples import Example, Message
from repalign.interventions import Ablate, Add, Conditional, intervene
from repalign.models import LanguageModel
from repalign.monitoring import Monitor, TokenScore
from repalign.monitoring.recording import Recorder
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span, read
from repalign.tokens import Tokens

Make = Callable[..., Readout]
PROMPT = "the sea and the moon is"
PROMPTS = [PROMPT, "rain", "the bird and the fish and the leaf is"]


def ids_of(model: LanguageModel, prompt: str) -> list[int]:
    return read(model.tokenizer, Example.of_chat(prompt), Span("all")).ids


def forced(monitor: Monitor, prompt: str, tokens: list[TokenScore]) -> tuple[Any, Any]:
    """Scores and probabilities of the same tokens, read in one pass over the finished text."""
    model = monitor.model
    before = ids_of(model, prompt)
    ids = before + [token.id for token in tokens]
    batch = Tokens.pad([ids], model.pad_id)
    states = model.capture(batch, monitor.readout.sites)
    scores = np.full(len(ids), monitor.readout.intercept)
    for site, coef in zip(monitor.readout.sites, monitor.readout.coef, strict=True):
        scores += states[site][0].double().numpy() @ coef
    chances = model.logits(batch)[0].float().softmax(dim=-1)
    given = [float(chances[place - 1, ids[place]]) for place in range(len(before), len(ids))]
    return scores[len(before) :], np.array(given)


def scores_of(tokens: Any) -> np.ndarray:
    return np.array([token.score for token in tokens])


def probabilities_of(tokens: Any) -> np.ndarray:
    return np.array([token.probability for token in tokens])


def hooks(network: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())


@contextmanager
def counted_passes(model: LanguageModel) -> Iterator[list[int]]:
    widths: list[int] = []

    def count(_module: nn.Module, _args: Any, inputs: dict[str, Any]) -> None:
        widths.append(inputs["input_ids"].shape[1])

    handle = model.network.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield widths
    finally:
        handle.remove()


@pytest.mark.parametrize("length", [1, 2, 9])
def test_streamed_scores_are_those_of_the_finished_text(monitor: Monitor, length: int) -> None:
    tokens = list(monitor.stream(PROMPT, max_new_tokens=length))
    assert len(tokens) == length
    scores, given = forced(monitor, PROMPT, tokens)
    np.testing.assert_allclose(scores_of(tokens), scores, atol=1e-4)
    np.testing.assert_allclose(probabilities_of(tokens), given, rtol=1e-4)


@pytest.mark.parametrize(
    "family", ["gpt2", "opt", "falcon", "gemma2", "gpt_neo", "qwen3_moe", "mamba", "jamba"]
)
def test_the_law_holds_in_every_family(
    readout: Make, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "ensure", lambda *_: None)  # tested elsewhere, and slow
    monitor = Monitor(families.model(family), readout(Site(1), Site(2, "resid_pre")))
    for length in (1, 5):
        tokens = list(monitor.stream(PROMPT, max_new_tokens=length, eos_token_id=None))
        assert len(tokens) == length
        scores, given = forced(monitor, PROMPT, tokens)
        np.testing.assert_allclose(scores_of(tokens), scores, atol=2e-4, rtol=1e-4)
        np.testing.assert_allclose(probabilities_of(tokens), given, rtol=1e-3)


def test_streamed_scores_are_those_that_collect_reads_of_the_same_text(monitor: Monitor) -> None:
    tokens = list(monitor.stream(PROMPT, max_new_tokens=8))
    example = Example.of_chat(PROMPT, "".join(token.text for token in tokens))
    reading = read(monitor.model.tokenizer, example, Span("answer"))
    assert [reading.ids[place] for place in reading.positions] == [t.id for t in tokens]
    read_back = collect(monitor.model, [example], monitor.readout.sites, "answer")
    np.testing.assert_allclose(scores_of(tokens), monitor.readout.score(read_back), atol=1e-4)
    (given,) = monitor.score([example], probabilities=True)
    np.testing.assert_allclose(scores_of(given.tokens), scores_of(tokens), atol=1e-4)
    np.testing.assert_allclose(probabilities_of(given.tokens), probabilities_of(tokens), rtol=1e-4)
    assert given.text == "".join(token.text for token in tokens)
    assert given.score == pytest.approx(monitor.judge(tokens).score, abs=1e-4)


def test_every_token_costs_one_pass_and_the_answer_one_more(monitor: Monitor) -> None:
    stream = monitor.stream(PROMPT, max_new_tokens=6)  # the self-checks run here, at first use
    with counted_passes(monitor.model) as widths:
        list(stream)
    assert widths == [len(ids_of(monitor.model, PROMPT)), *[1] * 6]


def test_without_a_cache_the_scores_are_the_same(monitor: Monitor) -> None:
    cached = list(monitor.stream(PROMPT, max_new_tokens=5))
    whole = list(monitor.stream(PROMPT, max_new_tokens=5, use_cache=False))
    assert [t.id for t in whole] == [t.id for t in cached]
    np.testing.assert_allclose(scores_of(whole), scores_of(cached), atol=1e-4)
    np.testing.assert_allclose(probabilities_of(whole), probabilities_of(cached), rtol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_a_batch_is_scored_as_one_by_one(monitor: Monitor, batch_size: int) -> None:
    together = monitor.generate(PROMPTS, max_new_tokens=7, batch_size=batch_size)
    for prompt, watched in zip(PROMPTS, together, strict=True):
        alone = list(monitor.stream(prompt, max_new_tokens=7))
        assert [t.id for t in watched.tokens] == [t.id for t in alone]
        assert [t.text for t in watched.tokens] == [t.text for t in alone]
        np.testing.assert_allclose(scores_of(watched.tokens), scores_of(alone), atol=1e-4)
        np.testing.assert_allclose(
            probabilities_of(watched.tokens), probabilities_of(alone), rtol=1e-4
        )
        assert watched.score == pytest.approx(monitor.judge(alone).score, abs=1e-4)


def test_an_answer_ends_with_its_end_token_scored_and_not_counted(monitor: Monitor) -> None:
    plain = monitor.generate(PROMPTS, max_new_tokens=7)
    end = plain[0].tokens[3].id
    (tokens,) = [list(monitor.stream(PROMPT, max_new_tokens=7, eos_token_id=end))]
    together = monitor.generate(PROMPTS, max_new_tokens=7, eos_token_id=end)
    place = [t.id for t in plain[0].tokens].index(end)
    assert [t.id for t in tokens] == [t.id for t in plain[0].tokens[: place + 1]]
    assert [t.counted for t in tokens] == [True] * place + [False]
    scores, given = forced(monitor, PROMPT, tokens)
    np.testing.assert_allclose(scores_of(tokens), scores, atol=1e-4)
    np.testing.assert_allclose(probabilities_of(tokens), given, rtol=1e-4)
    assert [t.id for t in together[0].tokens] == [t.id for t in tokens]
    np.testing.assert_allclose(scores_of(together[0].tokens), scores_of(tokens), atol=1e-4)
    if place:
        assert together[0].score == pytest.approx(np.mean(scores_of(tokens)[:-1]), abs=1e-4)


def test_markers_are_scored_as_they_were_planted(planted: Monitor) -> None:
    watched = planted.generate(PROMPTS, max_new_tokens=40, temperature=3.0, seed=1)
    seen = set()
    for token in (token for one in watched for token in one.tokens):
        word = token.text.strip()
        wanted = 2.0 if word in toys.TRUE else -2.0 if word in toys.FALSE else 0.0
        seen.add(wanted)
        assert token.score == pytest.approx(wanted, abs=1e-4), token
    assert seen == {2.0, 0.0, -2.0}


def test_sampling_is_seeded_and_reports_the_models_own_probabilities(monitor: Monitor) -> None:
    options = {"max_new_tokens": 12, "temperature": 2.0, "top_p": 0.95}
    one, again = (list(monitor.stream(PROMPT, seed=3, **options)) for _ in range(2))
    assert one == again
    other = list(monitor.stream(PROMPT, seed=4, **options))
    assert [t.id for t in other] != [t.id for t in one]
    _, given = forced(monitor, PROMPT, one)
    np.testing.assert_allclose(probabilities_of(one), given, rtol=1e-4)
    (batch,) = monitor.generate([PROMPT], seed=3, **options)
    assert [t.id for t in batch.tokens] == [t.id for t in one]


def test_without_sampling_options_and_at_temperature_zero_it_is_greedy(monitor: Monitor) -> None:
    greedy = monitor.model.generate(
        Tokens.pad([ids_of(monitor.model, PROMPT)], 0, side="left"), max_new_tokens=6
    )
    for options in ({}, {"temperature": 0}, {"temperature": 0.0, "top_p": 0.5}):
        tokens = list(monitor.stream(PROMPT, max_new_tokens=6, **options))
        assert ["".join(t.text for t in tokens)] == greedy


def test_scores_are_read_after_what_interventions_wrote(monitor: Monitor) -> None:
    vector = torch.nn.functional.normalize(torch.ones(toys.WIDTH), dim=0).numpy()
    direction = Direction(vector, Site(1), 0.0, 3.0)
    for written in ({Site(1): Add(direction, 1.5)}, {Site(0): Ablate.of(direction)}):
        with intervene(monitor.model, written):
            tokens = list(monitor.stream(PROMPT, max_new_tokens=6))
            scores, given = forced(monitor, PROMPT, tokens)
            together = monitor.generate(PROMPTS, max_new_tokens=6)
        np.testing.assert_allclose(scores_of(tokens), scores, atol=1e-4)
        np.testing.assert_allclose(probabilities_of(tokens), given, rtol=1e-4)
        np.testing.assert_allclose(scores_of(together[0].tokens), scores, atol=1e-4)
        plain, _ = forced(monitor, PROMPT, tokens)
        assert np.abs(plain - scores).min() > 1e-3


def test_a_push_at_the_site_that_is_read_moves_each_score_by_itself(toy: LanguageModel) -> None:
    coef = toys.direction().double().numpy()[np.newaxis]
    last = Site(toys.LAYERS - 1)
    monitor = Monitor(toy, Readout((last,), coef, 0.0, Span("last")))
    direction = Direction(toys.direction().numpy(), last, 0.0, 4.0)
    for where in ("all", "generated", "last"):
        with intervene(toy, {last: Add(direction, -0.5)}, where=where):
            (watched,) = monitor.generate([PROMPT], max_new_tokens=5)
        words = [t.text.strip() for t in watched.tokens]
        planted = [2.0 if w in toys.TRUE else -2.0 if w in toys.FALSE else 0.0 for w in words]
        # Half of its scale of 4: the last token too, which is fed after the generation.
        np.testing.assert_allclose(
            scores_of(watched.tokens), np.array(planted) - 2.0, atol=1e-4, err_msg=where
        )


def test_a_condition_on_the_same_probe_sees_the_same_scores(
    toy: LanguageModel, readout: Make
) -> None:
    """What the monitor calls low is where `Conditional` acts."""
    one = Monitor(toy, readout(Site(1)))
    plain = scores_of(one.generate([PROMPT], max_new_tokens=1)[0].tokens)
    direction = Direction(toys.direction().numpy(), Site(3), 0.0, 1.0)
    coef = toys.direction().double().numpy()[np.newaxis]
    seen = Monitor(toy, Readout((Site(3),), coef, 0.0, Span("last")))
    moved = []
    for threshold in (plain[0] + 0.01, plain[0] - 0.01):
        push = Conditional(Add(direction, 5.0), one.readout, threshold)
        with intervene(toy, {Site(3): push}, where="generated"):
            moved.append(scores_of(seen.generate([PROMPT], max_new_tokens=2)[0].tokens)[0])
    unmoved = scores_of(seen.generate([PROMPT], max_new_tokens=1)[0].tokens)[0]
    np.testing.assert_allclose(moved, [unmoved + 5.0, unmoved], atol=1e-4)


def test_closing_stops_the_generation_and_takes_everything_off(monitor: Monitor) -> None:
    before, threads = hooks(monitor.model.network), threading.active_count()
    stream = monitor.stream(PROMPT, max_new_tokens=60)
    with counted_passes(monitor.model) as widths:
        first = [next(stream), next(stream)]
        during = hooks(monitor.model.network)
        stream.close()
        assert len(widths) == 3  # the prompt, and the two tokens
    assert during > before + 1
    assert hooks(monitor.model.network) == before
    assert threading.active_count() == threads
    again = list(monitor.stream(PROMPT, max_new_tokens=2))
    assert again == first
    # A stream that was never begun leaves nothing either.
    monitor.stream(PROMPT)
    assert threading.active_count() == threads


def test_leaving_a_loop_early_closes(monitor: Monitor) -> None:
    before = hooks(monitor.model.network)
    for token in monitor.stream(PROMPT, max_new_tokens=60):
        assert token.text
        break
    assert hooks(monitor.model.network) == before


def test_errors_of_the_generation_are_raised_to_the_caller(monitor: Monitor) -> None:
    before, threads = hooks(monitor.model.network), threading.active_count()

    def fail(_module: nn.Module, _args: Any, inputs: dict[str, Any]) -> None:
        if inputs["input_ids"].shape[1] == 1:
            raise RuntimeError("no memory")

    handle = monitor.model.network.register_forward_pre_hook(fail, with_kwargs=True)
    with pytest.raises(RuntimeError, match="no memory"):
        list(monitor.stream(PROMPT, max_new_tokens=4))
    handle.remove()
    assert hooks(monitor.model.network) == before
    assert threading.active_count() == threads


def test_streams_side_by_side_and_passes_between_do_not_mix(monitor: Monitor) -> None:
    alone = [list(monitor.stream(prompt, max_new_tokens=5)) for prompt in PROMPTS[:2]]
    one, two = (monitor.stream(prompt, max_new_tokens=5) for prompt in PROMPTS[:2])
    mixed: list[list[TokenScore]] = [[], []]
    for first, second in zip(one, two, strict=True):
        mixed[0].append(first)
        mixed[1].append(second)
        monitor.model.logits(Tokens.pad([[5, 6, 7]], 0))
    assert mixed == alone


def test_a_site_that_passes_do_not_come_by_is_an_error(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Skipped(nn.Module):
        def forward(self, hidden: Tensor, *_: Any, **__: Any) -> Tensor:
            return hidden

    monkeypatch.setattr(checks, "ensure", lambda *_: None)
    broken = toys.model()
    network: Any = broken.network
    network.model.layers = nn.ModuleList([*network.model.layers])
    network.model.layers[1] = Skipped()
    with pytest.raises(CheckError, match="2 of the 3 sites"):
        list(Monitor(broken, monitor.readout).stream(PROMPT, max_new_tokens=3))


def test_passes_that_the_hooks_do_not_see_are_an_error(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_self: Recorder, *_: Any) -> None:
        return None

    monkeypatch.setattr(Recorder, "_end", none)
    with pytest.raises(CheckError, match="3 tokens were generated, and 0 of them read"):
        monitor.generate([PROMPT], max_new_tokens=3)


def test_generations_of_others_are_read_too(monitor: Monitor) -> None:
    prompt = Tokens.pad([ids_of(monitor.model, PROMPT)], 0, side="left")
    wanted = list(monitor.stream(PROMPT, max_new_tokens=5))
    with monitor.watching() as steps:
        monitor.model.generate(prompt, max_new_tokens=5)
    assert [int(step.ids) for step in steps] == [token.id for token in wanted[:-1]]
    found = [float(step.scores) for step in steps]
    np.testing.assert_allclose(found, scores_of(wanted)[:-1], atol=1e-4)
    found = [float(step.probabilities) for step in steps]
    np.testing.assert_allclose(found, probabilities_of(wanted)[:-1], rtol=1e-4)
    with monitor.watching():
        monitor.model.generate(prompt, max_new_tokens=2)
        with pytest.raises(CheckError, match="one generation"):
            monitor.model.generate(prompt, max_new_tokens=2)


def test_several_tokens_in_one_pass_are_an_error(monitor: Monitor) -> None:
    model = monitor.model
    recorder = Recorder(model, monitor.readout, torch.ones(1, 4, dtype=torch.bool))
    with recorder.watching(), torch.no_grad():
        ids = torch.arange(4, 8).unsqueeze(0)
        cache = model.network(input_ids=ids, use_cache=True).past_key_values
        with pytest.raises(CheckError, match="2 tokens at once after 4"):
            model.network(input_ids=ids[:, :2], past_key_values=cache, use_cache=True)


@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 2},
        {"num_return_sequences": 2, "do_sample": True},
        {"cache_implementation": "static"},
        {"prompt_lookup_num_tokens": 3},
        {"past_key_values": object()},
        {"return_dict_in_generate": True},
    ],
)
def test_options_that_cannot_be_watched_are_refused(
    monitor: Monitor, options: dict[str, Any]
) -> None:
    name = next(iter(options))
    with pytest.raises(InputError, match=f"{name}="):
        monitor.stream(PROMPT, **options)
    with pytest.raises(InputError, match=f"{name}="):
        monitor.generate([PROMPT], **options)


def test_prompts_that_cannot_be_answered_are_refused(monitor: Monitor) -> None:
    answered = Example.of_chat("Is it?", "Yes.")
    for prompt, why in (
        ("  ", "empty"),
        ([], "at least one message"),
        ([{"role": "user"}], "role and a content"),
        (answered, "ends in an answer"),
        ([Message("system", "be kind"), Message("user", " ")], "empty message"),
        ("moon " * 110, "max_new_tokens"),
    ):
        with pytest.raises(InputError, match=why):
            monitor.stream(prompt, max_new_tokens=60)
    with pytest.raises(InputError, match="No prompts"):
        monitor.generate([])


def test_words_messages_and_examples_ask_the_same(monitor: Monitor) -> None:
    asked = [
        PROMPT,
        [{"role": "user", "content": PROMPT}],
        [Message("user", PROMPT)],
        Example.of_chat(PROMPT),
    ]
    answers = monitor.generate(asked, max_new_tokens=3, batch_size=1)
    assert all(answer == answers[0] for answer in answers)
    plain = monitor.generate([Example.of_text(PROMPT)], max_new_tokens=3)
    assert plain[0] != answers[0]


def test_training_mode_is_left_and_given_back(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = monitor.generate([PROMPT], max_new_tokens=3)
    for block in monitor.model.architecture.layers:
        monkeypatch.setattr(block.self_attn, "attention_dropout", 0.5)
    monitor.model.network.train()
    again, training = monitor.generate([PROMPT], max_new_tokens=3), monitor.model.network.training
    monitor.model.network.eval()
    assert training
    assert again == plain


def test_a_span_that_a_model_does_not_write_is_refused(monitor: Monitor) -> None:
    with pytest.raises(InputError, match="'answer' or 'assistant'"):
        replace(monitor, span="user").stream(PROMPT)


def test_autocast_of_the_caller_holds_for_the_stream(monitor: Monitor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        streamed = list(monitor.stream(PROMPT, max_new_tokens=3))
        (here,) = monitor.generate([PROMPT], max_new_tokens=3)
    plain = list(monitor.stream(PROMPT, max_new_tokens=3))
    np.testing.assert_array_equal(scores_of(streamed), scores_of(here.tokens))
    assert np.abs(scores_of(streamed) - scores_of(plain)).max() > 1e-3
