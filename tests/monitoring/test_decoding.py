import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from repalign.monitoring.decoding import Decoder
from repalign.spans import Reading


@pytest.fixture(scope="module")
def bytes_only() -> PreTrainedTokenizerFast:
    """Every byte is a token, and so is `<think>`, `</think>` and `<end>`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({sign: place for place, sign in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<end>"])
    made.add_tokens(["<think>", "</think>"])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>")


def decoded(
    tokenizer: PreTrainedTokenizerFast, prompt: str, answer: str, thoughts: bool = False
) -> list[tuple[str, bool]]:
    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]  # pyright: ignore

    reading = Reading(ids(prompt), [0], None, prompt)
    decoder = Decoder(tokenizer, reading, ids("<end>"), thoughts)
    return [decoder.add(token) for token in ids(answer)]


@pytest.mark.parametrize("answer", ["plain words ", "Zürich → 東京", "a 👩‍👩‍👧 b", "é", "\n\n  x"])
def test_the_texts_of_tokens_joined_are_the_answer(
    bytes_only: PreTrainedTokenizerFast, answer: str
) -> None:
    assert "".join(text for text, _ in decoded(bytes_only, "Say: ", answer)) == answer


def test_a_character_of_several_tokens_comes_with_the_last_of_them(
    bytes_only: PreTrainedTokenizerFast,
) -> None:
    assert decoded(bytes_only, "?", "ü!") == [("", True), ("ü", True), ("!", True)]


def test_a_special_token_says_nothing_and_does_not_count(
    bytes_only: PreTrainedTokenizerFast,
) -> None:
    assert decoded(bytes_only, "?", "a<end>") == [("a", True), ("", False)]


def test_thoughts_and_the_space_after_them_do_not_count(
    bytes_only: PreTrainedTokenizerFast,
) -> None:
    found = decoded(bytes_only, "?", "<think>hm</think>\n\nno")
    assert "".join(text for text, counted in found if counted) == "no"
    assert "".join(text for text, _ in found) == "<think>hm</think>\n\nno"
    every = decoded(bytes_only, "?", "<think>hm</think>\n\nno", thoughts=True)
    assert "".join(text for text, counted in every if counted) == "<think>hm</think>\n\nno"


def test_a_thought_that_the_prompt_opens_does_not_count(
    bytes_only: PreTrainedTokenizerFast,
) -> None:
    found = decoded(bytes_only, "?<think>\n", "hm</think>no")
    assert "".join(text for text, counted in found if counted) == "no"
    closed = decoded(bytes_only, "?<think>\n</think>", "no")
    assert "".join(text for text, counted in closed if counted) == "no"


def test_a_space_that_begins_a_word_is_kept(toy_words: PreTrainedTokenizerFast) -> None:
    """Metaspace drops it from what it takes for the beginning of a text."""
    ids = toy_words("the sea is true", add_special_tokens=False)["input_ids"]  # pyright: ignore
    decoder = Decoder(toy_words, Reading(ids[:1], [0], None, "the"), [], False)
    assert [decoder.add(token)[0] for token in ids[1:]] == [" sea", " is", " true"]
