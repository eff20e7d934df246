"""decode(): the answers of a loop that reads every answer whole, alone and without a cache."""

import functools
from collections.abc import Sequence
from typing import Any

import families
import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from repalign import checks
from repalign.behavior import decoding
from repalign.behavior.branching import _places  # pyright: ignore[reportPrivateUsage]
from repalign.behavior.decoding import Answer, decode
from repalign.behavior.drawing import uniforms
from repalign.checks.outcomes import PREFIXES
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.interventions import Add, Patch, intervene
from repalign.models import LanguageModel
from repalign.sites import Site

BEGINNING = "the rain and the hill and"
WORDS = [f"{BEGINNING} {end}" for end in ("the sea is", "a lamp", "the moon and the bird is", "")]


def ids(model: LanguageModel, words: Sequence[str] = WORDS) -> list[list[int]]:
    return [model.tokenizer(one, add_special_tokens=False)["input_ids"] for one in words]


def found(model: LanguageModel, texts: Sequence[Sequence[int]], **options: Any) -> Any:
    """The answers to each prompt that was not skipped, in order."""
    batches = list(decode(model, texts, **options))
    held = {one.prompt: one.answers for batch in batches for one in batch}
    assert len(held) == sum(map(len, batches))
    return [held[place] for place in sorted(held)]


def by_definition(model: LanguageModel, texts: list[list[int]], samples: int, **how: Any) -> Any:
    """Each answer for itself: the whole text is read again for each of its tokens."""

    @functools.cache
    def after(text: tuple[int, ...]) -> torch.Tensor:
        with torch.no_grad():
            return model.network(input_ids=torch.tensor([text])).logits[0, -1].double()

    def alone(text: tuple[int, ...], numbers: np.ndarray) -> Answer:
        drawn: tuple[int, ...] = ()
        logprobs: tuple[float, ...] = ()
        for number in numbers:
            logits = after(text + drawn)
            if how["temperature"] > 0:
                passed = torch.softmax(logits / how["temperature"], dim=-1).cumsum(dim=-1)
                drawn += (int((passed <= number * passed[-1]).sum()),)
            else:
                drawn += (int(logits.argmax()),)
            logprobs += (float(torch.log_softmax(logits, dim=-1)[drawn[-1:]]),)
            if set(drawn) & set(decoding.ends(model)):
                break
        ended = bool(set(drawn) & set(decoding.ends(model)))
        return Answer(drawn, logprobs, not ended)

    return [
        [
            alone(tuple(text), uniforms(how["seed"], place, sample, how["max_new_tokens"]))
            for sample in range(samples)
        ]
        for place, text in enumerate(texts)
    ]


def same(one: Any, other: Any) -> None:
    for mine, theirs in zip(one, other, strict=True):
        assert [(a.ids, a.cut) for a in mine] == [(a.ids, a.cut) for a in theirs]
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a.logprobs, b.logprobs, atol=2e-4)


@pytest.mark.parametrize("name", sorted(families.FAMILIES))
def test_every_family_draws_what_reading_whole_texts_draws(name: str) -> None:
    model = families.model(name)
    texts = ids(model)
    warm = {"temperature": 1.0, "max_new_tokens": 4, "seed": 3}
    same(found(model, texts, samples=2, **warm), by_definition(model, texts, 2, **warm))
    cold = {"temperature": 0.0, "max_new_tokens": 2, "seed": 3}
    same(found(model, texts, **cold), by_definition(model, texts, 1, **cold))
    shares = decoding._shares(model)  # pyright: ignore[reportPrivateUsage]
    assert shares == (name not in ("bloom", "gpt_neo", "jamba", "mamba", "mpt"))


@pytest.mark.parametrize("name", ["mistral", "gemma2", "gemma3_text", "phi3"])
def test_windows_shorter_than_a_text_are_kept(name: str) -> None:
    torch.manual_seed(0)
    settings = {**families.FAMILIES[name].config, "sliding_window": 4}
    config = AutoConfig.for_model(name, **settings, bos_token_id=0, eos_token_id=1)
    model = LanguageModel(AutoModelForCausalLM.from_config(config), families.words(), name)
    outcome = checks.Outcome(PREFIXES, "taken as passed", 0.0, 1.0)
    model.checked = checks.Report((outcome,))
    assert decoding._shares(model)  # pyright: ignore[reportPrivateUsage]
    how = {"temperature": 1.0, "max_new_tokens": 8, "seed": 0}
    texts = ids(model)
    same(found(model, texts, samples=3, **how), by_definition(model, texts, 3, **how))


def test_prompts_of_one_token_and_without_a_common_beginning(toy: LanguageModel) -> None:
    texts = ids(toy, ["is", "the sea", "is the rain and the hill and the moon"])
    assert min(map(len, texts)) == 1
    how = {"temperature": 1.0, "max_new_tokens": 5, "seed": 1}
    same(found(toy, texts, samples=3, **how), by_definition(toy, texts, 3, **how))


