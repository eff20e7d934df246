"""Local: a model's answers as replies."""

import json

import numpy as np
import pytest
import torch
import toy as toys

from repalign import behavior, checks
from repalign.answering import Local, Reply, Respondent, Settings
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.examples import Example
from repalign.interventions import Add, intervene
from repalign.models import LanguageModel
from repalign.sites import Site

CHATS = [Example.of_chat(words) for words in ("is the sea", "lamp", "the rain and the hill is")]
TEXTS = [Example.of_text(words) for words in ("the sea is", "a lamp and", "the rain")]


@pytest.fixture(scope="module")
def _report() -> checks.Report:
    return checks.run(toys.model())


@pytest.fixture
def toy(_report: checks.Report) -> LanguageModel:
    """The toy, with self-checks that were run once."""
    model = toys.model()
    model.checked = _report
    return model


def replies(who: Local, prompts: list[Example], settings: Settings, **options) -> list[list[Reply]]:
    held = {one.prompt: one.replies for b in who.replies(prompts, settings, **options) for one in b}
    return [held[place] for place in sorted(held)]


@pytest.mark.parametrize("prompts", [CHATS, TEXTS, [CHATS[0], TEXTS[0]]])
def test_greedy_replies_are_what_ask_hears(toy: LanguageModel, prompts: list[Example]) -> None:
    heard = behavior.ask(toy, prompts, max_new_tokens=12)
    found = replies(Local(toy), prompts, Settings(max_new_tokens=12))
    assert [row[0].text for row in found] == list(heard.texts)
    assert [row[0].cut for row in found] == list(heard.cut)
    assert any(heard.texts)


def test_a_reply_holds_what_a_pass_over_it_says(toy: LanguageModel) -> None:
    toy.network.generation_config.eos_token_id = list(range(0, len(toy.tokenizer), 5))
    settings = Settings(samples=8, temperature=1.5, max_new_tokens=5, seed=4)
    found = replies(Local(toy), CHATS, settings)
    (prompt,) = behavior.ask(toy, CHATS[:1], max_new_tokens=1).prompts
    before = toy.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    for reply in found[0]:
        with torch.no_grad():
            logits = toy.network(torch.tensor([before + list(reply.ids)])).logits[0]
        said = torch.log_softmax(logits, dim=-1)[range(len(before) - 1, len(logits) - 1), reply.ids]
        np.testing.assert_allclose(reply.logprobs, said, atol=1e-4)
        spoken = [token for token in reply.ids if token % 5]
        assert reply.text == toy.tokenizer.decode(spoken, skip_special_tokens=True)
        assert reply.cut == (len(spoken) == 5)
        assert Reply.from_json(json.loads(json.dumps(reply.to_json()))) == reply
    assert len({reply.text for row in found for reply in row}) > 8
    assert {reply.cut for row in found for reply in row} == {True, False}


def test_replies_do_not_depend_on_what_is_skipped(toy: LanguageModel) -> None:
    who, settings = Local(toy), Settings(samples=3, temperature=1.0, max_new_tokens=4)
    whole = replies(who, CHATS, settings)
    (rest,) = replies(who, CHATS, settings, skip={0, 2})
    assert [one.text for one in rest] == [one.text for one in whole[1]]
    assert list(who.replies(CHATS, settings, skip=[0, 1, 2])) == []


def test_origin_tells_apart_what_would_answer_otherwise(toy: LanguageModel) -> None:
    who = Local(toy)
    assert isinstance(who, Respondent)
    assert who.name == toy.name
    plain = who.origin()
    assert json.loads(json.dumps(plain)) == plain
    assert Local(toy, at_once=50).origin() == plain
    vector = np.eye(toy.d_model, dtype=np.float32)[0]
    with intervene(toy, {Site(1): Add(Direction(vector, Site(1), 0.0, 1.0), 8.0)}):
        assert who.origin()["interventions"] != plain["interventions"]
        replies(who, CHATS, Settings(max_new_tokens=1))
    toy.tokenizer.chat_template += " "
    assert who.origin()["template"] != plain["template"]
    toy.network.generation_config.eos_token_id = [1, 5]
    assert who.origin()["ends"] == [1, 5] != plain["ends"]
    toy.network.to(torch.bfloat16)
    assert (plain["dtype"], who.origin()["dtype"]) == ("float32", "bfloat16")


def test_bad_prompts_are_refused(toy: LanguageModel) -> None:
    who = Local(toy)
    with pytest.raises(InputError, match="0 prompts"):
        list(who.replies([], Settings()))
    with pytest.raises(InputError, match=r"Prompt 1 .* answer already"):
        list(who.replies([CHATS[0], Example.of_chat("is it", "yes")], Settings()))
    with pytest.raises(InputError, match=r"Prompt 0 \('lamp'\) has"):
        list(who.replies([CHATS[1]], Settings(max_new_tokens=1000)))
