"""What ``parameters`` say of the memory of GPUs, where Triton's configuration has no field for it."""

from __future__ import annotations

from typing import Any

from naiad.errors import ConfigError

GPU_MEMORY_LIMIT = "gpu_memory_limit_bytes"
_MAX_BYTES = (1 << 63) - 1


def gpu_memory_limit_bytes(message: Any) -> int:
    """What the model may have of the core's pool on each GPU; 0: no limit."""
    return int(_value(message) or 0)


def validate_gpu_memory_limit(message: Any) -> None:
    """Raises ConfigError for what is no number of bytes, and for an ensemble, which has no memory."""
    value = _value(message)
    if value is None:
        return
    if not value.isascii() or not value.isdecimal() or not 0 < int(value[:20]) <= _MAX_BYTES:
        raise _wrong(message, f"must be a number of bytes from 1 to {_MAX_BYTES}, got '{value[:40]}'")
    if message.platform == "ensemble":
        raise _wrong(message, "can not be used with an ensemble; it is for the models of its steps")


def _value(message: Any) -> str | None:
    if GPU_MEMORY_LIMIT not in message.parameters:
        return None
    return str(message.parameters[GPU_MEMORY_LIMIT].string_value)


def _wrong(message: Any, what: str) -> ConfigError:
    return ConfigError(
        f"parameter '{GPU_MEMORY_LIMIT}' {what} for {message.name}", field=f'parameters["{GPU_MEMORY_LIMIT}"]'
    )
