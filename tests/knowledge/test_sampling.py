"""sample(): what the network's own generate would draw, with prompts computed once."""

import families
import numpy as np
import pytest
import torch

from repalign import behavior
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.examples import Example
from repalign.interventions import Add, Patch, intervene
from repalign.knowledge import sample, sampling
from repalign.models import LanguageModel
from repalign.sites import Site

PROMPTS = [
    Example.of_chat(words)
    for words in ("is the sea", "lamp", "the rain and the hill and the moon is", "is the door")
]


def texts(model: LanguageModel, prompts: list[Example] = PROMPTS, **options) -> list[list[str]]:
    found = {
        one.prompt: one.texts for batch in sample(model, prompts, 5, **options) for one in batch
    }
    return [found[index] for index in range(len(prompts))]


def test_sharing_a_prompts_state_draws_the_same_answers(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = texts(toy, max_new_tokens=6)
    monkeypatch.setattr(sampling.passes, "obstacle", lambda _model: "asked for")
    assert texts(toy, max_new_tokens=6) == shared
    assert len({answer for row in shared for answer in row}) > 5


@pytest.mark.parametrize("name", sorted(families.FAMILIES))
def test_sharing_draws_the_same_answers_in_every_family(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = families.model(name)
    prompts = [Example.of_text(text) for text in ("the sea is the sea", "the door", "a lamp is")]
    shared = texts(model, prompts, max_new_tokens=5)
    monkeypatch.setattr(sampling.passes, "obstacle", lambda _model: "asked for")
    assert texts(model, prompts, max_new_tokens=5) == shared


def test_prompts_are_computed_once_for_all_of_their_answers(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first use of a model runs its self-checks.
    list(sample(toy, PROMPTS, 1, max_new_tokens=1))
    seen = []
    forward = toy.network.get_decoder().forward

    def counted(*args, **options):
        seen.append(tuple(options["input_ids"].shape))
        return forward(*args, **options)

    monkeypatch.setattr(toy.network.get_decoder(), "forward", counted)
    list(sample(toy, PROMPTS, 5, max_new_tokens=3))
    prefill, *steps = seen
    assert prefill[0] == len(PROMPTS)
    assert prefill[1] > 5
    assert set(steps) == {(5 * len(PROMPTS), 1)}


def test_a_low_temperature_is_greedy_and_a_seed_repeats(toy: LanguageModel) -> None:
    greedy = behavior.ask(toy, PROMPTS, max_new_tokens=6)
    cold = texts(toy, temperature=1e-4, max_new_tokens=6)
    assert cold == [[text] * 5 for text in greedy.texts]
    warm = texts(toy, seed=1)
    assert warm == texts(toy, seed=1)
    assert warm != texts(toy, seed=2)


def test_temperature_is_that_of_the_whole_distribution(toy: LanguageModel) -> None:
    """The first token's frequencies are its probabilities, to within chance."""
    prompt = [PROMPTS[0]]
    drawn = [
        t for b in sample(toy, prompt, 2000, temperature=2.0, max_new_tokens=1) for t in b[0].texts
    ]
    (answer,) = behavior.ask(toy, prompt, max_new_tokens=1).prompts
    ids = toy.tokenizer(answer, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        chances = torch.softmax(toy.network(input_ids=ids).logits[0, -1] / 2.0, dim=-1)
    words = toy.tokenizer.batch_decode([[i] for i in range(len(chances))], skip_special_tokens=True)
    by_word: dict[str, float] = {}
    for word, chance in zip(words, chances.tolist(), strict=True):
        by_word[word] = by_word.get(word, 0.0) + chance
    for word, chance in by_word.items():
        spread = 4.5 * (chance * (1 - chance) / 2000) ** 0.5 + 1e-9
        assert abs(drawn.count(word) / 2000 - chance) < spread, word


def test_batches_that_are_done_are_left_out_and_change_nothing(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "PROMPTS", 2)
    everything = texts(toy)
    first, second = sample(toy, PROMPTS, 5)
    done = {one.prompt for one in first}
    (again,) = sample(toy, PROMPTS, 5, done=done)
    assert again == second
    assert {one.prompt for one in again}.isdisjoint(done)
    assert [one.texts for one in again] == [everything[one.prompt] for one in again]
    (partly,) = sample(toy, PROMPTS, 5, done={*done, again[0].prompt})
    assert partly == second


def test_other_random_numbers_stay_as_they_were(toy: LanguageModel) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    list(sample(toy, PROMPTS, 2, max_new_tokens=2))
    assert torch.equal(torch.rand(3), expected)


def test_what_is_written_acts_on_samples_too(toy: LanguageModel) -> None:
    vector = np.eye(toy.d_model, dtype=np.float32)[0]
    push = {Site(1): Add(Direction(vector, Site(1), 0.0, 1.0), 8.0)}
    plain = texts(toy, temperature=1e-4)
    with intervene(toy, push):
        steered = texts(toy, temperature=1e-4)
        greedy = behavior.ask(toy, PROMPTS, max_new_tokens=32).texts
    assert [row[0] for row in steered] == list(greedy)
    assert steered != plain


def test_what_is_written_by_rows_is_refused(toy: LanguageModel) -> None:
    patch = Patch(torch.zeros(1, 1, toy.d_model))
    with pytest.raises(InputError, match="rows of a batch"), intervene(toy, {Site(1): patch}):
        list(sample(toy, PROMPTS, 2))


@pytest.mark.parametrize(
    ("prompts", "options", "said"),
    [
        ([], {}, "0, 3 and 1"),
        (PROMPTS, {"temperature": 0.0}, "above 0"),
        (PROMPTS, {"max_new_tokens": 100_000}, "more than"),
    ],
)
def test_bad_input_is_refused(toy: LanguageModel, prompts: list, options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        list(sample(toy, prompts, 3, **options))


def test_no_samples_are_refused(toy: LanguageModel) -> None:
    with pytest.raises(InputError, match="one sample or more"):
        list(sample(toy, PROMPTS, 0))
