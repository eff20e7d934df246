"""choose(): every number is that of a plain forward pass over the whole text."""

from typing import Any

import families
import numpy as np
import pytest
import torch
import toy as toys

from repalign.behavior import Choices, Question, choose, compare, questions
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.examples import Message
from repalign.interventions import Ablate, Add, Conditional, Patch, intervene
from repalign.models import LanguageModel
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span
from repalign.tokens import Tokens

LAST = Site(toys.LAYERS - 1)
TEXTS = [
    Question("the sea is", ("true", "false", "a long story"), (0,), "g0"),
    Question("the sea and hill is ", ("right", "wrong"), (1,), "g0"),
    Question("the moon is", ("false", "true"), (1,), "g1"),
    Question("lamp", ("true", "false"), (0,)),
]
CHATS = [
    Question((Message("user", "is the sea"),), ("true", "false"), (0,)),
    Question(
        (Message("system", "the rain"), Message("user", "is the hill")), ("right", "not so"), (1,)
    ),
]
HEADER = "<|im_start|>{}\n{}<|im_end|>\n"


def _direction(vector: np.ndarray, site: Site = LAST) -> Direction:
    return Direction(vector / np.linalg.norm(vector), site, 0.0, 1.0)


def _towards_true(model: LanguageModel) -> Direction:
    """What `▁true` and `▁false` differ by in the head: pushing along it must part them."""
    words = model.tokenizer
    true, false = (words.convert_tokens_to_ids("▁" + word) for word in ("true", "false"))
    head = model.network.lm_head.weight.detach()
    return _direction((head[true] - head[false]).numpy())


def _by_hand(model: LanguageModel, prompt: str, whole: str, special: bool) -> tuple[float, int]:
    """Log-probability and number of the tokens after a prompt, from a pass over the whole text."""
    encode: Any = model.tokenizer
    begin = encode(prompt, add_special_tokens=special)["input_ids"]
    ids = encode(whole, add_special_tokens=special)["input_ids"]
    assert ids[: len(begin)] == begin
    chances = model.logits(Tokens.pad([ids], 0))[0].float().log_softmax(dim=-1)
    total = sum(float(chances[place - 1, ids[place]]) for place in range(len(begin), len(ids)))
    return total, len(ids) - len(begin)


def _expected(model: LanguageModel, question: Question) -> list[tuple[float, int]]:
    if not question.example.is_chat:
        prompt = question.example.text.strip()
        return [_by_hand(model, prompt, f"{prompt} {o}", True) for o in question.options]
    prompt = "".join(HEADER.format(*message) for message in question.example.messages)
    prompt += "<|im_start|>assistant\n"
    return [_by_hand(model, prompt, prompt + option, False) for option in question.options]


def _agree(model: LanguageModel, asked: list[Question], found: Choices) -> None:
    for number, question in enumerate(asked):
        expected = _expected(model, question)
        totals, counts = zip(*expected, strict=True)
        assert found.logprobs[number] == pytest.approx(totals, abs=2e-5)
        assert found.tokens[number].tolist() == list(counts)


def test_options_have_the_probabilities_of_a_pass_over_the_whole_text(toy: LanguageModel) -> None:
    _agree(toy, TEXTS + CHATS, choose(toy, TEXTS + CHATS))


@pytest.mark.parametrize("name", ["gpt2", "opt", "bloom", "gemma2", "falcon", "mixtral", "mamba"])
def test_so_they_have_in_every_family(name: str) -> None:
    # gemma2 caps its logits behind the head; mamba shares no beginnings.
    model = families.model(name)
    _agree(model, TEXTS, choose(model, TEXTS))


@pytest.mark.parametrize("max_tokens", [1, 20, 64])
def test_the_size_of_a_pass_and_the_company_change_nothing(
    toy: LanguageModel, max_tokens: int
) -> None:
    asked = TEXTS + CHATS
    together = choose(toy, asked)
    alone = [choose(toy, [question]).logprobs[0] for question in asked]
    small = choose(toy, asked, max_tokens=max_tokens)
    for one, two, three in zip(together.logprobs, alone, small.logprobs, strict=True):
        assert two == pytest.approx(one, abs=2e-5)
        assert three == pytest.approx(one, abs=2e-5)


