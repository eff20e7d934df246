"""A tiny language model with a planted direction, built in memory.

The model is a Llama of 4 blocks and width 32 with random weights. What is planted: the embeddings
of the words `true` and `right` hold `+STRENGTH · direction`, those of `false` and `wrong`, which
are otherwise the same as theirs, hold `-STRENGTH · direction`; nothing else that an embedding,
attention or MLP writes has a part along it, and no attention or MLP reads it. So at every site of
the residual stream a marker's own position projects on the direction to exactly ±STRENGTH, every
other position to 0, and two texts that differ in their last word, a marker, differ there by exactly
`2 · STRENGTH · direction`: a reader that takes another position, row or sign sees another number.
"""

import string
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from repalign.examples import Example
from repalign.models import LanguageModel

LAYERS, WIDTH, CONTEXT = 4, 32, 160
STRENGTH = 2.0
TRUE, FALSE = ("true", "right"), ("false", "wrong")
NOUNS = ("sea", "hill", "moon", "rain", "lamp", "door", "bird", "fish", "leaf", "coin")
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_SPECIAL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")
_WORDS = (*TRUE, *FALSE, *NOUNS, "the", "is", "and", "user", "assistant", "system", "<unk>")


def tokenizer() -> PreTrainedTokenizerFast:
    """Words of the toy are one token, everything else is spelled; `<s>` before a plain text."""
    signs = [*string.ascii_letters, *string.digits, *string.punctuation, "▁", "\n"]
    pieces = ["▁" + word for word in _WORDS] + list(_WORDS)
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*_SPECIAL, *pieces, *signs]))}
    # A unigram model takes the fewest pieces when each costs the same.
    fast = Tokenizer(
        models.Unigram(
            [(piece, -1.0) for piece in vocabulary],
            unk_id=vocabulary["<unk>"],
            byte_fallback=False,
        )
    )
    fast.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    fast.decoder = decoders.Metaspace(prepend_scheme="first", split=True)
    fast.add_special_tokens(list(_SPECIAL))
    fast.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    made.chat_template = TEMPLATE
    return made


def direction() -> Tensor:
    """The planted unit vector `[d_model]`."""
    made = torch.randn(WIDTH, generator=torch.Generator().manual_seed(7))
    return made / made.norm()


def network(words: Any) -> LlamaForCausalLM:
    """The planted Llama for a tokenizer."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.2,
        tie_word_embeddings=False,
        bos_token_id=words.bos_token_id,
        eos_token_id=None,
        pad_token_id=None,
    )
    made = LlamaForCausalLM(config).eval()
    planted = direction()
    with torch.no_grad():
        table = made.model.embed_tokens.weight
        table -= torch.outer(table @ planted, planted)
        for true, false in zip(TRUE, FALSE, strict=True):
            for space in ("", "▁"):
                same = table[words.convert_tokens_to_ids(space + true)].clone()
                table[words.convert_tokens_to_ids(space + true)] = same + STRENGTH * planted
                table[words.convert_tokens_to_ids(space + false)] = same - STRENGTH * planted
        blocks: Any = made.model.layers
        for block in blocks:
            attention, mlp = block.self_attn, block.mlp
            for writer in (attention.o_proj.weight, mlp.down_proj.weight):
                writer -= torch.outer(planted, planted @ writer)
            inputs = (
                attention.q_proj,
                attention.k_proj,
                attention.v_proj,
                mlp.gate_proj,
                mlp.up_proj,
            )
            for reader in inputs:
                reader.weight -= torch.outer(reader.weight @ planted, planted)
    return made


def model(name: str = "toy") -> LanguageModel:
    """A fresh toy."""
    words = tokenizer()
    return LanguageModel(network(words), words, name)


def statements() -> list[Example]:
    """Forty labelled texts of different lengths that end in a marker; a pair is a group."""
    rows = []
    for index in range(20):
        nouns = [NOUNS[(index * step + step) % len(NOUNS)] for step in range(1, index % 3 + 2)]
        begin = "the " + " and ".join(nouns) + " is "
        rows.append(Example.of_text(begin + TRUE[index % 2], 1, f"g{index}"))
        rows.append(Example.of_text(begin + FALSE[index % 2], 0, f"g{index}"))
    return rows