def test_a_greedy_answer_is_that_of_generate(toy: LanguageModel) -> None:
    for text, (answer,) in zip(ids(toy), found(toy, ids(toy), max_new_tokens=12), strict=True):
        out = toy.network.generate(
            torch.tensor([text]), do_sample=False, max_new_tokens=12, pad_token_id=toy.pad_id
        )
        assert list(answer.ids) == out[0, len(text) :].tolist()


def ending(model: LanguageModel) -> LanguageModel:
    """The same model, for which half of all tokens end an answer."""
    model.network.generation_config.eos_token_id = list(range(0, len(model.tokenizer), 2))
    return model


def test_answers_end_with_the_token_that_ends_them_or_are_cut(toy: LanguageModel) -> None:
    answers = found(ending(toy), ids(toy), samples=20, temperature=1.0, max_new_tokens=3)
    flat = [answer for row in answers for answer in row]
    for answer in flat:
        assert all(token % 2 for token in answer.ids[:-1])
        assert answer.cut == bool(answer.ids[-1] % 2)
        assert len(answer.ids) == len(answer.logprobs) <= 3
    lengths = {len(answer.ids) for answer in flat}
    assert lengths == {1, 2, 3}
    assert any(len(answer.ids) == 3 and not answer.cut for answer in flat)


def test_an_answer_does_not_depend_on_what_else_is_answered(toy: LanguageModel) -> None:
    texts, options = ids(ending(toy)), {"temperature": 1.0, "max_new_tokens": 5, "seed": 2}
    whole = found(toy, texts, samples=6, **options)
    assert len({answer.ids for row in whole for answer in row}) > 12
    same(found(toy, texts, samples=6, skip={0, 2}, **options), [whole[1], whole[3]])
    for at_once in (1, 30, 150):
        same(found(toy, texts, samples=6, at_once=at_once, **options), whole)
    # Other prompts at the other places.
    same(found(toy, [texts[2], texts[1], texts[0]], samples=6, **options)[1:2], whole[1:2])
    same(found(toy, texts, samples=2, **options), [row[:2] for row in whole])
    short = found(toy, texts, samples=6, **{**options, "max_new_tokens": 2})
    assert [[a.ids for a in row] for row in short] == [[a.ids[:2] for a in row] for row in whole]
    other = found(toy, texts, samples=6, **{**options, "seed": -2})
    assert [[a.ids for a in row] for row in other] != [[a.ids for a in row] for row in whole]


def test_rows_are_distinct_beginnings_and_nothing_is_read_twice(toy: LanguageModel) -> None:
    texts = ids(ending(toy))
    checks.ensure(toy)
    read: list[tuple[int, ...]] = []
    with toy.architecture.decoder.register_forward_pre_hook(
        lambda _module, _inputs, options: read.append(tuple(options["input_ids"].shape)),
        with_kwargs=True,
    ):
        answers = found(toy, texts, samples=8, temperature=0.7, max_new_tokens=6)
    beginnings = [
        {
            (place, a.ids[:step])
            for place, row in enumerate(answers)
            for a in row
            if len(a.ids) > step
        }
        for step in range(6)
    ]
    rows = [len(one) for one in beginnings if one]
    assert max(rows) > len(texts)
    assert rows[-1] < max(rows)
    common = len(ids(toy, [BEGINNING])[0])
    longest = max(map(len, texts))
    if common == min(map(len, texts)):
        common -= 1
    assert read == [(1, common), (4, longest - common - 1), *((count, 1) for count in rows)]


@pytest.mark.parametrize("seed", range(5))
def test_rows_go_where_nothing_is_lost(seed: int) -> None:
    chance = np.random.default_rng(seed)
    rows = chance.integers(0, 1000, size=12)
    for _ in range(8):
        count = chance.integers(1, 2 * len(rows))
        parents = np.sort(chance.integers(0, len(rows), size=count))
        places = _places(parents)
        assert sorted(places) == list(range(count))
        held = np.concatenate([rows, np.full(2 * len(rows), -1)])
        moved = places != parents
        held[places[moved]] = held[parents[moved]]
        assert list(held[places]) == list(rows[parents])
        first = np.unique(parents, return_index=True)[1]
        assert not moved[first][parents[first] < count].any()
        rows = held[:count]


