"""Tokenizers built in memory, and chat templates with the habits of the families in use."""

import string
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

SENTENCES = [
    "Is Paris in France? Yes, Paris is in France.",
    "The answer is no. The city of Rome is in Italy.\n\nYou are an honest assistant.",
]
SPECIAL = ["<s>", "</s>", "<|start|>", "<|end|>", "<|channel|>", "<think>", "</think>"]

_TURN = "{{ '<|start|>' + m.role + '\n' + m.content + '<|end|>\n' }}"
_ANSWER = "{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"
_CLEAN = "{% set text = m.content.split('</think>')[-1].strip() %}"

TEMPLATES = {
    "plain": "{% for m in messages %}" + _TURN + "{% endfor %}" + _ANSWER,
    # Writes the beginning-of-text token, trims what it is given.
    "trimming": "{{ bos_token }}{% for m in messages %}<|start|>{{ m.role }}\n\n"
    "{{ m.content | trim }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n\n{% endif %}",
    # Other names for roles, no system role.
    "no_system": "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}"
    "{{ raise_exception('no system role here') }}{% endif %}"
    "<|start|>{{ 'model' if m.role == 'assistant' else 'user' }}\n{{ m.content | trim }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|start|>model\n{% endif %}",
    # The system turn stands inside the last user turn; no header before an answer.
    "folding": "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{% set system = messages[0].content + '\n\n' %}{% set rest = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}"
    "{% set users = rest | selectattr('role', 'equalto', 'user') | list %}"
    "{% for m in rest %}{% if m.role == 'user' %}"
    "[INST] {{ (system if m is sameas users[-1] else '') + m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}",
    "default_system": "{% if messages[0].role != 'system' %}<|start|>system\nYes.<|end|>\n"
    "{% endif %}{% for m in messages %}" + _TURN + "{% endfor %}" + _ANSWER,
    # Puts an empty thought before an answer that has none, drops thoughts of earlier turns.
    "empty_thought": "{% for m in messages %}{% if m.role == 'assistant' %}" + _CLEAN + "{% set "
    "thought = m.content.split('</think>')[0].split('<think>')[-1].strip() "
    "if '</think>' in m.content else '' %}<|start|>assistant\n"
    "{% if loop.last %}{{ '<think>\n' + thought + '\n</think>\n\n' }}{% endif %}"
    "{{ text + '<|end|>\n' }}{% else %}" + _TURN + "{% endif %}{% endfor %}" + _ANSWER,
    # Opens a thought for the model to go on with, drops every thought of a finished answer.
    "opened_thought": "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}"
    + _CLEAN
    + "<|start|>assistant\n{{ text + '<|end|>' }}{% else %}<|start|>{{ m.role }}\n{{ m.content }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant\n<think>\n' }}"
    "{% endif %}",
    # Names a channel after the header that the generation prompt writes.
    "channel": "{% for m in messages %}<|start|>{{ m.role }}"
    "{{ '<|channel|>final' if m.role == 'assistant' else '' }}\n{{ m.content }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}",
    # Sets the answer off from its thought only if there is an answer.
    "glued": "{% for m in messages %}{% if '</think>' in m.content %}"
    + _CLEAN
    + "<|start|>{{ m.role }}\n{{ m.content.split('</think>')[0] + '</think>' }}"
    "{{ '\n' + text if text else '' }}<|end|>\n{% else %}"
    + _TURN
    + "{% endif %}{% endfor %}"
    + _ANSWER,
    # And the ones that cannot be trusted.
    "two_headed": "{% for m in messages %}" + _TURN + "{% endfor %}"
    "{% if add_generation_prompt %}<|start|>model\n{% endif %}",
    "counting": "{{ messages | length }} turns\n{% for m in messages %}" + _TURN + "{% endfor %}",
    "deaf": "{% for m in messages if m.role != 'system' %}" + _TURN + "{% endfor %}" + _ANSWER,
    "echoing": "{% for m in messages %}" + _TURN + _TURN + "{% endfor %}" + _ANSWER,
    "censoring": "{% for m in messages %}{{ m.role + m.content.replace('Paris', 'Rome') }}"
    "{% endfor %}",
    "measuring": "{% for m in messages %}{{ m.content | length }} signs: {{ m.content }}\n"
    "{% endfor %}",
}


class LetterTokenizer(PreTrainedTokenizer):
    """A slow tokenizer: one token a letter, `<s>` before and `</s>` after."""

    def __init__(self) -> None:
        super().__init__(bos_token="<s>", eos_token="</s>", unk_token="<unk>")

    @property
    def vocab_size(self) -> int:
        return 256

    def get_vocab(self) -> dict[str, int]:
        return {chr(index): index for index in range(256)} | self.added_tokens_encoder

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int:
        return ord(token[0])

    def _convert_id_to_token(self, index: int) -> str:
        return chr(index)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return "".join(tokens)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        begin, end = self.added_tokens_encoder["<s>"], self.added_tokens_encoder["</s>"]
        return [begin, *token_ids_0, end]

    def get_special_tokens_mask(
        self,
        token_ids_0: list[int],
        token_ids_1: list[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        return [1, *[0] * len(token_ids_0), 1]


def _byte_level(trim_offsets: bool) -> Tokenizer:
    """Bytes as GPT-2, Llama 3 and Qwen cut them; `<s>` before a plain text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        show_progress=False,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    bos = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=trim_offsets), bos]
    )
    return tokenizer


def _sentence_piece() -> Tokenizer:
    """Words marked for the space before them, as Llama 2 and Gemma; `<s>` and `</s>` around."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=220,
        show_progress=False,
        special_tokens=[*SPECIAL, "<unk>"],
        initial_alphabet=list(string.printable),
    )
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return tokenizer


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, PreTrainedTokenizerBase]:
    """Tokenizers by kind, without chat template."""

    def fast(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", name_or_path="toy"
        )

    return {
        "bytes": fast(_byte_level(trim_offsets=False)),
        "bytes_trimmed": fast(_byte_level(trim_offsets=True)),
        "pieces": fast(_sentence_piece()),
        "letters": LetterTokenizer(),
    }


@pytest.fixture(scope="session")
def chat(
    tokenizers: dict[str, PreTrainedTokenizerBase],
) -> Callable[..., PreTrainedTokenizerBase]:
    """Return a tokenizer with one of the templates: `chat("plain")`, `chat("plain", "pieces")`.

    The tokenizer is shared: use it before asking for another template of the same kind.
    """

    def with_template(template: str, kind: str = "bytes") -> PreTrainedTokenizerBase:
        tokenizer = tokenizers[kind]
        tokenizer.chat_template = TEMPLATES[template]
        return tokenizer

    return with_template
