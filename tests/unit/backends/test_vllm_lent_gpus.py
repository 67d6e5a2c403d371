"""GPUs that Ray has reserved for an engine: what of model.json has to fit them."""

from __future__ import annotations

from typing import Any

import pytest

from naiad.backends.vllm.lent_gpus import VARIABLE, LentGpus, lent_gpus
from naiad.backends.vllm.model_json import EngineArguments
from naiad.config import ModelConfig, parse_pbtxt
from naiad.errors import ConfigError

LENT = LentGpus("ab12", 4)


def arguments(count: int = 1, **values: Any) -> dict[str, Any]:
    group = f'instance_group [ {{ name: "i" kind: KIND_MODEL count: {count} }} ]'
    config = ModelConfig(parse_pbtxt(f'name: "llm" backend: "vllm" {group}'))
    engine = EngineArguments(dict(values), "generate", None, "model 'llm': model.json")
    return LENT.arguments(config, engine)


def test_the_variable_says_both() -> None:
    assert lent_gpus({VARIABLE: str(LENT)}) == LENT
    assert lent_gpus({}) is None


def test_the_engine_runs_on_ray() -> None:
    found = arguments(tensor_parallel_size=2, pipeline_parallel_size=2)
    assert found["distributed_executor_backend"] == "ray"
    assert arguments(tensor_parallel_size=4, distributed_executor_backend="ray") == {
        "tensor_parallel_size": 4,
        "distributed_executor_backend": "ray",
    }


@pytest.mark.parametrize(
    ("count", "values", "reason"),
    [
        (1, {}, "is 1, and 4 GPUs are reserved"),
        (1, {"tensor_parallel_size": 8}, "is 8, and 4 GPUs are reserved"),
        (1, {"tensor_parallel_size": 4, "distributed_executor_backend": "mp"}, "must be 'ray'.*got 'mp'"),
        (2, {"tensor_parallel_size": 4}, "instance_group.count is 2: use more replicas"),
    ],
)
def test_what_does_not_fit_is_refused(count: int, values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        arguments(count, **values)