def test_first_tokens_come_as_often_as_their_probability(toy: LanguageModel) -> None:
    text = ids(toy)[0]
    (answers,) = found(toy, [text], samples=4000, temperature=2.0, max_new_tokens=1)
    with torch.no_grad():
        logits = toy.network(torch.tensor([text])).logits[0, -1]
    chances = torch.softmax(logits / 2.0, dim=-1).numpy()
    counts = np.bincount([a.ids[0] for a in answers], minlength=len(chances))
    spread = np.sqrt(chances * (1 - chances) / len(answers))
    assert (abs(counts / len(answers) - chances) < 4.5 * spread + 1e-9).all()
    logprobs = torch.log_softmax(logits, dim=-1).numpy()
    for answer in answers:
        assert answer.logprobs[0] == pytest.approx(logprobs[answer.ids[0]], abs=1e-4)


def test_generate_draws_the_same_where_nothing_can_be_shared(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"samples": 5, "temperature": 1.3, "max_new_tokens": 6}
    shared = found(ending(toy), ids(toy), **options)
    monkeypatch.setattr(decoding.passes, "obstacle", lambda _model: "asked for")
    same(found(toy, ids(toy), **options), shared)
    # Nor does what the model's own settings ask of generate() count.
    asks = toy.network.generation_config
    asks.repetition_penalty, asks.suppress_tokens, asks.min_new_tokens = 3.0, [5, 7, 9], 4
    asks.do_sample, asks.top_k, asks.no_repeat_ngram_size = True, 2, 1
    same(found(toy, ids(toy), **options), shared)
    monkeypatch.undo()
    same(found(toy, ids(toy), **options), shared)


def test_what_is_written_acts_on_answers_too(toy: LanguageModel) -> None:
    vector = np.eye(toy.d_model, dtype=np.float32)[0]
    push = {Site(1): Add(Direction(vector, Site(1), 0.0, 1.0), 8.0)}
    plain = found(toy, ids(toy), max_new_tokens=6)
    with intervene(toy, push):
        steered = found(toy, ids(toy), max_new_tokens=6)
        drawn = found(toy, ids(toy), samples=3, temperature=1.0, max_new_tokens=4, seed=3)
        how = {"temperature": 1.0, "max_new_tokens": 4, "seed": 3}
        same(drawn, by_definition(toy, ids(toy), 3, **how))
    assert [row[0].ids for row in steered] != [row[0].ids for row in plain]


def test_what_is_opened_between_batches_acts_from_then_on(toy: LanguageModel) -> None:
    vector = np.eye(toy.d_model, dtype=np.float32)[0]
    push = {Site(1): Add(Direction(vector, Site(1), 0.0, 1.0), 8.0)}
    going = decode(toy, ids(toy), max_new_tokens=6, at_once=1)
    next(going)
    with intervene(toy, push):
        (second,) = next(going)
        steered = found(toy, ids(toy), max_new_tokens=6)
    same([second.answers], [steered[second.prompt]])


def test_what_is_written_by_rows_is_refused(toy: LanguageModel) -> None:
    patch = Patch(torch.zeros(1, 1, toy.d_model))
    with pytest.raises(InputError, match="rows of a batch"), intervene(toy, {Site(1): patch}):
        found(toy, ids(toy))
    going = decode(toy, ids(toy), max_new_tokens=2, at_once=1)
    next(going)
    with pytest.raises(InputError, match="rows of a batch"), intervene(toy, {Site(1): patch}):
        next(going)


def test_other_random_numbers_and_the_mode_stay_as_they_were(toy: LanguageModel) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    toy.network.train()
    torch.manual_seed(7)
    found(toy, ids(toy), samples=2, temperature=1.0, max_new_tokens=2)
    assert torch.equal(torch.rand(3), expected)
    assert toy.network.training


def test_a_broken_model_is_refused(toy: LanguageModel) -> None:
    checks.ensure(toy)
    with torch.no_grad():
        toy.network.get_output_embeddings().weight[3, 0] = torch.nan
    for temperature in (0.0, 1.0):
        with pytest.raises(InputError, match="no probabilities"):
            found(toy, ids(toy), temperature=temperature)


@pytest.mark.parametrize(
    ("places", "options", "said"),
    [
        ([], {}, "0 prompts"),
        ([0], {"samples": 0}, "samples=0"),
        ([0], {"temperature": -1.0}, "temperature=-1"),
        ([0], {"temperature": float("nan")}, "temperature=nan"),
        ([0], {"max_new_tokens": 0}, "max_new_tokens=0"),
        ([0], {"max_new_tokens": 100_000}, "more than"),
        ([0], {"max_new_tokens": 155, "names": ["The first"]}, "The first has"),
        ([0], {"at_once": 0}, "at_once=0"),
    ],
)
def test_bad_input_is_refused(
    toy: LanguageModel, places: list[int], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        found(toy, [ids(toy)[place] for place in places], **options)


def test_nothing_is_done_where_all_are_skipped(toy: LanguageModel) -> None:
    assert found(toy, ids(toy), skip=range(4)) == []
