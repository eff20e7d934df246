"""ask(): answers are what the model generates, in the order of the prompts."""

from typing import Any

import numpy as np
import pytest
import torch
import toy as toys

from repalign.behavior import Answers, ask, compare
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.examples import Example, Message
from repalign.interventions import Add, Patch, intervene
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.tokens import Tokens

PROMPTS = ["is the sea", "lamp", "the rain and the hill and the moon is", "is the door"]
HEADER = "<|im_start|>{}\n{}<|im_end|>\n"


def _answers(*texts: list[int], allowed: int = 9, groups: str = "") -> Answers:
    """Answers of tokens set by hand."""
    names = groups or "abcdefgh"[: len(texts)]
    return Answers(
        [Example.of_text(f"Number {i}", group=name) for i, name in enumerate(names)],
        [f"Number {i}" for i in range(len(texts))],
        [" ".join(map(str, ids)) for ids in texts],
        texts,
        [len(ids) == allowed for ids in texts],
        {"max_new_tokens": allowed},
    )


def test_answers_are_what_the_model_generates_after_each_prompt(toy: LanguageModel) -> None:
    found = ask(toy, PROMPTS, max_new_tokens=6, rows=3)
    for prompt, text, ids in zip(PROMPTS, found.texts, found.ids, strict=True):
        rendered = HEADER.format("user", prompt) + "<|im_start|>assistant\n"
        read = toy.tokenizer(rendered, add_special_tokens=False)["input_ids"]
        tokens = Tokens.pad([read], 0, "left")
        assert toy.generate(tokens, max_new_tokens=6) == [text]
        assert len(ids) == 6
    assert found.prompts[1] == HEADER.format("user", "lamp") + "<|im_start|>assistant\n"
    assert found.questions == tuple(PROMPTS)
    assert found.settings == {"do_sample": False, "max_new_tokens": 6}


def test_the_order_is_that_of_the_prompts_whatever_the_batches(toy: LanguageModel) -> None:
    found = ask(toy, PROMPTS, max_new_tokens=4)
    assert len(set(found.texts)) == len(PROMPTS)
    for rows in (1, 2, 16):
        assert ask(toy, PROMPTS, max_new_tokens=4, rows=rows).texts == found.texts
        turned = ask(toy, PROMPTS[::-1], max_new_tokens=4, rows=rows)
        assert turned.texts == found.texts[::-1]


def test_an_answer_ends_before_its_end_token_or_is_cut(toy: LanguageModel) -> None:
    whole = ask(toy, PROMPTS, max_new_tokens=8)
    assert whole.cut == (True,) * 4
    end = whole.ids[0][3]
    found = ask(toy, PROMPTS, max_new_tokens=8, eos_token_id=end)
    for before, after, cut in zip(whole.ids, found.ids, found.cut, strict=True):
        stop = before.index(end) if end in before else len(before)
        assert after == before[:stop]
        assert cut == (end not in before)
    assert found.tokens[0] <= 3
    assert "cut off" in whole.shown(0)
    assert "cut off" not in found.shown(0)


def test_padding_of_rows_that_ended_early_is_no_answer(toy: LanguageModel) -> None:
    # The toy names no padding token; the one that fills up rows occurs in answers too.
    whole = ask(toy, PROMPTS, max_new_tokens=8)
    end = whole.ids[1][0]
    found = ask(toy, PROMPTS, max_new_tokens=8, eos_token_id=[end], pad_token_id=7)
    assert found.ids[1] == ()
    assert found.texts[1] == ""
    assert found.empty == sum(ids[0] == end for ids in whole.ids)
    assert f"{found.empty} empty" in str(found)


def test_texts_are_continued_where_no_chat_is_wanted(toy: LanguageModel) -> None:
    found = ask(toy, ["the sea is"], chat=False, max_new_tokens=3)
    read = toy.tokenizer("the sea is")["input_ids"]
    new = found.ids[0]
    assert found.prompts == ("the sea is",)
    # With its space, so that prompt and answer make one text.
    whole = toy.tokenizer.decode([*read, *new], skip_special_tokens=True)
    assert found.prompts[0] + found.texts[0] == whole
    if found.texts[0].strip():
        assert found.examples()[0].text == whole
    toy.tokenizer.chat_template = None
    assert ask(toy, ["the sea is"], max_new_tokens=3).texts == found.texts