def test_the_exact_prompt_is_kept(toy: LanguageModel) -> None:
    found = choose(toy, TEXTS + CHATS)
    assert found.prompts[1] == "the sea and hill is"
    assert found.continued[1] == (" right", " wrong")
    assert found.prompts[4] == HEADER.format("user", "is the sea") + "<|im_start|>assistant\n"
    assert found.continued[4] == ("true", "false")
    assert found.origin["interventions"] == []
    assert found.origin["weights"] == toy.fingerprint


def test_white_space_that_is_there_already_is_not_doubled(toy: LanguageModel) -> None:
    lines = Question("the sea\n", ("true", "false"), (0,))
    spaced = Question("the sea", ("\ntrue", "\nfalse"), (0,))
    one, two = (choose(toy, [question]) for question in (lines, spaced))
    assert one.continued[0] == ("true", "false")
    assert two.continued[0] == ("\ntrue", "\nfalse")


def test_an_answer_stands_where_the_template_puts_it(toy: LanguageModel) -> None:
    # As in Llama 2 and Mistral: no header before an answer, but a space.
    toy.tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'user' %}[{{ m.content }}]{% else %} "
        "{{ m.content }}</s>{% endif %}{% endfor %}"
    )
    found = choose(toy, CHATS[:1])
    assert (found.prompts[0], found.continued[0]) == ("[is the sea]", (" true", " false"))
    expected = [
        _by_hand(toy, "[is the sea]", f"[is the sea] {option}", False)[0]
        for option in ("true", "false")
    ]
    assert found.logprobs[0] == pytest.approx(expected, abs=2e-5)


def test_pushing_along_the_heads_difference_moves_the_choice(toy: LanguageModel) -> None:
    direction, asked = _towards_true(toy), [TEXTS[0], TEXTS[2], TEXTS[3]]
    plain = choose(toy, asked)
    moved = []
    for coefficient in (-2.0, -1.0, 1.0, 2.0):
        with intervene(toy, {LAST: Add(direction, coefficient)}):
            found = choose(toy, asked)
            _agree(toy, asked, found)
        moved.append(compare(found, plain).value)
    assert moved[0] < moved[1] < -0.1
    assert 0.1 < moved[2] < moved[3]
    assert found.origin["interventions"][0]["coefficient"] == 2.0
    # And back again.
    assert np.array_equal(choose(toy, asked).log_odds, plain.log_odds)


def test_what_depends_on_tokens_is_measured_too(toy: LanguageModel) -> None:
    # A probe that every token is below of: the same as pushing everywhere, but text by text.
    readout = Readout((Site(0),), np.zeros((1, toys.WIDTH), np.float32), 0.0, Span.parse("last"))
    push = Add(_towards_true(toy), 1.5)
    with intervene(toy, {LAST: push}):
        everywhere = choose(toy, TEXTS)
    with intervene(toy, {LAST: Conditional(push, readout, 1.0)}):
        everytoken = choose(toy, TEXTS)
    for one, two in zip(everywhere.logprobs, everytoken.logprobs, strict=True):
        assert two == pytest.approx(one, abs=2e-5)


def test_writing_in_early_layers_reaches_shared_beginnings(toy: LanguageModel) -> None:
    direction = _direction(np.random.default_rng(1).normal(size=toys.WIDTH).astype(np.float32))
    with intervene(toy, {site: Ablate.of(direction) for site in toy.sites()}):
        _agree(toy, TEXTS, choose(toy, TEXTS))


