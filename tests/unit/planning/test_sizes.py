"""Sizes from the headers of files."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from naiad.errors import InvalidArgument
from naiad.planning.found_sizes import sizes_of, unique
from naiad.planning.language_model import engine_size, gguf_size, kv_shape
from naiad.planning.measure import measured
from naiad.planning.model_size import ModelSize, stated_size
from naiad.planning.prices import read_prices, shipped_text
from naiad.planning.right_size import GB, make_plan
from naiad.planning.tensor_files import gguf_head, safetensors_sizes

LLAMA = {"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 4096}


def safetensors(path: Path, tensors: dict[str, tuple[str, list[int], int]]) -> Path:
    """A file whose weights are left out: name -> dtype, shape, bytes."""
    header, at = {}, 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    return path


def language_model(folder: Path, **config: object) -> Path:
    """2 M values in 16 bits, of which 1 M are an embedding."""
    safetensors(
        folder / "model.safetensors",
        {
            "model.embed_tokens.weight": ("BF16", [1000, 1000], 2_000_000),
            "model.layers.0.mlp.weight": ("BF16", [1000, 1000], 2_000_000),
        },
    )
    (folder / "config.json").write_text(
        json.dumps({"architectures": ["LlamaForCausalLM"], **LLAMA, **config})
    )
    return folder


def gguf(path: Path, *pairs: tuple[str, int | str | list[str]]) -> Path:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    body = b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs))
    for key, value in pairs:
        body += text(key)
        if isinstance(value, int):
            body += struct.pack("<II", 4, value)
        elif isinstance(value, str):
            body += struct.pack("<I", 8) + text(value)
        else:
            body += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    path.write_bytes(body)
    return path


def test_safetensors(tmp_path: Path) -> None:
    path = safetensors(tmp_path / "a.safetensors", {"x": ("F32", [2, 3], 24), "q": ("I8", [4], 4)})
    x, q = safetensors_sizes(path)
    assert (x.count, x.size_bytes, x.is_float16) == (6, 24, True)
    assert (q.count, q.size_bytes, q.is_float16) == (4, 4, False)
    for content in (
        b"",
        b"x" * 8,
        (20).to_bytes(8, "little") + b"{",
        (13).to_bytes(8, "little") + b'{"a": {"b":1}',
    ):
        path.write_bytes(content)
        with pytest.raises(InvalidArgument, match=r"a\.safetensors"):
            list(safetensors_sizes(path))


def test_an_engine_and_its_cache(tmp_path: Path) -> None:
    folder = str(language_model(tmp_path / "m"))
    plain = engine_size("m", {"model": folder}, None)
    # 32 layers x (keys and values) x 8 heads x 128 values x 2 bytes
    assert (plain.weights_bytes, plain.kv_bytes) == (4_000_000, 131_072 * 32768)
    assert plain.can_shard and plain.is_engine
    cut = engine_size("m", {"model": folder, "quantization": "fp8", "kv_cache_dtype": "fp8"}, 1000)
    assert (cut.weights_bytes, cut.kv_bytes) == (3_000_000, 65_536 * 1000)
    for arguments, tokens in (
        ({"max_model_len": 100_000}, 100_000),
        ({"max_model_len": 4096}, 32768),
        ({"num_gpu_blocks_override": 100, "block_size": 32}, 3200),
    ):
        assert engine_size("m", {"model": folder, **arguments}, None).kv_bytes == 131_072 * tokens
    fixed = engine_size("m", {"model": folder, "kv_cache_memory_bytes": 7}, None)
    assert fixed.kv_bytes == 7


def test_a_model_in_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    missing = engine_size("m", {"model": "org/name"}, None)
    assert not missing.known and "org/name" in missing.detail
    language_model(tmp_path / "models--org--name/snapshots/0a")
    assert engine_size("m", {"model": "org/name"}, None).weights_bytes == 4_000_000


def test_what_models_keep_of_a_token() -> None:
    assert kv_shape({}, 2) is None
    latent = {
        "num_hidden_layers": 61,
        "num_attention_heads": 128,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
    }
    shape = kv_shape(latent, 2)
    assert shape is not None and shape.bytes_per_token == 61 * 576 * 2
    picture = kv_shape(
        {"text_config": {**LLAMA, "num_hidden_layers": 40, "cross_attention_layers": [3] * 8}}, 2
    )
    assert picture is not None and picture.bytes_per_token == 131_072
    mixed = kv_shape({**LLAMA, "layer_types": ["linear_attention", "full_attention"] * 16, "head_dim": 64}, 2)
    assert mixed is not None and mixed.bytes_per_token == 16 * 2 * 8 * 64 * 2


def test_gguf(tmp_path: Path) -> None:
    path = gguf(
        tmp_path / "m.gguf",
        ("general.architecture", "llama"),
        ("tokenizer.ggml.tokens", ["a", "bc"]),
        ("llama.block_count", 2),
        ("llama.attention.head_count", 4),
        ("llama.attention.head_count_kv", 1),
        ("llama.embedding_length", 64),
        ("llama.context_length", 100),
    )
    assert gguf_head(path).number("block_count") == 2
    size = gguf_size("m", path, None)
    assert size.weights_bytes == path.stat().st_size and size.kv_bytes == 2 * 2 * 16 * 2 * 100
    (found,) = sizes_of(path, 10)
    assert found.kv_bytes == 2 * 2 * 16 * 2 * 10
    for content in (b"", b"GGUF", b"GGUF" + b"\xff" * 40, path.read_bytes()[:60]):
        path.write_bytes(content)
        with pytest.raises(InvalidArgument, match="no GGUF file"):
            gguf_head(path)


def test_a_repository(tmp_path: Path) -> None:
    def model(name: str, config: str, **files: int) -> None:
        folder = tmp_path / name / "1"
        folder.mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").write_text(config)
        for file, size in files.items():
            (folder / file.replace("__", ".")).write_bytes(b"x" * size)

    model("net", "instance_group { count: 3 }", model__onnx=10, model__data=90, notes__txt=5)
    model("code", 'backend: "python"', model__py=10, weights__bin=50)
    model("bare", 'backend: "python"', model__py=10)
    model("all", 'platform: "ensemble"')
    sizes = {size.name: size for size in sizes_of(tmp_path, None)}
    assert sizes["net"].resident_bytes == 300
    assert sizes["code"].resident_bytes == 50
    assert not sizes["bare"].known
    assert sizes["all"].known and sizes["all"].resident_bytes == 0
    made = make_plan(list(sizes.values()), read_prices())
    assert made.resident_bytes == 350 and any("bare" in warning for warning in made.warnings)
    with pytest.raises(InvalidArgument, match="twice"):
        unique([sizes["net"], sizes["net"]])


def test_an_engine_in_a_repository(tmp_path: Path) -> None:
    language_model(tmp_path / "llm/weights")
    (tmp_path / "llm/1").mkdir()
    (tmp_path / "llm/1/model.json").write_text('{"model": "$$TRITON_MODEL_DIRECTORY/weights"}')
    (size,) = sizes_of(tmp_path / "llm", 0)
    assert (size.weights_bytes, size.kv_bytes, size.is_engine) == (4_000_000, 0, True)


def test_measured(tmp_path: Path) -> None:
    folder = tmp_path / "same/1"
    folder.mkdir(parents=True)
    (tmp_path / "same/config.pbtxt").write_text(
        'backend: "identity" input { name: "a" data_type: TYPE_FP32 dims: 1 } '
        'output { name: "b" data_type: TYPE_FP32 dims: 1 }'
    )
    unknown = ModelSize("same", 0, basis="unknown")
    taken = measured(unknown, [tmp_path], None)
    assert taken.basis == "measured" and "loaded" in taken.detail
    gone = measured(ModelSize("gone", 5), [tmp_path], None)
    assert gone.basis == "weights" and "not measured" in gone.detail and gone.resident_bytes == 5
    engine = ModelSize("e", 5, is_engine=True)
    assert measured(engine, [tmp_path], None) is engine


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "x,size=1GB,params=1B",
        "x,size=much",
        "x,params=8B,dtype=fp9",
        "x,sise=1GB",
        "x,size=1GB,kv-tokens=5",
    ],
)
def test_a_stated_size_that_is_wrong(text: str) -> None:
    with pytest.raises(InvalidArgument):
        stated_size(text)


def test_stated_sizes() -> None:
    assert stated_size("x,size=1.5GiB,instances=2").resident_bytes == 3 << 30
    assert stated_size("x,params=8B,dtype=fp8").resident_bytes == 8 * GB


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("memory_gb = 48", "memory = 48"), "unknown key 'memory'"),
        (("memory_gb = 48\n", ""), "needs memory_gb"),
        (("date = 2026-04-12", ""), "needs date"),
        (("0.72", "'cheap'"), "on_demand should be a number"),
        (("[[gpu]]", "[["), "not TOML"),
    ],
)
def test_a_file_of_prices_that_is_wrong(tmp_path: Path, change: tuple[str, str], reason: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(shipped_text().replace(*change, 1))
    with pytest.raises(InvalidArgument, match=reason):
        read_prices(path)


def test_several_cards() -> None:
    large = stated_size("large,params=200B,dtype=fp8")
    small = stated_size("small,size=20GB")
    cards = {one.gpu.name: one.cards for one in make_plan([large, small], read_prices()).choices}
    assert cards == {
        "H200": 2, "B200 SXM6": 2, "A100 80GB PCIe": 5, "H100 80GB PCIe": 5, "H100 SXM5": 5, "L40S": 9,
    }  # fmt: skip
    whole = ModelSize("whole", 200 * GB)
    assert not make_plan([whole], read_prices()).choices