def test_messages_and_examples_are_asked_without_their_last_answer(toy: LanguageModel) -> None:
    plain = ask(toy, [PROMPTS[0]], max_new_tokens=3)
    example = Example.of_chat(PROMPTS[0], "an answer", group="g", topic="sea")
    found = ask(toy, [example, [Message("user", PROMPTS[0])]], max_new_tokens=3)
    assert found.texts == (plain.texts[0],) * 2
    assert found.asked[0].messages == (("user", PROMPTS[0]),)
    assert (found.asked[0].group, found.asked[0].topic) == ("g", "sea")
    assert found.groups.tolist() == ["g", "prompt 1"]


def test_a_persona_stands_in_front(toy: LanguageModel) -> None:
    found = ask(toy, PROMPTS[:2], system="the rain", max_new_tokens=3)
    assert found.prompts[0].startswith(HEADER.format("system", "the rain"))
    assert found.questions == tuple(PROMPTS[:2])
    with pytest.raises(InputError, match="cannot have a system turn"):
        ask(toy, PROMPTS, system="the rain", chat=False)


def test_sampling_is_repeatable_and_leaves_other_random_numbers_alone(toy: LanguageModel) -> None:
    options: dict[str, Any] = {"do_sample": True, "max_new_tokens": 5}
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = ask(toy, PROMPTS, seed=1, **options)
    assert torch.equal(torch.rand(1), expected)
    assert ask(toy, PROMPTS, seed=1, **options).ids == first.ids
    assert ask(toy, PROMPTS, seed=2, **options).ids != first.ids
    assert first.settings["seed"] == 1


def test_writing_changes_the_answers_and_is_recorded(toy: LanguageModel) -> None:
    site = Site(toys.LAYERS - 1)
    vector = np.random.default_rng(0).normal(size=toys.WIDTH).astype(np.float32)
    direction = Direction(vector / np.linalg.norm(vector), site, 0.0, 1.0)
    plain = ask(toy, PROMPTS, max_new_tokens=8)
    for where in ("all", "generated", "last"):
        with intervene(toy, {site: Add(direction, 1000.0)}, where=where):
            found = ask(toy, PROMPTS, max_new_tokens=8)
        assert found.ids != plain.ids
        assert found.origin["interventions"][0]["coefficient"] == 1000.0
    # Pushed so far, one token wins always: a loop.
    assert compare(found, plain, "repetition").value > 0
    patch = Patch(torch.zeros(1, 3, toys.WIDTH))
    with pytest.raises(InputError, match="rows of a batch"), intervene(toy, {site: patch}):
        ask(toy, PROMPTS)


def test_length_repetition_and_distinct_are_of_tokens() -> None:
    found = _answers([1, 2, 1, 2, 1, 2], [3, 4, 5, 6, 7, 8], [])
    assert found.length.value == 4.0
    # 1 2 1 2, 2 1 2 1, 1 2 1 2: one of three came before.
    assert found.items("repetition") == pytest.approx([1 / 3, 0, 0])
    assert found.repetition.value == pytest.approx(1 / 9)
    assert found.distinct(1).value == pytest.approx(8 / 12)
    assert found.empty == 1
    assert _answers([1], [2], [3], groups="aab").length.n == 2


def test_the_record_has_every_answer() -> None:
    record = _answers([1, 2], [], allowed=2).to_json()
    assert record["empty"] == 1
    assert record["cut"] == 1
    assert record["answers"][0] == {
        "prompt": "Number 0",
        "group": "a",
        "text": "1 2",
        "tokens": 2,
        "cut": True,
    }


def test_empty_answers_are_no_examples() -> None:
    found = _answers([1, 2], [])
    assert [example.text for example in found.examples()] == ["Number 01 2"]
    with pytest.raises(InputError, match="All 1 answers are empty"):
        _answers([]).examples()


@pytest.mark.parametrize(
    ("prompts", "options", "why"),
    [
        ([], {}, "No prompts"),
        (PROMPTS, {"num_return_sequences": 2}, "one answer a prompt"),
        (PROMPTS, {"max_length": 9}, "leave out max_length"),
        (PROMPTS, {"rows": 0}, "rows=0"),
        (PROMPTS, {"max_new_tokens": 150}, "150 to follow, more than the 160"),
        ([[Message("system", "the sea")]], {}, "no user's turn"),
    ],
)
def test_bad_input_is_refused(
    toy: LanguageModel, prompts: list[Any], options: dict[str, Any], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        ask(toy, prompts, **options)