@pytest.mark.parametrize("where", ["last", "generated", "prompt"])
def test_writing_at_the_end_of_a_prompt_is_refused(toy: LanguageModel, where: str) -> None:
    with (
        pytest.raises(InputError, match=f"where='{where}' would write elsewhere"),
        intervene(toy, {LAST: Add(_towards_true(toy), 1.0)}, where=where),
    ):
        choose(toy, TEXTS)


def test_writing_by_rows_is_refused(toy: LanguageModel) -> None:
    readout = Readout((Site(0),), np.zeros((1, toys.WIDTH), np.float32), 0.0, Span.parse("last"))
    by_prompt = Conditional(Add(_towards_true(toy), 1.0), readout, 0.0, scope="row")
    with pytest.raises(InputError, match="scope='row'"), intervene(toy, {LAST: by_prompt}):
        choose(toy, TEXTS)
    patch = Patch(torch.zeros(2, 3, toys.WIDTH), torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(InputError, match="rows of a batch"), intervene(toy, {LAST: patch}):
        choose(toy, TEXTS)


def test_the_head_sees_what_is_asked_for_and_nothing_else(toy: LanguageModel) -> None:
    choose(toy, TEXTS[:1])  # The self-checks run here.
    rows = []
    handle = toy.network.lm_head.register_forward_hook(
        lambda _module, inputs, _output: rows.append(inputs[0].shape[:-1].numel())
    )
    blocks = []
    toy.network.model.layers[0].register_forward_hook(
        lambda _module, inputs, _output: blocks.append(inputs[0].shape[:-1].numel())
    )
    found = choose(toy, TEXTS[:1])
    handle.remove()
    # All options share the end of the prompt; the last token of an option foretells nothing.
    assert sum(rows) == 1 + sum(count - 1 for count in found.tokens[0])
    prompt = len(toy.tokenizer(found.prompts[0])["input_ids"])
    assert sum(blocks) == prompt + sum(count - 1 for count in found.tokens[0])


def test_a_model_in_training_is_measured_as_it_answers(toy: LanguageModel) -> None:
    plain = choose(toy, TEXTS)
    toy.network.train()
    toy.network.model.layers[0].self_attn.attention_dropout = 0.9
    assert np.array_equal(choose(toy, TEXTS).log_odds, plain.log_odds)
    assert toy.network.training


def test_an_option_that_runs_into_the_prompt_is_refused(toy: LanguageModel) -> None:
    toy.tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }} tr{% else %}"
        "{{ m.content }}{% endif %}{% endfor %}"
    )
    asked = Question((Message("user", "the sea is"),), ("ue", "uly so"), (0,))
    with pytest.raises(InputError, match="question 0, 'ue' cannot be told from the prompt"):
        choose(toy, [asked])


def test_bad_input_is_refused(toy: LanguageModel) -> None:
    with pytest.raises(InputError, match="No questions"):
        choose(toy, [])
    long = Question("the sea " * 80, ("true", "false"), (0,))
    with pytest.raises(InputError, match="more than the 160"):
        choose(toy, [TEXTS[0], long])
    toy.tokenizer.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        choose(toy, CHATS)


def test_numbers_that_are_none_are_refused(toy: LanguageModel) -> None:
    choose(toy, TEXTS)
    with torch.no_grad():
        toy.network.lm_head.weight[3] = torch.nan
    with pytest.raises(InputError, match="9 of 9 log-probabilities are NaN"):
        choose(toy, TEXTS)


def test_the_embedded_model_knows_capitals(smollm2: LanguageModel) -> None:
    asked = questions("capitals")[:12]
    found = choose(smollm2, asked)
    # 0.77 on sixty of them; a right and a wrong answer differ by 5 nats.
    assert 0.5 <= found.accuracy.value <= 1.0
    assert found.estimate().value > 1.5
    assert found.prompts[0].endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert asked[0].example.text in found.shown(0)
    expected = [
        _by_hand(smollm2, found.prompts[0], found.prompts[0] + option, False)[0]
        for option in found.continued[0]
    ]
    assert found.logprobs[0] == pytest.approx(expected, abs=1e-3)
