"""What one model takes of a GPU's memory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from naiad.errors import InvalidArgument

Basis = Literal["measured", "weights", "stated", "unknown"]

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_BITS = {
    "fp32": 32, "fp16": 16, "bf16": 16, "fp8": 8, "int8": 8, "int4": 4, "fp4": 4,
    "awq": 4, "gptq": 4, "nvfp4": 4, "mxfp4": 4,
}  # fmt: skip


_KV_KEYS = ("layers", "kv-heads", "head-dim")


@dataclass(frozen=True)
class KvShape:
    """What a language model keeps of each token."""

    layers: int
    heads: int
    """Of keys and values, not of queries."""
    head_size: int
    bytes_per_value: float = 2.0
    latent: int = 0
    """Values per token and layer that take the place of keys and values; 0: none do."""

    @property
    def bytes_per_token(self) -> float:
        """Of all layers."""
        values = self.latent or 2 * self.heads * self.head_size
        return self.layers * values * self.bytes_per_value


@dataclass(frozen=True)
class ModelSize:
    """Bytes, and where they were taken from."""

    name: str
    weights_bytes: float
    kv_bytes: float = 0.0
    basis: Basis = "weights"
    detail: str = ""
    instances: int = 1
    """Each with weights of its own."""
    can_shard: bool = False
    """Several GPUs can hold it together."""
    is_engine: bool = False
    """vLLM runs it, and takes a share of the GPU that its model.json says."""

    @property
    def resident_bytes(self) -> float:
        """Weights of all instances, and KV cache."""
        return self.weights_bytes * self.instances + self.kv_bytes

    @property
    def known(self) -> bool:
        """Whether there is a figure."""
        return self.basis != "unknown"


def bits_of(name: str) -> int:
    """Of one weight, by the name of a data type or quantisation. Raises InvalidArgument."""
    bits = _BITS.get(name.lower().replace("-", ""))
    if bits is None:
        raise InvalidArgument(f"'{name}' is no data type that is known: {', '.join(_BITS)}")
    return bits


def stated_size(text: str) -> ModelSize:
    """``NAME,size=600MB``, or ``NAME,params=70.6B,dtype=int4[,layers=80,kv-heads=8,head-dim=128,
    kv-tokens=32768,kv-dtype=fp16]``, either with ``instances=N``. Raises InvalidArgument.
    """
    name, *parts = text.split(",")
    given = dict(part.partition("=")[::2] for part in parts)
    known = {
        "size",
        "params",
        "dtype",
        "layers",
        "kv-heads",
        "head-dim",
        "kv-tokens",
        "kv-dtype",
        "instances",
    }
    for key in given:
        if key not in known:
            raise InvalidArgument(
                f"model '{name}': unknown setting '{key}'; there are {', '.join(sorted(known))}"
            )
    if not name or ("size" in given) == ("params" in given):
        raise InvalidArgument(f"'{text}' should be NAME,size=600MB or NAME,params=8B,dtype=fp8")
    kv_keys = {*_KV_KEYS, "kv-tokens"}
    if given.keys() & kv_keys and not given.keys() >= kv_keys:
        raise InvalidArgument(f"model '{name}': a KV cache needs {', '.join(sorted(kv_keys))}")
    if "size" in given:
        weights, detail = _amount(given["size"], _UNITS), "as stated"
    else:
        dtype = given.get("dtype", "fp16")
        weights = _amount(given["params"], _COUNTS) * bits_of(dtype) / 8
        detail = f"{given['params']} parameters at {dtype}"
    kv = 0.0
    if "kv-tokens" in given:
        layers, heads, head_size = (int(_amount(given[key], _COUNTS)) for key in _KV_KEYS)
        shape = KvShape(layers, heads, head_size, bits_of(given.get("kv-dtype", "fp16")) / 8)
        kv = shape.bytes_per_token * _amount(given["kv-tokens"], _COUNTS)
        detail += f", KV cache of {given['kv-tokens']} tokens"
    instances = int(_amount(given.get("instances", "1"), _COUNTS))
    return ModelSize(
        name, weights, kv, "stated", detail, instances=max(1, instances), can_shard="params" in given
    )


def bytes_of(text: str) -> float:
    """``8GB``, ``600 MiB``. Raises InvalidArgument."""
    return _amount(text, _UNITS)


def _amount(text: str, units: dict[str, int]) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text)
    unit = match[2].lower() if match else ""
    if match is None or unit not in units:
        raise InvalidArgument(f"'{text}' should be a number, with one of {', '.join(u for u in units if u)}")
    return float(match[1]) * units[unit]
