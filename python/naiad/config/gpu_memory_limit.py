"""What ``parameters`` say of the memory of GPUs, where Triton's configuration has no field for it."""

from __future__ import annotations

from typing import Any

from naiad.config.parameter import check_number, refuse_where, value_of

GPU_MEMORY_LIMIT = "gpu_memory_limit_bytes"
_MAX_BYTES = (1 << 63) - 1


def gpu_memory_limit_bytes(message: Any) -> int:
    """What the model may have of the core's pool on each GPU; 0: no limit."""
    return int(value_of(message, GPU_MEMORY_LIMIT) or 0)


def validate_gpu_memory_limit(message: Any) -> None:
    """Raises ConfigError for what is no number of bytes, and for an ensemble, which has no memory."""
    if GPU_MEMORY_LIMIT not in message.parameters:
        return
    check_number(message, GPU_MEMORY_LIMIT, _MAX_BYTES, "a number of bytes")
    is_ensemble = message.platform == "ensemble"
    refuse_where(message, GPU_MEMORY_LIMIT, ("an ensemble; it is for the models of its steps", is_ensemble))
