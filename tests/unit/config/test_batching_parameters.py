"""Splitting and the queue delay that is found: what is taken, and what is refused by name."""

from __future__ import annotations

import pytest

from naiad.config import ModelConfig, complete_backend, complete_defaults, parse_pbtxt, validate
from naiad.errors import ConfigError

PLAIN = """
backend: "python" max_batch_size: 8
input { name: "A" data_type: TYPE_INT32 dims: 4 } output { name: "O" data_type: TYPE_INT32 dims: 4 }
"""
DYNAMIC = PLAIN + "dynamic_batching { } "
STEP = 'step { model_name: "a" input_map { key: "A" value: "A" } output_map { key: "O" value: "O" } }'
DECOUPLED = "model_transaction_policy { decoupled: true }"


def parameter(key: str, value: str) -> str:
    return f' parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'


SPLIT = parameter("split_oversize_batches", "true")
AUTO = parameter("max_queue_delay_microseconds", "auto")
TARGET = parameter("latency_target_microseconds", "5000")


def checked(text: str) -> ModelConfig:
    message = parse_pbtxt(text)
    complete_backend(message, model_name="m", filenames=["model.py"])
    complete_defaults(message, num_gpus=0)
    validate(message, model_name="m")
    return ModelConfig(message)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PLAIN + parameter("split_oversize_batches", "yes"), "must be 'true' or 'false', got 'yes'"),
        (PLAIN.replace("8", "0", 1) + SPLIT, "can not be used with a model whose 'max_batch_size' is 0"),
        (PLAIN + "sequence_batching { }" + SPLIT, "can not be used with a model with 'sequence_batching'"),
        (PLAIN + DECOUPLED + SPLIT, "can not be used with a decoupled model"),
        (
            f'platform: "ensemble" max_batch_size: 4 ensemble_scheduling {{ {STEP} }}' + SPLIT,
            "can not be used with an ensemble",
        ),
        (
            DYNAMIC + parameter("max_queue_delay_microseconds", "100"),
            "must be 'auto', got '100'; a number",
        ),
        (DYNAMIC + TARGET, "needs the parameter 'max_queue_delay_microseconds' to be 'auto'"),
        (DYNAMIC + AUTO, "needs the parameter 'latency_target_microseconds'"),
        (PLAIN + AUTO + TARGET, "can not be used with a model without 'dynamic_batching'"),
        (
            PLAIN + "dynamic_batching { max_queue_delay_microseconds: 1 }" + AUTO + TARGET,
            "can not be used with a model with 'dynamic_batching.max_queue_delay_microseconds'",
        ),
        (DYNAMIC + DECOUPLED + AUTO + TARGET, "can not be used with a decoupled model"),
        (DYNAMIC + AUTO + parameter("latency_target_microseconds", "0"), "must be a number from 1 to"),
        (DYNAMIC + AUTO + parameter("latency_target_microseconds", "-4"), "must be a number from 1 to"),
        (DYNAMIC + AUTO + parameter("latency_target_microseconds", "9" * 30), "must be a number from 1 to"),
    ],
)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(text)
    assert words in str(caught.value)
    assert str(caught.value).startswith("parameter '")
    assert caught.value.field is not None and caught.value.field.startswith('parameters["')


def test_taken() -> None:
    config = checked(DYNAMIC + SPLIT + AUTO + TARGET)
    assert config.splits_oversize
    assert config.latency_target_us == 5000
    plain = checked(PLAIN + DECOUPLED + parameter("split_oversize_batches", "false"))
    assert not plain.splits_oversize
    assert plain.latency_target_us == 0
