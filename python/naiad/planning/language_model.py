"""A language model's weights and KV cache: its config.json, the engine's model.json, the headers of its
weights.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from naiad.errors import InvalidArgument
from naiad.planning.model_size import KvShape, ModelSize
from naiad.planning.tensor_files import GgufHead, gguf_head, safetensors_sizes

DEFAULT_KV_TOKENS = 32768
"""Of all requests together, where neither the engine's arguments nor the caller say."""

_BLOCK_TOKENS = 16
_NARROW_KV = {"fp8": 1.0, "fp8_e4m3": 1.0, "fp8_e5m2": 1.0, "int8": 1.0}
_QUANTIZED = {"fp8": 1.0, "int8": 1.0, "bitsandbytes": 0.5}
"""Bytes of a weight that the engine itself quantises when it loads the model."""
_KEPT_WIDE = ("embed", "lm_head", "norm", "bias")
"""Parts of names of tensors that are not quantised then."""


def engine_size(name: str, arguments: Mapping[str, Any], kv_tokens: int | None) -> ModelSize:
    """Of a model.json of vLLM. Its ``model`` is a folder, a .gguf file, or a name in the hub's local cache.

    ``kv_tokens``: in place of what the arguments say.
    """
    source = arguments.get("model")
    path = _place_of(str(source)) if source else None
    if path is None:
        return ModelSize(
            name,
            0,
            basis="unknown",
            detail=f"'{source}' is not on this machine",
            can_shard=True,
            is_engine=True,
        )
    if path.is_file():
        return gguf_size(name, path, kv_tokens)
    config = _read_json(path / "config.json")
    weights, detail = _weights(path, config, arguments)
    kv_bytes, kv_detail = _kv_cache(config, arguments, kv_tokens)
    return ModelSize(
        name,
        weights,
        kv_bytes,
        detail=f"{detail}; {kv_detail}",
        can_shard=True,
        is_engine=True,
    )


def gguf_size(name: str, path: Path, kv_tokens: int | None) -> ModelSize:
    """Of a GGUF file."""
    head = gguf_head(path)
    shape = _gguf_kv(head)
    tokens = kv_tokens
    if tokens is None:
        tokens = min(DEFAULT_KV_TOKENS, head.number("context_length") or DEFAULT_KV_TOKENS)
    kv = shape.bytes_per_token * tokens if shape is not None else 0.0
    detail = f"GGUF file; {_kv_words(tokens)}" if shape is not None else "GGUF file; KV cache not known"
    return ModelSize(name, head.size_bytes, kv, detail=detail, can_shard=True)


def kv_shape(config: Mapping[str, Any], bytes_per_value: float) -> KvShape | None:
    """Of a config.json; None where it does not say."""
    text = config.get("text_config") or config.get("llm_config") or config
    layers, queries = text.get("num_hidden_layers"), text.get("num_attention_heads")
    if not isinstance(layers, int) or not isinstance(queries, int):
        return None
    if isinstance(latent := text.get("kv_lora_rank"), int) and latent:
        rope = text.get("qk_rope_head_dim")
        return KvShape(layers, 1, 0, bytes_per_value, latent + (rope if isinstance(rope, int) else 0))
    # Layers that look at a picture, or that keep a state in place of a cache, grow by no token.
    without = len(text.get("cross_attention_layers") or ())
    kinds = text.get("layer_types") or ()
    without += sum(kind in ("linear_attention", "mamba") for kind in kinds)
    head_size = text.get("head_dim") or (text.get("hidden_size") or 0) // queries
    heads = text.get("num_key_value_heads") or queries
    return KvShape(layers - without, int(heads), int(head_size), bytes_per_value)


def _weights(path: Path, config: Mapping[str, Any], arguments: Mapping[str, Any]) -> tuple[float, str]:
    wanted = _QUANTIZED.get(str(arguments.get("quantization") or ""))
    if config.get("quantization_config"):
        wanted = None  # it lies there quantised
    files = sorted(path.glob("*.safetensors"))
    # Mistral's own form beside that of the hub holds the same weights once more.
    several = [file for file in files if not file.name.startswith("consolidated")] or files
    if not several:
        size = sum(file.stat().st_size for file in path.glob("pytorch_model*.bin"))
        if not size:
            raise InvalidArgument(f"'{path}' holds no weights (*.safetensors)")
        return size, f"{path.name}: pytorch_model.bin"
    total = 0.0
    widen = 4 if str(arguments.get("dtype")) in ("float32", "float") else 2
    for file in several:
        for tensor in safetensors_sizes(file):
            wide = len(tensor.shape) < 2 or any(part in tensor.name for part in _KEPT_WIDE)
            if wanted is not None and tensor.is_float16 and not wide:
                total += tensor.count * wanted
            elif tensor.is_float16:
                total += tensor.count * widen
            else:
                total += tensor.size_bytes
    how = f", quantised to {arguments['quantization']}" if wanted is not None else ""
    return total, f"{path.name}: {len(several)} safetensors{how}"


def _kv_cache(
    config: Mapping[str, Any], arguments: Mapping[str, Any], kv_tokens: int | None
) -> tuple[float, str]:
    fixed = arguments.get("kv_cache_memory_bytes")
    if kv_tokens is None and isinstance(fixed, int):
        return float(fixed), "KV cache as kv_cache_memory_bytes says"
    shape = kv_shape(config, _NARROW_KV.get(str(arguments.get("kv_cache_dtype")), 2.0))
    if shape is None:
        return 0.0, "KV cache not known"
    if kv_tokens is None:
        blocks = arguments.get("num_gpu_blocks_override")
        longest = arguments.get("max_model_len")
        if isinstance(blocks, int):
            kv_tokens = blocks * int(arguments.get("block_size") or _BLOCK_TOKENS)
        elif isinstance(longest, int):
            # Room for one request of the greatest length is the least that the engine starts with.
            kv_tokens = max(longest, DEFAULT_KV_TOKENS)
        else:
            kv_tokens = DEFAULT_KV_TOKENS
    return shape.bytes_per_token * kv_tokens, _kv_words(kv_tokens)


def _kv_words(tokens: int) -> str:
    return f"KV cache of {tokens} tokens"


def _gguf_kv(head: GgufHead) -> KvShape | None:
    layers, queries = head.number("block_count"), head.number("attention.head_count")
    if layers is None or queries is None:
        return None
    size = head.number("attention.key_length") or (head.number("embedding_length") or 0) // queries
    return KvShape(layers, head.number("attention.head_count_kv") or queries, size)


def _place_of(source: str) -> Path | None:
    """Where the model lies: as it is named, or in the hub's cache."""
    path = Path(source).expanduser()
    if path.is_dir() or path.suffix == ".gguf":
        return path if path.exists() else None
    home = os.environ.get("HF_HOME") or Path.home() / ".cache/huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub"))
    snapshots = cache / f"models--{source.replace('/', '--')}" / "snapshots"
    if source.count("/") > 1 or not snapshots.is_dir():
        return None
    return max(snapshots.iterdir(), key=lambda entry: entry.stat().st_mtime, default=None)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise InvalidArgument(f"'{path}' is not JSON that can be read") from None
    return tree if isinstance(tree, dict) else {}
