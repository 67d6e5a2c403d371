"""What may be tried of a model, and the configuration that makes it so."""

from __future__ import annotations

from typing import Any

import pytest

from naiad.config import ModelConfig, complete_defaults, parse_pbtxt
from naiad.errors import InvalidArgument
from naiad.tuning.candidate import Candidate, apply, current, space_of

TENSORS = (
    'name: "m" backend: "identity" input [ { name: "X" data_type: TYPE_FP32 dims: [ 1 ] } ] '
    'output [ { name: "Y" data_type: TYPE_FP32 dims: [ 1 ] } ] '
)


def completed(text: str) -> tuple[Any, ModelConfig]:
    """What somebody wrote, and what runs."""
    base = parse_pbtxt(TENSORS + text)
    message = parse_pbtxt(TENSORS + text)
    complete_defaults(message)
    return base, ModelConfig(message)


def test_batches_of_one_row_are_not_waited_for() -> None:
    _, config = completed("max_batch_size: 8 dynamic_batching { }")
    space = space_of(config, (1, 2), (1, 8), (0, 100))
    assert space.all() == [
        Candidate(1, 1, None),
        Candidate(1, 8, 0),
        Candidate(1, 8, 100),
        Candidate(2, 1, None),
        Candidate(2, 8, 0),
        Candidate(2, 8, 100),
    ]
    assert len(space.all()) == 6


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("max_batch_size: 24", (1, 2, 4, 8, 16, 24)), ("max_batch_size: 1", (1, 2, 4, 8, 16, 32))],
)
def test_batches_go_up_to_what_the_configuration_allows(text: str, sizes: tuple[int, ...]) -> None:
    _, config = completed(text)
    assert space_of(config, (1,), (), (0,)).batch_sizes == sizes


def test_a_model_without_batches_has_instances_to_tune() -> None:
    _, config = completed("")
    assert space_of(config, (1, 2), (), (0, 100)).all() == [Candidate(1, 0, None), Candidate(2, 0, None)]
    with pytest.raises(InvalidArgument, match="does not batch"):
        space_of(config, (1,), (4,), (0,))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model_transaction_policy { decoupled: true }", "is decoupled"),
        ("instance_group [ { count: 1 }, { count: 2 } ]", "2 instance groups"),
        (
            'platform: "ensemble" ensemble_scheduling { step [ { model_name: "a" }, { model_name: "b" } ] }',
            "tune the models of its steps: a, b",
        ),
        ("max_batch_size: 4 sequence_batching { }", "batches sequences"),
    ],
)
def test_what_can_not_be_tuned_is_said(text: str, reason: str) -> None:
    config = ModelConfig(parse_pbtxt(TENSORS.replace('backend: "identity"', "") + text))
    with pytest.raises(InvalidArgument, match=reason):
        space_of(config, (1,), (4,), (0,))


def test_only_what_is_tuned_changes() -> None:
    base, config = completed(
        "max_batch_size: 32 version_policy { all { } } "
        "dynamic_batching { preferred_batch_size: [ 8, 32 ] preserve_ordering: true }"
    )
    made = apply(Candidate(3, 16, 200), base, config)
    assert (made.max_batch_size, made.instance_group[0].count) == (16, 3)
    assert made.dynamic_batching.max_queue_delay_microseconds == 200
    assert list(made.dynamic_batching.preferred_batch_size) == [8] and made.dynamic_batching.preserve_ordering
    assert made.version_policy.HasField("all")
    assert base.max_batch_size == 32 and not base.instance_group
    assert not apply(Candidate(1, 1, None), base, config).HasField("dynamic_batching")


@pytest.mark.parametrize("delay", [0, 100])
def test_what_is_applied_is_how_it_runs(delay: int) -> None:
    base, config = completed("max_batch_size: 8")
    candidate = Candidate(2, 4, delay)
    made = apply(candidate, base, config)
    complete_defaults(made)
    assert current(ModelConfig(made)) == candidate
