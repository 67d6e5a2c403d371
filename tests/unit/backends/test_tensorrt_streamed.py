"""Instances of the tensorrt backend on a stream of the core's, on a TensorRT and a CUDA that are fakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_tensorrt import FakeCuda, FakeDeviceBatch, FakeEngine
from tensorrt_models import X, Y, configured, double_engine, nonzero_engine, profile, resize_engine

from naiad.backends.gpu_options import log_without_effect
from naiad.backends.tensorrt.options import tensorrt_options
from naiad.backends.tensorrt.streamed import ComputedShapeError, StreamedInstance, needs_host
from naiad.errors import BackendError, InvalidArgument

STREAM = 7


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


def made(cuda: FakeCuda, engine: FakeEngine, text: str = X + Y, **more: Any) -> StreamedInstance:
    config = configured(text, **more)
    options = tensorrt_options(config)
    return StreamedInstance("m_0", config, config.instance_groups[0], engine, cuda, options, stream=STREAM)


def rows(count: int, width: int = 4) -> np.ndarray[Any, Any]:
    return np.arange(1, 1 + count * width, dtype=np.float32).reshape(count, width)


def queue(cuda: FakeCuda, instance: StreamedInstance, x: Any, wanted: Any = ("Y",)) -> FakeDeviceBatch:
    batch = FakeDeviceBatch(cuda, {"X": x}, list(wanted))
    instance.enqueue(batch)  # type: ignore[arg-type]
    return batch


def is_doubled(batch: FakeDeviceBatch, x: Any) -> bool:
    return batch.result("Y").tolist() == (x * 2).tolist()


def test_batches_are_run_where_they_lie_and_not_waited_for(cuda: FakeCuda) -> None:
    instance = made(cuda, double_engine(cuda))
    assert cuda.open == [name for name in cuda.open if name.startswith("event")], (
        "it has no stream of its own"
    )
    held = dict(cuda.blocks)
    assert not held
    cuda.calls.clear()
    # Two under way: what the first one has is its own.
    first, second = queue(cuda, instance, rows(2)), queue(cuda, instance, rows(3, 5))
    assert cuda.calls == []
    assert not is_doubled(first, rows(2)), "it was waited for"
    cuda.wait(0, STREAM)
    assert is_doubled(first, rows(2))
    assert is_doubled(second, rows(3, 5))
    instance.finalize()
    assert not cuda.open


def test_each_profile_has_its_context(cuda: FakeCuda) -> None:
    engine = double_engine(cuda, [profile((1, 1), (1, 4), (2, 4)), profile((1, 1), (8, 16), (8, 16))])
    instance = made(cuda, engine, group='profile: [ "0", "1" ]')
    for count, width in ((1, 4), (8, 16), (2, 4)):
        batch = queue(cuda, instance, rows(count, width))
        cuda.wait(0, STREAM)
        assert is_doubled(batch, rows(count, width))
    assert [context.runs for context in engine.contexts] == [2, 1]
    with pytest.raises(InvalidArgument, match="any Optimization Profile"):
        queue(cuda, instance, rows(2, 17))


def test_its_graphs_are_the_core_s(cuda: FakeCuda) -> None:
    instance = made(cuda, double_engine(cuda), X + Y + "optimization { cuda { graphs: true } }")
    assert instance.can_be_captured
    assert "capture" not in cuda.calls
    assert not cuda.blocks


def test_an_output_that_nobody_wants_has_its_place_too(cuda: FakeCuda) -> None:
    instance = made(cuda, double_engine(cuda))
    batch = queue(cuda, instance, rows(2), wanted=())
    cuda.wait(0, STREAM)
    assert is_doubled(batch, rows(2))


def test_what_tensorrt_refuses_fails_the_batch_alone(cuda: FakeCuda) -> None:
    engine = double_engine(cuda)
    instance = made(cuda, engine)
    for method, text in (
        ("set_shape", "failed to set binding dimension to"),
        ("enqueue", "unable to enqueue for inference m_0"),
        ("set_address", "'X' can not lie at 0x"),
    ):
        engine.contexts[0].refuses.add(method)
        with pytest.raises(BackendError, match=text):
            queue(cuda, instance, rows(1, 7))
        engine.contexts[0].refuses.clear()
    batch = queue(cuda, instance, rows(1, 7))
    cuda.wait(0, STREAM)
    assert is_doubled(batch, rows(1, 7))


def test_an_output_of_another_shape_than_the_configuration_s_is_named(cuda: FakeCuda) -> None:
    instance = made(cuda, double_engine(cuda), X + Y.replace("[ -1 ]", "[ 5 ]"))
    with pytest.raises(BackendError, match=r"output 'Y' of model 'm' is shape \[1, 4\], but"):
        queue(cuda, instance, rows(1, 4))


def test_engines_that_need_the_host_within_a_run_are_told_apart(cuda: FakeCuda) -> None:
    assert needs_host(resize_engine(cuda, batches=True).tensors)
    assert not needs_host(double_engine(cuda).tensors)
    with pytest.raises(ComputedShapeError):
        made(cuda, nonzero_engine(cuda), batch=0)
    assert cuda.is_empty


def test_options_that_the_core_decides_are_told(caplog: pytest.LogCaptureFixture) -> None:
    text = X + Y + "optimization { cuda { busy_wait_events: true } output_pinned_memory { enable: false } }"
    log_without_effect(tensorrt_options(configured(text)), "m_0")
    assert (
        "m_0: no effect on a stream of the core's: optimization.cuda.busy_wait_events, "
        "optimization.output_pinned_memory" in caplog.text
    )
    caplog.clear()
    log_without_effect(tensorrt_options(configured()), "m_0")
    assert not caplog.text
