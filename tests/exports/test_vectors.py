"""Vectors: GGUF and JSON files hold what was added, and come back equal."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import toy as toys

from repalign.directions import Direction
from repalign.errors import InputError
from repalign.exports import (
    export_gguf,
    export_vllm_lens,
    read_gguf,
    read_vllm_lens,
    verify_export,
)
from repalign.interventions import Ablate, Add, Shift
from repalign.interventions.everywhere import everywhere
from repalign.models import LanguageModel
from repalign.sites import Site

Write = Callable[[LanguageModel, Any, Path], Path]
BOTH = [(export_gguf, read_gguf, ".gguf"), (export_vllm_lens, read_vllm_lens, ".json")]


@pytest.mark.parametrize(("write", "read", "suffix"), BOTH)
def test_what_is_read_back_is_what_was_added(
    model: LanguageModel,
    write: Write,
    read: Any,
    suffix: str,
    direct: Callable[..., Direction],
    texts: Sequence[str],
    tmp_path: Path,
) -> None:
    one, other = Add(direct(0), 1.5), Shift(direct(1).vector, -2.0)
    wanted: dict[Site, Any] = {Site(1): one, Site(3): other, Site(2, "resid_pre"): other}
    path = write(model, wanted, tmp_path / f"vector{suffix}")
    found = read(path, model)
    assert set(found) == {Site(1), Site(3)}
    # resid_pre of layer 2 is resid_post of layer 1.
    assert np.allclose(found[Site(1)].push, one.push + other.push, atol=1e-6)
    assert np.array_equal(found[Site(3)].push, other.push)
    verified = verify_export(model, wanted, path, texts)
    assert verified.passed
    assert verified.worst < 1e-9


@pytest.mark.parametrize(("write", "read", "suffix"), BOTH)
def test_what_is_no_vector_after_a_block_is_refused(
    model: LanguageModel,
    write: Write,
    read: Any,
    suffix: str,
    direct: Callable[..., Direction],
    tmp_path: Path,
) -> None:
    path = tmp_path / f"vector{suffix}"
    with pytest.raises(InputError, match=r"Ablate cannot be exported .*'weights' .*'lora'"):
        write(model, everywhere(model, Ablate.of(direct(0))), path)
    with pytest.raises(InputError, match=r"L1\.attn_out cannot be exported .*'weights' "):
        write(model, {Site(1, "attn_out"): Add(direct(0), 1.0)}, path)
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write(model, {Site(1): Add(direct(0), 1.0)}, path)
    assert path.read_text() == "mine"


def test_the_gguf_file_is_what_llama_cpp_reads(
    model: LanguageModel, direct: Callable[..., Direction], tmp_path: Path
) -> None:
    push = Add(direct(0), 1.0)
    path = export_gguf(model, {Site(1): push, Site(3): push}, tmp_path / "vector.gguf")
    reader = gguf.GGUFReader(str(path))

    def value(key: str) -> Any:
        field = reader.get_field(key)
        assert field is not None
        return field.contents()

    assert value("general.architecture") == "controlvector"
    assert value("controlvector.model_hint") == "llama"
    assert value("controlvector.layer_count") == 2
    assert [tensor.name for tensor in reader.tensors] == ["direction.1", "direction.3"]
    for tensor in reader.tensors:
        assert tensor.tensor_type == gguf.GGMLQuantizationType.F32
        assert np.array_equal(tensor.data, push.push)


def test_layer_0_is_refused_as_llama_cpp_does(
    model: LanguageModel, direct: Callable[..., Direction], tmp_path: Path
) -> None:
    path = tmp_path / "vector.gguf"
    for site in (Site(0), Site(1, "resid_pre")):
        with pytest.raises(InputError, match=r"block 0 .*direction\.0"):
            export_gguf(model, {site: Add(direct(0), 1.0)}, path)
    assert not path.exists()


def _vector(
    path: Path, layers: Sequence[int], width: int = toys.WIDTH, hint: str = "llama", **other: Any
) -> Path:
    """A control vector as repeng writes it."""
    writer = gguf.GGUFWriter(str(path), other.get("kind", "controlvector"))
    writer.add_string("controlvector.model_hint", hint)
    writer.add_uint32("controlvector.layer_count", len(layers))
    for layer in layers:
        data = np.full(width, layer, dtype=other.get("dtype", np.float32))
        writer.add_tensor(f"direction.{layer}", data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_vectors_of_repeng_are_read_whatever_layers_they_have(
    model: LanguageModel, tmp_path: Path
) -> None:
    found = read_gguf(_vector(tmp_path / "v.gguf", [3, 1]), model)
    assert {site: float(shift.push[0]) for site, shift in found.items()} == {Site(1): 1, Site(3): 3}


def test_vectors_of_another_model_are_refused(model: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs float32 of width 32"):
        read_gguf(_vector(tmp_path / "wide.gguf", [1], width=64), model)
    with pytest.raises(InputError, match=r"direction\.9; toy has blocks 0 to 3"):
        read_gguf(_vector(tmp_path / "deep.gguf", [9]), model)
    with pytest.raises(InputError, match=r"direction\.0; "):
        read_gguf(_vector(tmp_path / "zero.gguf", [0, 1]), model)
    with pytest.raises(InputError, match=r"float16"):
        read_gguf(_vector(tmp_path / "half.gguf", [1], dtype=np.float16), model)
    other = _vector(tmp_path / "other.gguf", [1], hint="qwen2")
    with pytest.raises(InputError, match=r"family 'qwen2'; toy is llama.*other_family=True"):
        read_gguf(other, model)
    assert set(read_gguf(other, model, other_family=True)) == {Site(1)}
    with pytest.raises(InputError, match=r"'llama', not a controlvector"):
        read_gguf(_vector(tmp_path / "model.gguf", [1], kind="llama"), model)
    with pytest.raises(InputError, match=r"no tensor called direction"):
        read_gguf(_vector(tmp_path / "empty.gguf", []), model)


def test_what_is_no_gguf_file_is_refused(model: LanguageModel, tmp_path: Path) -> None:
    path = tmp_path / "vector.gguf"
    with pytest.raises(InputError, match="does not exist"):
        read_gguf(path, model)
    path.write_bytes(b"something else, long enough to be looked into")
    with pytest.raises(InputError, match="damaged or no GGUF file"):
        read_gguf(path, model)


def test_the_json_has_the_fields_of_a_steering_vector(
    model: LanguageModel, direct: Callable[..., Direction], tmp_path: Path
) -> None:
    wanted = {Site(0): Add(direct(0), 1.0), Site(2): Add(direct(1), 1.0)}
    record = json.loads(export_vllm_lens(model, wanted, tmp_path / "v.json").read_text())
    activations = record.pop("activations")
    assert record == {
        "layer_indices": [0, 2],
        "scale": 1.0,
        "norm_match": False,
        "position_indices": None,
    }
    assert activations.pop("data")
    assert activations == {
        "dtype": "float32",
        "original_dtype": "torch.float32",
        "shape": [2, toys.WIDTH],
    }


def test_the_scale_of_a_steering_vector_counts(
    model: LanguageModel, direct: Callable[..., Direction], tmp_path: Path
) -> None:
    path = export_vllm_lens(model, {Site(2): Add(direct(0), 1.0)}, tmp_path / "v.json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "scale": -2.0}))
    pushed = read_vllm_lens(path, model)[Site(2)].push
    assert np.allclose(pushed, -2 * Add(direct(0), 1.0).push)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm_match": True}, "norm_match"),
        ({"position_indices": [0]}, "position_indices"),
        ({"layer_indices": [9]}, "layers 0 to 3"),
        ({"layer_indices": [1, 2]}, "for layers"),
        ({"activations": [[0.0]]}, "base64"),
        ({"activations": {"data": "", "dtype": "int16", "shape": [1, 32]}}, "int16"),
        ({"activations": {"data": "", "dtype": "float32", "shape": [1, 32]}}, "cut short"),
        ({"activations": {"data": "", "compression": "zstd"}}, "without compression"),
    ],
)
def test_steering_vectors_that_mean_something_else_are_refused(
    model: LanguageModel,
    change: dict[str, Any],
    message: str,
    direct: Callable[..., Direction],
    tmp_path: Path,
) -> None:
    path = export_vllm_lens(model, {Site(2): Add(direct(0), 1.0)}, tmp_path / "v.json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, **change}))
    with pytest.raises(InputError, match=message):
        read_vllm_lens(path, model)


def test_another_json_file_is_refused(model: LanguageModel, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text("{}")
    with pytest.raises(InputError, match="no SteeringVector"):
        read_vllm_lens(path, model)
