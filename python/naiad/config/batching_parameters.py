"""What ``parameters`` say of batching, where Triton's configuration has no field for it."""

from __future__ import annotations

from typing import Any

from naiad.config.parameter import check_number, refuse_where, value_of, wrong

SPLIT = "split_oversize_batches"
QUEUE_DELAY = "max_queue_delay_microseconds"
LATENCY_TARGET = "latency_target_microseconds"
_AUTO = "auto"
_MAX_TARGET_US = 3_600_000_000


def splits_oversize(message: Any) -> bool:
    """Whether a batch over ``max_batch_size`` is run in parts."""
    return value_of(message, SPLIT) == "true"


def latency_target_us(message: Any) -> int:
    """What queue and compute may take where the queue delay is found by itself; 0: it is not."""
    return int(value_of(message, LATENCY_TARGET) or 0)


def validate_batching_parameters(message: Any) -> None:
    """Raises ConfigError for the first of them that is wrong, or that the model can not have."""
    _split(message)
    _queue_delay(message)


def _split(message: Any) -> None:
    value = value_of(message, SPLIT)
    if value not in (None, "true", "false"):
        raise wrong(message, SPLIT, f"must be 'true' or 'false', got '{value}'")
    if value != "true":
        return
    refuse_where(
        message,
        SPLIT,
        ("an ensemble", message.platform == "ensemble"),
        ("a model whose 'max_batch_size' is 0", message.max_batch_size == 0),
        ("a model with 'sequence_batching'", message.HasField("sequence_batching")),
        ("a decoupled model", message.model_transaction_policy.decoupled),
    )


def _queue_delay(message: Any) -> None:
    delay, target = value_of(message, QUEUE_DELAY), value_of(message, LATENCY_TARGET)
    if delay not in (None, _AUTO):
        raise wrong(
            message,
            QUEUE_DELAY,
            f"must be '{_AUTO}', got '{delay}'; a number is for "
            f"'dynamic_batching.max_queue_delay_microseconds'",
        )
    if delay is None:
        if target is not None:
            raise wrong(message, LATENCY_TARGET, f"needs the parameter '{QUEUE_DELAY}' to be '{_AUTO}'")
        return
    refuse_where(
        message,
        QUEUE_DELAY,
        ("a model without 'dynamic_batching'", not message.HasField("dynamic_batching")),
        (
            "a model with 'dynamic_batching.max_queue_delay_microseconds'",
            message.dynamic_batching.max_queue_delay_microseconds != 0,
        ),
        ("a decoupled model", message.model_transaction_policy.decoupled),
    )
    if target is None:
        raise wrong(message, QUEUE_DELAY, f"needs the parameter '{LATENCY_TARGET}'")
    check_number(message, LATENCY_TARGET, _MAX_TARGET_US)
