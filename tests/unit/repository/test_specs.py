"""From a configuration to the core's descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from naiad.config import ModelConfig, complete_defaults, parse_pbtxt
from naiad.errors import ConfigError
from naiad.repository import specs
from naiad.settings import HostPolicy


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The core's classes cannot be read back: what they are made from is."""
    for name in ("ModelSpec", "QueuePolicy", "TensorSpec", "InstanceSpec"):
        monkeypatch.setattr(specs, name, lambda *args, **named: (args, named))


NOTHING_ELSE = {"ragged": False, "shape_values": False}


def config(text: str, num_gpus: int = 0) -> ModelConfig:
    message = parse_pbtxt('name: "m" ' + text)
    complete_defaults(message, num_gpus=num_gpus)
    return ModelConfig(message)


def test_a_model_and_its_tensors() -> None:
    given = config(
        """
        max_batch_size: 8
        input { name: "a" data_type: TYPE_STRING dims: [ 1 ] reshape { shape: [ ] } optional: true }
        output { name: "y" data_type: TYPE_FP32 dims: [ 2, -1 ] }
        dynamic_batching {
          preferred_batch_size: [ 2, 4 ] max_queue_delay_microseconds: 50
          default_queue_policy { max_queue_size: 9 }
        }
        """
    )
    args, named = specs.model_spec(given, 3, {"y": ("cat", "dog")})
    assert args == ("m", 3)
    assert named == {
        "max_batch_size": 8,
        "inputs": [(("a", "BYTES", (1,)), {"reshape": (), "optional": True} | NOTHING_ELSE)],
        "outputs": [(("y", "FP32", (2, -1)), {"reshape": None, "labels": ("cat", "dog")})],
        "dynamic_batching": True,
        "preferred_batch_sizes": (2, 4),
        "max_queue_delay_us": 50,
        "max_queue_size": 9,
        "preserve_ordering": False,
        "levels": [((), {"delays": False, "default_timeout_us": 0, "allow_override": False, "max_size": 9})],
        "default_priority": 0,
        "split_oversize": False,
        "summaries": False,
        "first_response_buckets_ms": (100.0, 500.0, 2000.0, 5000.0),
        "latency_target_us": 0,
        "unbounded_queue": False,
        "content": "",
        "decoupled": False,
        "cached": False,
        "sequence": None,
        "warmups": (),
        "stream_priority": "PRIORITY_DEFAULT",
        "gather_threshold": 0,
        "graphs": False,
        "gpu_memory_limit_bytes": 0,
    }


def test_how_a_model_uses_a_gpu() -> None:
    _, named = specs.model_spec(
        config(
            "optimization { priority: PRIORITY_MAX gather_kernel_buffer_threshold: 16 } "
            'parameters { key: "gpu_memory_limit_bytes" value { string_value: "1048576" } }'
        ),
        1,
        {},
    )
    assert named["stream_priority"] == "PRIORITY_MAX"
    assert named["gather_threshold"] == 16
    assert named["gpu_memory_limit_bytes"] == 1 << 20


def test_without_a_batcher() -> None:
    _, named = specs.model_spec(config(""), 1, {})
    assert not named["dynamic_batching"]
    assert named["preferred_batch_sizes"] == ()


@pytest.mark.parametrize(
    ("groups", "num_gpus", "expected"),
    [
        ("", 0, [("m_0", "CPU", 0)]),
        ("instance_group { count: 2 kind: KIND_CPU }", 2, [("m_0_0", "CPU", 0), ("m_0_1", "CPU", 0)]),
        (
            'instance_group { name: "g" count: 2 kind: KIND_GPU gpus: [ 1, 0 ] }',
            2,
            [("g_0", "GPU", 1), ("g_1", "GPU", 0), ("g_2", "GPU", 1), ("g_3", "GPU", 0)],
        ),
        ("instance_group { kind: KIND_MODEL }", 1, [("m_0_0", "CPU", 0)]),
    ],
)
def test_instances_and_their_devices(groups: str, num_gpus: int, expected: list[Any]) -> None:
    made: Any = specs.instance_specs(config(groups, num_gpus))
    found = [(name, named.get("device_kind", "CPU"), named.get("device_id", 0)) for (name,), named in made]
    assert found == expected


def test_what_an_instance_needs_of_the_rate_limiter() -> None:
    text = """instance_group { passive: true rate_limiter { priority: 3
      resources [ { name: "R" count: 2 }, { name: "G" global: true count: 1 } ] } }"""
    made: Any = specs.instance_specs(config(text))
    assert made[0][1] == {
        "device_kind": "CPU",
        "device_id": 0,
        "resources": {("R", -1): 2, ("G", -2): 1},
        "priority": 3,
        "passive": True,
        "cpus": (),
        "numa_node": None,
    }


def test_where_instances_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "node1").mkdir()
    (tmp_path / "node1" / "cpulist").write_text("4-6,9\n")
    monkeypatch.setattr(specs, "_NODES", tmp_path)
    policies = {"cpu": HostPolicy((0, 2)), "gpu_1": HostPolicy((), 1), "own": HostPolicy((7,), 1)}
    groups = """instance_group [ { kind: KIND_CPU }, { kind: KIND_CPU host_policy: "own" },
      { kind: KIND_GPU gpus: [ 0, 1 ] }, { kind: KIND_CPU host_policy: "unknown" } ]"""
    made: Any = specs.instance_specs(config(groups, 2), policies)
    assert [(named["cpus"], named["numa_node"]) for _, named in made] == [
        ((0, 2), None),
        ((7,), 1),
        ((), None),
        ((4, 5, 6, 9), 1),
        ((), None),
    ]
    with pytest.raises(ConfigError, match="host policy 'cpu' names NUMA node 5, which this machine has not"):
        specs.instance_specs(config(""), {"cpu": HostPolicy((), 5)})


def test_each_priority_has_its_own_policy_or_the_default_one() -> None:
    _, named = specs.model_spec(
        config(
            """dynamic_batching { priority_levels: 3 default_priority_level: 2 preserve_ordering: true
            priority_queue_policy { key: 2 value { timeout_action: DELAY default_timeout_microseconds: 7
              allow_timeout_override: true max_queue_size: 5 } } }"""
        ),
        1,
        {},
    )
    own = {"delays": True, "default_timeout_us": 7, "allow_override": True, "max_size": 5}
    assert named["levels"] == [((), {}), ((), own), ((), {})]
    assert (named["default_priority"], named["preserve_ordering"]) == (2, True)
    assert named["max_queue_size"] == 0  # not all have a bound
