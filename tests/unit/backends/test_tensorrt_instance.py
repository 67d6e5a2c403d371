"""Instances of the tensorrt backend, on a TensorRT and a CUDA that are fakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_batch import FakeBatch
from fake_tensorrt import FakeCuda
from tensorrt_models import (
    RESIZED,
    X,
    Y,
    configured,
    double_engine,
    made,
    nonzero_engine,
    profile,
    resize_engine,
)

from naiad.backends.tensorrt.failures import CudaError
from naiad.backends.tensorrt.instance import TensorRtInstance
from naiad.errors import BackendError, InvalidArgument

GRAPHS = "optimization { cuda { graphs: true %s } }"
ILLEGAL = CudaError("cudaEventSynchronize", "cudaErrorIllegalAddress", "an illegal memory access")
NO_MEMORY = CudaError("cudaMalloc", "cudaErrorMemoryAllocation", "out of memory")


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


def rows(count: int, width: int = 4) -> np.ndarray[Any, Any]:
    return np.arange(count * width, dtype=np.float32).reshape(count, width)


def run(instance: TensorRtInstance, x: Any, **more: Any) -> dict[str, Any]:
    inputs = {"X": ("FP32", x)} | {name: ("INT32", array) for name, array in more.items()}
    batch = FakeBatch(inputs, list(instance._outputs), num_rows=x.shape[0] if x.ndim > 1 else 1)
    instance.execute_batch(batch)  # type: ignore[arg-type]
    return batch.outputs


@pytest.mark.parametrize("pinned", ["true", "false"])
def test_batches_of_any_size_and_shape(pinned: str, cuda: FakeCuda) -> None:
    memory = f"input_pinned_memory {{ enable: {pinned} }} output_pinned_memory {{ enable: {pinned} }}"
    instance = made(configured(X + Y + f"optimization {{ {memory} }}"), double_engine(cuda), cuda)
    assert bool(cuda.pinned) == (pinned == "true")
    for count, width in ((1, 4), (8, 16), (3, 1), (3, 1)):
        assert (run(instance, rows(count, width))["Y"] == rows(count, width) * 2).all()
    instance.finalize()
    assert cuda.is_empty


def test_shapes_are_set_when_they_change(cuda: FakeCuda) -> None:
    engine = double_engine(cuda)
    instance = made(configured(), engine, cuda)
    (context,) = engine.contexts
    before = context.num_set_shape
    for count in (2, 2, 2, 3):
        run(instance, rows(count))
    assert (context.num_set_shape - before, context.runs) == (2, 4)


def test_memory_is_of_the_largest_batch_of_the_configuration(cuda: FakeCuda) -> None:
    text = (X + Y).replace("[ -1 ]", "[ 5 ]")
    instance = made(configured(text, batch=4), double_engine(cuda), cuda)
    assert {name: slot.capacity for name, slot in instance._buffers.slots.items()} == {"X": 80, "Y": 80}


def test_the_nearest_profile_runs_a_batch(cuda: FakeCuda) -> None:
    engine = double_engine(cuda, [profile((1, 1), (1, 4), (2, 4)), profile((1, 1), (8, 16), (8, 16))])
    instance = made(configured(group='profile: [ "0", "1" ]'), engine, cuda)
    for count, width in ((1, 4), (2, 4), (2, 5), (8, 16)):
        assert (run(instance, rows(count, width))["Y"] == rows(count, width) * 2).all()
    assert [(context.profile, context.runs) for context in engine.contexts] == [(0, 2), (1, 2)]
    with pytest.raises(InvalidArgument, match=r"any Optimization Profile among \[0\[0\] 1\[1\]\] to support"):
        run(instance, rows(2, 17))


def test_what_no_profile_allows_is_the_request_s_fault(cuda: FakeCuda) -> None:
    instance = made(configured(), double_engine(cuda), cuda)
    text = "request specifies invalid shape for input 'X'. Error details: model expected the shape of "
    with pytest.raises(InvalidArgument, match=f"{text}dimension 1 to be between 1 and 16 but received 17"):
        run(instance, rows(1, 17))
    assert (run(instance, rows(1))["Y"] == rows(1) * 2).all()


def test_graphs_are_captured_for_the_usual_sizes_and_replayed(cuda: FakeCuda) -> None:
    engine = double_engine(cuda)
    instance = made(configured(X + Y + GRAPHS % ""), engine, cuda)
    (context,) = engine.contexts
    assert cuda.calls.count("capture") == 6  # 1, 2, 3, 4, 6, 8 rows of the best width
    runs = context.runs
    for count in (1, 3, 8):
        assert (run(instance, rows(count))["Y"] == rows(count) * 2).all()
    assert (cuda.calls.count("launch"), context.runs) == (3, runs)
    assert (run(instance, rows(5))["Y"] == rows(5) * 2).all()
    assert (run(instance, rows(4, 5))["Y"] == rows(4, 5) * 2).all()
    assert (cuda.calls.count("launch"), context.runs) == (3, runs + 2)
    instance.finalize()
    assert cuda.is_empty


def test_a_graph_serves_what_lies_between_its_bounds(cuda: FakeCuda) -> None:
    shape = 'input { key: "X" value { dim: [ %d ] } }'
    spec = f"graph_spec {{ batch_size: 4 {shape % 6} graph_lower_bound {{ batch_size: 2 {shape % 3} }} }}"
    instance = made(configured(X + Y + GRAPHS % spec), double_engine(cuda), cuda)
    run(instance, rows(8, 16))  # leaves other numbers in the memory
    for count, width in ((4, 6), (3, 5), (2, 3)):
        assert (run(instance, rows(count, width))["Y"] == rows(count, width) * 2).all()
    assert cuda.calls.count("launch") == 3
    for count, width in ((1, 6), (4, 2), (5, 6)):
        assert (run(instance, rows(count, width))["Y"] == rows(count, width) * 2).all()
    assert cuda.calls.count("launch") == 3


def test_what_can_not_be_captured_is_run(cuda: FakeCuda, caplog: pytest.LogCaptureFixture) -> None:
    cuda.fails["capture"] = CudaError("cudaStreamEndCapture", "cudaErrorStreamCaptureUnsupported", "no")
    instance = made(configured(X + Y + GRAPHS % ""), double_engine(cuda), cuda)
    assert "unable to record CUDA graph for m_0" in caplog.text
    assert (run(instance, rows(1))["Y"] == rows(1) * 2).all()


def test_an_output_whose_shape_is_computed(cuda: FakeCuda) -> None:
    instance = made(configured(batch=0), nonzero_engine(cuda), cuda)
    assert run(instance, np.array([0, 1, 0, 2, 3], np.float32))["Y"].tolist() == [1, 2, 3]
    assert run(instance, np.zeros(3, np.float32))["Y"].shape == (0,)
    assert run(instance, np.ones(16, np.float32))["Y"].tolist() == [1] * 16
    instance.finalize()
    assert cuda.is_empty


def test_shape_tensors(cuda: FakeCuda) -> None:
    instance = made(configured(RESIZED, batch=0), resize_engine(cuda, batches=False), cuda)
    for size in ([3, 5], [8, 8], [1, 1]):
        outputs = run(instance, np.ones(2, np.float32), SIZE=np.array(size, np.int32))
        assert outputs["Y"].shape == tuple(size) and not outputs["Y"].any()
        assert outputs["SIZE_OUT"].tolist() == size
    with pytest.raises(InvalidArgument, match="value at index 1 of input 'SIZE' is expected to be in range"):
        run(instance, np.ones(2, np.float32), SIZE=np.array([3, 9], np.int32))
    instance.finalize()
    assert cuda.is_empty


def test_shape_tensors_of_a_model_that_batches_begin_with_the_rows(cuda: FakeCuda) -> None:
    instance = made(configured(RESIZED), resize_engine(cuda, batches=True), cuda)
    outputs = run(instance, rows(3), SIZE=np.array([2, 5], np.int32))
    assert outputs["Y"].shape == (3, 2, 5)
    assert outputs["SIZE_OUT"].tolist() == [[2, 5]] * 3


def test_no_graph_with_shape_tensors(cuda: FakeCuda, caplog: pytest.LogCaptureFixture) -> None:
    made(configured(RESIZED + GRAPHS % ""), resize_engine(cuda, batches=True), cuda)
    assert "Detected shape tensor, CUDA graph is not captured for m_0" in caplog.text


def test_how_the_gpu_is_waited_for(cuda: FakeCuda) -> None:
    made(configured(X + Y + "optimization { priority: PRIORITY_MAX cuda { busy_wait_events: true } }"),
         double_engine(cuda), cuda)  # fmt: skip
    assert (cuda.priority, cuda.busy_wait) == (1, True)
    engine = double_engine(cuda)
    made(configured(execution_context_allocation_strategy="ON_PROFILE_CHANGE"), engine, cuda)
    assert (cuda.priority, cuda.busy_wait) == (0, False)
    assert engine.contexts[0].allocation == "ON_PROFILE_CHANGE"


def test_what_tensorrt_refuses_fails_the_batch(cuda: FakeCuda) -> None:
    engine = double_engine(cuda)
    instance = made(configured(), engine, cuda)
    engine.contexts[0].refuses.add("enqueue")
    engine.error = "no kernel image"
    with pytest.raises(BackendError, match="unable to enqueue for inference m_0: no kernel image"):
        run(instance, rows(1))
    assert not instance.is_broken
    engine.contexts[0].refuses.clear()
    assert (run(instance, rows(1))["Y"] == rows(1) * 2).all()


def test_an_error_that_lasts_ends_the_instance(cuda: FakeCuda) -> None:
    instance = made(configured(), double_engine(cuda), cuda)
    cuda.fails["wait"] = ILLEGAL
    with pytest.raises(BackendError, match=r"an illegal memory access \(cudaErrorIllegalAddress\)"):
        run(instance, rows(1))
    assert instance.is_broken
    with pytest.raises(BackendError, match="can not use its GPU any more"):
        run(instance, rows(1))
    instance.finalize()


def test_tensorrt_says_that_it_failed_and_cuda_what(cuda: FakeCuda) -> None:
    engine = double_engine(cuda)
    instance = made(configured(), engine, cuda)
    engine.contexts[0].refuses.add("enqueue")
    cuda.fails["wait"] = ILLEGAL
    with pytest.raises(BackendError, match="unable to enqueue .*; CUDA: .* an illegal memory access"):
        run(instance, rows(1))
    assert instance.is_broken


def test_too_little_memory_fails_the_load_and_leaves_nothing(cuda: FakeCuda) -> None:
    cuda.fails["allocate"] = NO_MEMORY
    with pytest.raises(BackendError, match="CUDA: cudaMalloc: out of memory"):
        made(configured(), double_engine(cuda), cuda)
    assert cuda.is_empty


def test_only_wanted_outputs_are_copied(cuda: FakeCuda) -> None:
    instance = made(configured(), double_engine(cuda), cuda)
    before = cuda.calls.count("copy")
    batch = FakeBatch({"X": ("FP32", rows(1))}, [])
    instance.execute_batch(batch)  # type: ignore[arg-type]
    assert cuda.calls.count("copy") - before == 1
    assert batch.outputs == {}
