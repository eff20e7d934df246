"""Rendering: where each turn's words stand, whatever the chat template does to them."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from repalign.errors import InputError
from repalign.examples import Example, Message
from repalign.spans import Rendered, encode, render

Chat = Callable[..., PreTrainedTokenizerBase]

SOUND = (
    "plain",
    "trimming",
    "no_system",
    "folding",
    "default_system",
    "empty_thought",
    "opened_thought",
    "channel",
)
QUESTION = Example.of_chat("Is Paris in France?", "Yes.")


def said(rendered: Rendered) -> list[tuple[str, str]]:
    return [(part.role, rendered.text[part.start : part.end]) for part in rendered.parts]


@pytest.mark.parametrize("template", SOUND)
def test_a_repeated_phrase_belongs_to_its_own_turn(chat: Chat, template: str) -> None:
    # Every turn says the same, and so does the default system prompt: searching for the words
    # would find the first for all.
    turns = ("user", "assistant", "user", "assistant")
    example = Example(tuple(Message(role, "Yes.") for role in turns))
    rendered = render(chat(template), example)
    assert said(rendered) == [(role, "Yes.") for role in turns]
    starts = [part.start for part in rendered.parts]
    assert starts == sorted(set(starts))
    assert rendered.text.endswith("Yes.")
    assert rendered.prompt_end == rendered.parts[-1].start


words = st.text(alphabet="Yes no.?\n\té🙂", min_size=1, max_size=12).filter(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(template=st.sampled_from(SOUND), first=words, second=words, third=words)
def test_turns_are_found_whatever_they_say(
    chat: Chat, template: str, first: str, second: str, third: str
) -> None:
    turns = (Message("user", first), Message("assistant", second), Message("user", third))
    rendered = render(chat(template), Example(turns))
    assert [(role, text.strip()) for role, text in said(rendered)] == [
        (turn.role, turn.content.strip()) for turn in turns
    ]
    rendered = render(chat(template), Example(turns[:2]))
    assert rendered.text[rendered.prompt_end :].strip() == second.strip()


def test_white_space_stays_where_the_template_keeps_it(chat: Chat) -> None:
    example = Example.of_chat(" Is it? ", " Yes. \n")
    assert said(render(chat("plain"), example)) == [("user", " Is it? "), ("assistant", " Yes. \n")]
    assert said(render(chat("trimming"), example)) == [("user", "Is it?"), ("assistant", "Yes.")]


def test_a_prompt_ends_where_the_model_would_answer(chat: Chat) -> None:
    rendered = render(chat("plain"), Example.of_chat("Is it?", system="Be honest."))
    assert rendered.text == (
        "<|start|>system\nBe honest.<|end|>\n<|start|>user\nIs it?<|end|>\n<|start|>assistant\n"
    )
    assert rendered.prompt_end == len(rendered.text)
    assert not rendered.has_answer


def test_an_answer_ends_without_the_closing_tokens(chat: Chat) -> None:
    rendered = render(chat("plain"), QUESTION)
    assert rendered.text == "<|start|>user\nIs Paris in France?<|end|>\n<|start|>assistant\nYes."
    assert rendered.has_answer


def test_a_plain_text_is_verbatim(chat: Chat) -> None:
    text = " <|start|>user\nno template <think>hm</think> here "
    rendered = render(chat("plain"), Example.of_text(text))
    assert rendered.text == text
    assert said(rendered) == [("text", text)]
    assert [text[start:end] for start, end in rendered.thinks] == ["<think>hm</think>"]
    assert not rendered.is_chat
    assert not rendered.has_answer


def test_a_default_system_prompt_is_no_system_turn(chat: Chat) -> None:
    tokenizer = chat("default_system")
    assert [role for role, _ in said(render(tokenizer, QUESTION))] == ["user", "assistant"]
    own = render(tokenizer, Example.of_chat("Is it?", "Yes.", system="Be honest."))
    assert said(own)[0] == ("system", "Be honest.")


def test_a_system_turn_inside_the_user_turn_is_told_apart(chat: Chat) -> None:
    rendered = render(chat("folding"), Example.of_chat("Yes.", "Yes.", system="Yes."))
    assert rendered.text == "<s>[INST] Yes.\n\nYes. [/INST] Yes."
    assert [part.start for part in rendered.parts] == [10, 16, 29]


def test_an_empty_thought_of_the_template_is_header(chat: Chat) -> None:
    rendered = render(chat("empty_thought"), QUESTION)
    assert rendered.text.endswith("<think>\n\n</think>\n\nYes.")
    assert said(rendered)[-1] == ("assistant", "Yes.")
    assert rendered.thinks == ()
    # The same where the user wrote the empty thought.
    written = Example.of_chat("Is Paris in France?", "<think></think>Yes.")
    assert render(chat("empty_thought"), written) == rendered


@pytest.mark.parametrize("closing_only", [False, True])
@pytest.mark.parametrize(
    ("template", "thought"),
    [("plain", "<think>Hm, Yes.</think>"), ("empty_thought", "<think>\nHm, Yes.\n</think>\n\n")],
)
def test_a_thought_is_found_as_the_template_writes_it(
    chat: Chat, template: str, thought: str, closing_only: bool
) -> None:
    answer = "<think>Hm, Yes.</think>Yes."
    if closing_only:  # as models write it whose prompt holds the opening tag
        answer = answer.removeprefix("<think>")
        thought = thought if template == "empty_thought" else thought.removeprefix("<think>")
    rendered = render(chat(template), Example.of_chat("Yes.", answer))
    assert said(rendered)[-1] == ("assistant", thought + "Yes.")
    (start, end), *others = rendered.thinks
    assert rendered.text[start:end] == thought.rstrip()
    assert others == []
    assert start == rendered.prompt_end


def test_an_unclosed_thought_goes_on_to_the_end(chat: Chat) -> None:
    rendered = render(chat("plain"), Example.of_chat("Is it?", "<think>Hm, I wonder"))
    assert [rendered.text[start:end] for start, end in rendered.thinks] == ["<think>Hm, I wonder"]


def test_a_thought_within_an_answer_is_found(chat: Chat) -> None:
    rendered = render(chat("plain"), Example.of_chat("Is it?", "Well. <think>Hm</think> Yes."))
    assert [rendered.text[start:end] for start, end in rendered.thinks] == ["<think>Hm</think>"]
    assert said(rendered)[-1][1] == "Well. <think>Hm</think> Yes."


def test_a_dropped_thought_of_an_earlier_turn_is_left_out(chat: Chat) -> None:
    answer = Message("assistant", "<think>Hm</think>Yes.")
    example = Example((Message("user", "Is it?"), answer, Message("user", "Is it?"), answer))
    rendered = render(chat("empty_thought"), example)
    assert [text for role, text in said(rendered) if role == "assistant"] == [
        "Yes.",
        "<think>\nHm\n</think>\n\nYes.",
    ]
    assert len(rendered.thinks) == 1


def test_an_earlier_turn_may_lose_its_thought_but_no_words(chat: Chat) -> None:
    def rendered(answer: str) -> Rendered:
        turns = [("user", "Is it?"), ("assistant", answer), ("user", "Is it?")]
        return render(chat("empty_thought"), Example(tuple(Message(*turn) for turn in turns)))

    assert [role for role, _ in said(rendered("<think>Hm</think>"))] == ["user", "user"]
    with pytest.raises(InputError, match=r"'Well. <think>Hm</think> Yes.'.*alters its words"):
        rendered("Well. <think>Hm</think> Yes.")


def test_an_answer_may_be_a_thought_alone(chat: Chat) -> None:
    rendered = render(chat("glued"), Example.of_chat("Is it?", "<think>Hm</think>"))
    assert said(rendered)[-1] == ("assistant", "<think>Hm</think>")
    both = render(chat("glued"), Example.of_chat("Is it?", "<think>Hm</think> Yes."))
    assert said(both)[-1] == ("assistant", "<think>Hm</think>\nYes.")


@pytest.mark.parametrize("answer", ["<think>Hm</think>Yes.", "Hm</think>Yes.", "<think>Hm</think>"])
def test_a_dropped_thought_of_the_answer_is_refused(chat: Chat, answer: str) -> None:
    # The state at the answer would be one that never saw the thought.
    with pytest.raises(InputError, match="drops its thought"):
        render(chat("opened_thought"), Example.of_chat("Is it?", answer))


def test_the_thought_that_a_prompt_opens_is_not_held_against_the_answer(chat: Chat) -> None:
    tokenizer = chat("opened_thought")
    assert render(tokenizer, Example.of_chat("Is it?")).text.endswith("assistant\n<think>\n")
    assert render(tokenizer, Example.of_chat("Is it?", "Yes.")).text.endswith("assistant\nYes.")


@pytest.mark.parametrize(
    ("template", "example", "message"),
    [
        ("two_headed", QUESTION, r"not prefix-preserving.*model\\n', .*assistant\\n'"),
        ("counting", QUESTION, "not prefix-preserving.*Set another tokenizer.chat_template"),
        ("deaf", Example.of_chat("Is it?", "Yes.", system="Lie."), "system turn 'Lie.'.*leaves it"),
        ("echoing", QUESTION, "repeats it 2 times"),
        ("censoring", QUESTION, "'Is Paris in France.'.*alters its words"),
        ("measuring", QUESTION, "changes the rest of the chat"),
        ("no_system", Example.of_chat("Is it?", system="Lie."), "no system role here.*user's"),
    ],
)
def test_templates_that_would_mislead_are_refused(
    chat: Chat, template: str, example: Example, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        render(chat(template), example)


def test_a_chat_needs_a_template_and_a_text_does_not(
    tokenizers: dict[str, PreTrainedTokenizerBase],
) -> None:
    tokenizer = tokenizers["pieces"]
    tokenizer.chat_template = None
    assert render(tokenizer, Example.of_text("Yes.")).text == "Yes."
    with pytest.raises(InputError, match=r"'toy' has no chat template.*role 'text'"):
        render(tokenizer, QUESTION)


def test_an_empty_answer_is_refused_and_a_blank_system_turn_has_no_part(chat: Chat) -> None:
    with pytest.raises(InputError, match=r"empty answer\. Leave the turn out"):
        render(chat("plain"), Example.of_chat("Is it?", " \n"))
    rendered = render(chat("plain"), Example.of_chat("Is it?", "Yes.", system=""))
    assert [role for role, _ in said(rendered)] == ["user", "assistant"]


def test_the_placeholder_may_occur_in_the_chat(chat: Chat) -> None:
    example = Example.of_chat("A placeholder, placeholderx?", "placeholder")
    assert said(render(chat("plain"), example)) == [
        ("user", "A placeholder, placeholderx?"),
        ("assistant", "placeholder"),
    ]


@pytest.mark.parametrize("kind", ["bytes", "pieces", "letters"])
@pytest.mark.parametrize("template", SOUND)
def test_a_prompt_is_encoded_as_transformers_does(chat: Chat, template: str, kind: str) -> None:
    tokenizer = chat(template, kind)
    prompt = Example.of_chat("Is Paris in France?")
    theirs = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Is Paris in France?"}],
        add_generation_prompt=True,
        return_dict=False,
    )
    assert encode(tokenizer, render(tokenizer, prompt)).ids == theirs


def test_there_is_one_beginning_of_text(chat: Chat) -> None:
    tokenizer = chat("trimming")
    for example in (QUESTION, Example.of_text("Yes."), Example.of_text("<s>Yes.")):
        encoded = encode(tokenizer, render(tokenizer, example))
        assert tokenizer.convert_ids_to_tokens(encoded.ids).count("<s>") == 1
        assert encoded.added == [True] + [False] * (len(encoded.ids) - 1)


def test_what_the_tokenizer_adds_is_marked(chat: Chat) -> None:
    for kind in ("pieces", "letters"):
        tokenizer = chat("plain", kind)
        encoded = encode(tokenizer, render(tokenizer, Example.of_text("Yes.")))
        assert encoded.ids[-1] == tokenizer.eos_token_id
        assert encoded.added == [True] + [False] * (len(encoded.ids) - 2) + [True]
        encoded = encode(tokenizer, render(tokenizer, QUESTION))
        assert not any(encoded.added)
