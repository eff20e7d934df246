"""Spans: the tokens that are read are those that were meant, or there is an error."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from repalign.errors import InputError
from repalign.examples import Example, Message
from repalign.spans import Encoded, Span, encode, pieces, read, render
from repalign.spans.span import PLAIN
from repalign.tokens import Tokens

Chat = Callable[..., PreTrainedTokenizerBase]

QUESTION = Example.of_chat("Is Paris in France?", "Yes, Paris.", system="Be honest.")
THOUGHT = Example.of_chat("Is it?", "<think>\nHm, yes.\n</think>\n\nYes.")
FAST = ("bytes", "bytes_trimmed", "pieces")


def covered(tokenizer: PreTrainedTokenizerBase, example: Example, span: str) -> str:
    """The text that stands under the tokens of a span, by decoding them."""
    reading = read(tokenizer, example, Span.parse(span))
    return str(tokenizer.decode([reading.ids[position] for position in reading.positions]))


@pytest.mark.parametrize("kind", FAST)
@pytest.mark.parametrize("template", ["plain", "trimming", "default_system", "channel"])
def test_each_span_covers_the_words_it_names(chat: Chat, template: str, kind: str) -> None:
    tokenizer = chat(template, kind)
    assert covered(tokenizer, QUESTION, "system").strip() == "Be honest."
    assert covered(tokenizer, QUESTION, "user").strip() == "Is Paris in France?"
    for span in ("assistant", "answer"):
        assert covered(tokenizer, QUESTION, span).strip() == "Yes, Paris."
    assert covered(tokenizer, QUESTION, "regex:Paris").split() == ["Paris", "Paris"]
    assert covered(tokenizer, QUESTION, "last") == "."


words = st.text(alphabet="Yes no.?\té🙂", min_size=1, max_size=12).filter(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(template=st.sampled_from(["plain", "folding", "empty_thought"]), prompt=words, answer=words)
def test_the_answer_and_the_rest_make_up_the_text(
    chat: Chat, template: str, prompt: str, answer: str
) -> None:
    tokenizer = chat(template)
    reading = read(tokenizer, Example.of_chat(prompt, answer.strip()), Span("answer"))
    first = reading.positions[0]
    # Bytes of one character decode together only: the answer is the tail without a gap.
    assert reading.positions == list(range(first, len(reading.ids)))
    before, after = (
        str(tokenizer.decode(ids)) for ids in (reading.ids[:first], reading.ids[first:])
    )
    assert after.strip() == answer.strip()
    assert before + after == reading.text
    every = read(tokenizer, Example.of_chat(prompt, answer.strip()), Span("all")).positions
    assert set(reading.positions) <= set(every)


@pytest.mark.parametrize("template", ["plain", "trimming", "no_system", "folding"])
def test_the_last_prompt_token_sees_what_the_prompt_alone_shows(chat: Chat, template: str) -> None:
    # Same tokens up to there, so a causal model has the same state: one token early or late, and
    # the lists differ.
    tokenizer = chat(template)
    answered = read(tokenizer, Example.of_chat("Is it?", "Yes."), Span("last_prompt"))
    alone = read(tokenizer, Example.of_chat("Is it?"), Span("last"))
    assert answered.ids[: answered.positions[0] + 1] == alone.ids
    assert alone.positions == [len(alone.ids) - 1]
    assert read(tokenizer, Example.of_chat("Is it?"), Span("last_prompt")) == alone


def test_the_last_prompt_token_predicts_the_answer(chat: Chat) -> None:
    for template in ("empty_thought", "channel"):
        tokenizer = chat(template)
        example = Example.of_chat("Is it?", "Yes.")
        answer = read(tokenizer, example, Span("answer")).positions
        assert read(tokenizer, example, Span("last_prompt")).positions == [answer[0] - 1]


def test_thoughts_are_no_answer_and_tags_are_no_thought(chat: Chat) -> None:
    for template in ("plain", "empty_thought"):
        tokenizer = chat(template)
        assert covered(tokenizer, THOUGHT, "think") == "Hm, yes."
        assert covered(tokenizer, THOUGHT, "answer") == "Yes."
        whole = "<think>\nHm, yes.\n</think>\n\nYes."
        assert covered(tokenizer, THOUGHT, "assistant") == whole
    inner = Example.of_chat("Is it?", "Well. <think>Hm</think> Yes.")
    assert covered(chat("plain"), inner, "answer") == "Well. Yes."
    cut = Example.of_chat("Is it?", "<think>Hm, I")
    assert covered(chat("plain"), cut, "think") == "Hm, I"


def test_answer_is_the_last_one_and_roles_are_all_of_them(chat: Chat) -> None:
    turns = [("user", "One?"), ("assistant", "No."), ("user", "Two?"), ("assistant", "Yes.")]
    example = Example(tuple(Message(*turn) for turn in turns))
    tokenizer = chat("plain")
    assert covered(tokenizer, example, "answer") == "Yes."
    assert covered(tokenizer, example, "assistant") == "No.Yes."
    assert covered(tokenizer, example, "user") == "One?Two?"


def test_all_is_everything_but_what_says_nothing(chat: Chat) -> None:
    text = Example.of_text("Yes.")
    for kind in ("pieces", "letters"):  # both put <s> before and </s> after
        reading = read(chat("plain", kind), text, Span("all"))
        assert reading.positions == list(range(1, len(reading.ids) - 1))
        assert read(chat("plain", kind), text, Span("last")).positions == [len(reading.ids) - 2]
    reading = read(chat("trimming"), QUESTION, Span("all"))  # the template writes <s>
    assert reading.positions == list(range(1, len(reading.ids)))
    reading = read(chat("plain"), QUESTION, Span("all"))
    assert reading.positions == list(range(len(reading.ids)))


def test_all_tokens_of_a_character_are_read(chat: Chat) -> None:
    example = Example.of_text("Yes 🙂é no")
    reading = read(chat("plain"), example, Span.parse("regex:🙂"))
    assert len(reading.positions) >= 3  # the emoji has four bytes
    assert covered(chat("plain"), example, "regex:🙂").strip() == "🙂"
    assert covered(chat("plain"), example, "chars:5-6") == "é"


def test_a_token_is_read_if_it_covers_one_character_of_the_range(chat: Chat) -> None:
    tokenizer = chat("plain")
    example = Example.of_text("Is Paris in France")
    whole = read(tokenizer, example, Span.parse("chars:3-8"))
    assert covered(tokenizer, example, "chars:3-8").strip() == "Paris"
    assert len(whole.positions) == 1, "the toy tokenizer has a token for the word"
    assert read(tokenizer, example, Span.parse("chars:5-6")).positions == whole.positions
    # END is not included: the character after it belongs to another token.
    assert covered(tokenizer, example, "chars:0-2") == "Is"
    assert covered(tokenizer, example, "chars:0-3") == "Is Paris"


def test_a_group_of_the_pattern_is_read_alone(chat: Chat) -> None:
    example = Example.of_text("The city of Rome is in Italy. The city of Paris is in France.")
    assert covered(chat("plain"), example, r"regex:city of (\w+)").split() == ["Rome", "Paris"]
    assert covered(chat("plain"), example, "regex:city of").split() == ["city", "of"] * 2


@pytest.mark.parametrize(
    ("example", "span", "advice"),
    [
        (Example.of_chat("Is it?"), "system", "system turn of their own"),
        (Example.of_text("It is."), "user", "'all' reads any text"),
        (Example.of_chat("Is it?"), "assistant", "'last_prompt'"),
        (Example.of_chat("Is it?"), "answer", "Its parts: user. Give the examples an assistant"),
        (Example.of_chat("Is it?", "<think>Hm</think>"), "answer", "assistant, and a thought"),
        (Example.of_chat("Is it?", "Yes."), "think", "inside <think>"),
        (Example.of_chat("Is it?", "<think></think>Yes."), "think", "inside <think>"),
        (Example.of_text("It is."), "last_prompt", "for a plain text take 'last'"),
        (Example.of_text("It is."), "regex:it", "upper and lower case"),
        (Example.of_text("It is."), "regex:x*", "upper and lower case"),
    ],
)
def test_an_empty_span_is_an_error(chat: Chat, example: Example, span: str, advice: str) -> None:
    with pytest.raises(InputError) as error:
        read(chat("plain"), example, Span.parse(span))
    message = str(error.value)
    assert f"Span {span!r} covers no token" in message
    assert f"of the example {repr(example.text)[:7]}" in message
    assert advice in message


def test_a_long_example_is_named_by_its_beginning(chat: Chat) -> None:
    with pytest.raises(InputError, match=f"'{'x' * 60}…'") as error:
        read(chat("plain"), Example.of_text("x" * 61), Span("answer"))
    assert "x" * 61 not in str(error.value)


def test_nothing_but_added_tokens_is_an_error(chat: Chat) -> None:
    for span in (Span("last"), Span("all")):
        with pytest.raises(InputError, match="covers no token"):
            read(chat("plain"), Example.of_text("<s>"), span)


def test_a_range_beyond_the_text_is_an_error(chat: Chat) -> None:
    example = Example.of_text("It is.")
    assert covered(chat("plain"), example, "chars:0-6") == "It is."
    with pytest.raises(InputError, match=r"'chars:0-7' goes beyond.*has 6 characters"):
        read(chat("plain"), example, Span.parse("chars:0-7"))


def test_a_slow_tokenizer_reads_last_and_all_and_says_so(chat: Chat) -> None:
    tokenizer = chat("plain", "letters")
    assert covered(tokenizer, QUESTION, "last") == "."
    assert covered(tokenizer, Example.of_chat("Is it?"), "last_prompt") == "\n"
    assert len(read(tokenizer, QUESTION, Span("all")).positions) > 20
    for span in ("answer", "last_prompt", "regex:Yes", "chars:0-3"):
        with pytest.raises(InputError, match=r"slow one.*Load its fast version"):
            read(tokenizer, QUESTION, Span.parse(span))


def test_lost_offsets_are_an_error_and_not_a_shorter_span(chat: Chat) -> None:
    tokenizer = chat("plain")
    rendered = render(tokenizer, QUESTION)
    encoded = encode(tokenizer, rendered)
    assert encoded.offsets is not None
    last_word = Span("answer").positions(rendered, encoded)[2]
    start, _ = encoded.offsets[last_word]
    broken = list(encoded.offsets)
    broken[last_word] = (start, start)
    with pytest.raises(InputError, match="no token covers"):
        Span("answer").positions(rendered, Encoded(encoded.ids, broken, encoded.added))


@pytest.mark.parametrize("side", ["left", "right"])
def test_spans_never_include_padding(chat: Chat, side: str) -> None:
    tokenizer = chat("plain")
    short, long = Example.of_chat("Is it?", "Yes."), QUESTION
    for span in map(Span.parse, ("last", "answer", "all", "regex:s")):
        readings = [read(tokenizer, example, span) for example in (short, long)]
        tokens = Tokens.pad([reading.ids for reading in readings], 0, side=side)  # pyright: ignore[reportArgumentType]
        mask = tokens.mask([reading.positions for reading in readings])
        assert not (mask & ~tokens.attended).any()
        for row, reading in enumerate(readings):
            wanted = [reading.ids[position] for position in reading.positions]
            assert tokens.ids[row][mask[row]].tolist() == wanted


@pytest.mark.parametrize("kind", FAST)
def test_pieces_make_up_the_text_and_show_what_is_read(chat: Chat, kind: str) -> None:
    tokenizer = chat("trimming", kind)
    example = Example.of_chat("Is  it 🙂 ?", "Yes, it is 🙂")
    reading = read(tokenizer, example, Span("answer"))
    shown = pieces(tokenizer, reading)
    assert len(shown) == len(reading.ids)
    assert "".join(piece.text for piece in shown) == reading.text
    assert "".join(piece.text for piece in shown if piece.kept).strip() == "Yes, it is 🙂"
    # The last of the emoji's tokens carries it, so that reading that token alone shows it.
    last = pieces(tokenizer, read(tokenizer, example, Span("last")))
    assert [piece.text.strip() for piece in last if piece.kept] == ["🙂"]


def test_pieces_keep_white_space_that_no_token_covers(chat: Chat) -> None:
    tokenizer = chat("plain", "bytes_trimmed")
    text = "Yes  no\n\n "
    shown = pieces(tokenizer, read(tokenizer, Example.of_text(text), Span.parse("regex:no")))
    assert "".join(piece.text for piece in shown) == text
    assert shown[0] == ("", False)


def test_pieces_of_a_slow_tokenizer_are_its_decoded_tokens(chat: Chat) -> None:
    tokenizer = chat("plain", "letters")
    shown = pieces(tokenizer, read(tokenizer, Example.of_text("No."), Span("last")))
    assert shown == [("<s>", False), ("N", False), ("o", False), (".", True), ("</s>", False)]


spans = st.one_of(
    st.sampled_from(PLAIN).map(Span),
    st.from_regex(r"[a-z :.]*[a-z][a-z :.|]*", fullmatch=True).map(
        lambda text: Span("regex", text)
    ),
    st.tuples(st.integers(0, 99), st.integers(1, 99)).map(
        lambda pair: Span("chars", f"{pair[0]}-{pair[0] + pair[1]}")
    ),
)


@given(spans)
def test_a_span_prints_as_it_is_read(span: Span) -> None:
    assert Span.parse(str(span)) == span


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("anwser", "There is no span 'anwser'. Did you mean 'answer'"),
        ("regx:a", "Did you mean 'regex'"),
        ("last:3", "'last' takes no argument, but '3'"),
        ("regex", "write regex:PATTERN"),
        ("regex:(", r"'\(' is not a regular expression"),
        ("chars:5-5", "not a range of characters"),
        ("chars:-5", "not a range of characters"),
        ("chars", "write chars:START-END|Write chars:START-END"),
        ("", "There is no span ''"),
    ],
)
def test_a_span_that_cannot_be_meant_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Span.parse(text)
