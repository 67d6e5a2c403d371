"""A torch model on a GPU, over a stand-in for ``torch.cuda``: what is called, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
from fake_batch import FakeBatch
from fake_device_batch import FakeDeviceBatch

from naiad.backends.gpu_options import GpuOptions, gpu_options
from naiad.backends.model_tensors import model_inputs, model_outputs
from naiad.backends.torch.options import TorchOptions
from naiad.config import ModelConfig, parse_pbtxt
from naiad.errors import BackendError, ConfigError

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'naiad[torch]'")
from fake_torch_cuda import FakeCuda, HostMemory  # noqa: E402

from naiad.backends.torch.device import DeviceRun  # noqa: E402
from naiad.backends.torch.graphs import Graphs, plan_graphs  # noqa: E402
from naiad.backends.torch.instance import TorchInstance  # noqa: E402
from naiad.backends.torch.loaded import LoadedModel  # noqa: E402
from naiad.backends.torch.pinned import CHUNK_BYTES, Arena, PinnedArenas, register_by  # noqa: E402

IO = """
input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 4 ] }
"""


def configured(text: str = "", io: str = IO) -> ModelConfig:
    return ModelConfig(parse_pbtxt(f'name: "m" backend: "pytorch" max_batch_size: 8 {io} {text}'))


@pytest.fixture
def cuda() -> Iterator[FakeCuda]:
    fake = FakeCuda()
    with fake.ends, HostMemory(fake.note):
        yield fake


Call = Callable[[Mapping[str, Any]], Any]


def doubled(cuda: FakeCuda) -> Call:
    def call(values: Mapping[str, Any]) -> Any:
        cuda.note("model")
        return values["x"] * 2

    return call


def made(cuda: FakeCuda, call: Call, config: ModelConfig | None = None, **more: Any) -> TorchInstance:
    config = config or configured()
    model = LoadedModel(call, {"x": "tensor"}, torch.device("cpu"), writes_inputs=False)
    options, inputs = gpu_options(config), model_inputs(config)
    planned = plan_graphs(config, options.graphs, inputs, model.kinds)

    def graphs(run: DeviceRun) -> Graphs:
        captured = Graphs("m", run, cuda)
        captured.capture(model, planned, inputs)
        return captured

    run = DeviceRun(
        torch.device("cpu"), options, cuda=cuda, free_workspaces=lambda: cuda.note("free workspaces"), **more
    )
    instance = TorchInstance(
        "m", model, model_outputs(config), TorchOptions(), run=run, graphs=graphs if planned else None
    )
    cuda.ends.callback(instance.finalize)
    return instance


def rows(count: int) -> np.ndarray[Any, Any]:
    return np.arange(count * 4, dtype=np.float32).reshape(count, 4)


def run(instance: TorchInstance, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    batch = FakeBatch({"x": ("FP32", array)}, ["y"], num_rows=array.shape[0])
    instance.execute_batch(batch)  # type: ignore[arg-type]
    return batch.outputs["y"]


def arenas_of(*arrays: np.ndarray[Any, Any]) -> PinnedArenas:
    """Everything is pinned already."""
    return PinnedArenas(
        [Arena(array.ctypes.data, array.nbytes, is_writable=True) for array in arrays],
        CHUNK_BYTES,
        lambda address, size, writable: "",
    )


def test_one_batch_is_one_stream_and_one_wait(cuda: FakeCuda) -> None:
    given = rows(2)
    instance = made(cuda, doubled(cuda), pinned=arenas_of(given))
    cuda.log.clear()
    assert run(instance, given).tolist() == (given * 2).tolist()
    assert cuda.log == [
        "copy 32 bytes",  # from pinned memory, where it lies
        "model",
        "make pinned",  # the output's place is not
        "copy 32 bytes",
        "record on own",
        "wait",
        "copy at once 32 bytes",
    ]
    cuda.ends.close()
    assert cuda.log[-3:] == ["leave own", "free workspaces", "empty cache"]
    assert [event.blocking for event in cuda.events] == [True]


def test_memory_that_is_not_pinned_goes_through_some_that_is(cuda: FakeCuda) -> None:
    instance = made(cuda, doubled(cuda))
    cuda.log.clear()
    run(instance, rows(1))
    assert cuda.log[:3] == ["stage", "copy 16 bytes", "model"]


def test_without_pinned_memory_where_the_model_wants_none(cuda: FakeCuda) -> None:
    config = configured(
        "optimization { input_pinned_memory { enable: false } output_pinned_memory { enable: false } }"
    )
    instance = made(cuda, doubled(cuda), config)
    cuda.log.clear()
    run(instance, rows(1))
    assert cuda.log == ["copy 16 bytes", "model", "copy 16 bytes", "record on own", "wait"]


def test_the_stream_of_somebody_else_is_used(cuda: FakeCuda) -> None:
    instance = made(cuda, doubled(cuda), stream=1234)
    assert cuda.log == ["enter stream 1234"]
    run(instance, rows(1))
    assert "record on stream 1234" in cuda.log


@pytest.mark.parametrize(
    ("text", "priority", "blocking"),
    [
        ("", 0, True),
        ("optimization { priority: PRIORITY_MAX }", -100, True),
        ("optimization { priority: PRIORITY_MIN }", 0, True),
        ("optimization { cuda { busy_wait_events: true } }", 0, False),
    ],
)
def test_priority_and_how_it_is_waited(cuda: FakeCuda, text: str, priority: int, blocking: bool) -> None:
    made(cuda, doubled(cuda), configured(text))
    assert cuda.log[0] == f"make stream of priority {priority}"
    assert [event.blocking for event in cuda.events] == [blocking]


def test_a_failed_batch_is_waited_for_and_the_next_one_runs(cuda: FakeCuda) -> None:
    fails = [True]

    def call(values: Mapping[str, Any]) -> Any:
        if fails.pop() if fails else False:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        return values["x"]

    instance = made(cuda, call)
    with pytest.raises(BackendError, match="shapes cannot be multiplied"):
        run(instance, rows(1))
    assert cuda.log[-1] == "wait"  # copies were still under way
    assert not instance.is_broken
    assert run(instance, rows(1)).tolist() == rows(1).tolist()


def test_a_gpu_that_fails_for_good_breaks_the_instance(cuda: FakeCuda) -> None:
    instance = made(cuda, doubled(cuda))
    cuda.fails_with = RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with ...")
    with pytest.raises(BackendError, match="illegal memory access was encountered$"):
        run(instance, rows(1))
    assert instance.is_broken
    with pytest.raises(BackendError, match="can not use its GPU any more"):
        run(instance, rows(1))


def graphs(spec: str = "", dims: str = "4") -> ModelConfig:
    return configured(
        f"optimization {{ cuda {{ graphs: true {spec} }} }}", IO.replace("[ 4 ]", f"[ {dims} ]")
    )


def test_graphs_are_captured_once_and_replayed(cuda: FakeCuda) -> None:
    instance = made(cuda, doubled(cuda), graphs("graph_spec { batch_size: 2 } graph_spec { batch_size: 4 }"))
    captures = [entry for entry in cuda.log if entry.startswith(("capture", "make pool", "free"))]
    capture = ["capture on own in pool", "free workspaces"]
    assert captures == ["free workspaces", "make pool", *capture, "free workspaces", *capture]
    cuda.log.clear()
    for factor in (1, 3):
        assert run(instance, rows(4) * factor).tolist() == (rows(4) * factor * 2).tolist()
    assert cuda.log.count("replay") == 2 and "model" not in cuda.log
    assert cuda.log.index("copy 64 bytes") < cuda.log.index("replay") < cuda.log.index("record on own")
    run(instance, rows(3))  # no graph of three rows
    assert cuda.log.count("replay") == 2 and cuda.log.count("model") == 1


def test_a_graph_with_a_lower_bound_serves_fewer_rows(cuda: FakeCuda) -> None:
    spec = "graph_spec { batch_size: 4 graph_lower_bound { batch_size: 2 } }"
    instance = made(cuda, doubled(cuda), graphs(spec))
    cuda.log.clear()
    run(instance, rows(4) + 1)
    assert run(instance, rows(3)).tolist() == (rows(3) * 2).tolist()
    assert cuda.log.count("replay") == 2
    run(instance, rows(1))
    assert cuda.log.count("replay") == 2


def test_rows_that_a_graph_did_not_get_are_zeros(cuda: FakeCuda) -> None:
    def call(values: Mapping[str, Any]) -> Any:
        return values["x"] + values["x"].sum()

    spec = "graph_spec { batch_size: 4 graph_lower_bound { batch_size: 1 } }"
    instance = made(cuda, call, graphs(spec))
    run(instance, rows(4) + 5)
    given = rows(2)
    assert run(instance, given).tolist() == (given + given.sum()).tolist()


def test_an_output_without_rows_can_not_come_of_a_larger_graph(cuda: FakeCuda) -> None:
    spec = "graph_spec { batch_size: 8 graph_lower_bound { batch_size: 1 } }"
    instance = made(cuda, lambda values: values["x"].sum(0), graphs(spec))
    with pytest.raises(BackendError, match="needs a row of output for each row of input"):
        run(instance, rows(2))


def test_what_can_not_be_captured_runs_without(cuda: FakeCuda, caplog: pytest.LogCaptureFixture) -> None:
    cuda.capture_fails = RuntimeError("operation not permitted when stream is capturing")
    instance = made(cuda, doubled(cuda), graphs("graph_spec { batch_size: 2 }"))
    assert "no CUDA graph is captured for {'x': (2, 4)}: operation not permitted" in caplog.text
    cuda.log.clear()
    assert run(instance, rows(2)).tolist() == (rows(2) * 2).tolist()
    assert "replay" not in cuda.log


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (graphs("graph_spec { batch_size: 2 input { key: 'z' value { dim: [ 4 ] } } }"), "unknown input 'z'"),
        (graphs("graph_spec { batch_size: 2 input { key: 'x' value { dim: [ 5 ] } } }"), "whose dims are"),
        (
            graphs(
                "graph_spec { batch_size: 2 input { key: 'x' value { dim: [ 5 ] } } graph_lower_bound "
                "{ batch_size: 1 input { key: 'x' value { dim: [ 4 ] } } } }",
                "-1",
            ),
            "fills up rows alone",
        ),
    ],
)
def test_graph_specs_that_do_not_fit(config: ModelConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_graphs(config, gpu_options(config).graphs, model_inputs(config), {"x": "tensor"})


def test_free_dims_need_a_graph_spec(caplog: pytest.LogCaptureFixture) -> None:
    config = graphs(dims="-1")
    assert plan_graphs(config, gpu_options(config).graphs, model_inputs(config), {"x": "tensor"}) == []
    assert "there is no graph_spec" in caplog.text
    spec = "graph_spec { batch_size: 2 input { key: 'x' value { dim: [ 7 ] } } }"
    config = graphs(spec, "-1")
    (plan,) = plan_graphs(config, gpu_options(config).graphs, model_inputs(config), {"x": "tensor"})
    assert plan.shapes == {"x": (2, 7)}


class Registered:
    def __init__(self, fail_at: int = -1) -> None:
        self.calls: list[tuple[int, int, bool]] = []
        self._fail_at = fail_at

    def __call__(self, address: int, size_bytes: int, is_writable: bool) -> str:
        self.calls.append((address, size_bytes, is_writable))
        return "out of memory" if address == self._fail_at else ""


BASE = 1 << 40


def test_arenas_are_pinned_as_they_come_into_use() -> None:
    register = Registered()
    arenas = PinnedArenas(
        [Arena(BASE, 3 * CHUNK_BYTES + 4096, False), Arena(2 * BASE, CHUNK_BYTES, True)],
        4 * CHUNK_BYTES,
        register,
    )
    assert arenas.pieces(BASE + 10, 100) == [(0, 100)]
    assert arenas.pieces(BASE + 20, 100) == [(0, 100)]
    assert register.calls == [(BASE, CHUNK_BYTES, False)]
    # What reaches over a border is copied in two pieces, and the last chunk is what is left of the arena.
    assert arenas.pieces(BASE + 3 * CHUNK_BYTES - 8, 24) == [(0, 8), (8, 16)]
    assert register.calls[-1] == (BASE + 3 * CHUNK_BYTES, 4096, False)
    assert arenas.pieces(2 * BASE, 1) == [(0, 1)]
    assert register.calls[-1] == (2 * BASE, CHUNK_BYTES, True)
    assert arenas.pieces(3 * BASE, 1) == []


def test_no_more_is_pinned_than_allowed(caplog: pytest.LogCaptureFixture) -> None:
    register = Registered()
    arenas = PinnedArenas([Arena(BASE, 4 * CHUNK_BYTES, True)], 2 * CHUNK_BYTES, register)
    assert arenas.pieces(BASE + 2 * CHUNK_BYTES - 8, 16) == []
    assert len(register.calls) == 1
    assert arenas.pieces(BASE + 2 * CHUNK_BYTES - 8, 8) == [(0, 8)]
    assert not caplog.records


def test_a_refusal_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    register = Registered(fail_at=BASE + CHUNK_BYTES)
    arenas = PinnedArenas([Arena(BASE, 4 * CHUNK_BYTES, True)], 4 * CHUNK_BYTES, register)
    assert arenas.pieces(BASE, 8) == [(0, 8)]
    assert arenas.pieces(BASE + CHUNK_BYTES, 8) == arenas.pieces(BASE + 2 * CHUNK_BYTES, 8) == []
    assert arenas.pieces(BASE, 8) == [(0, 8)]
    assert [record.message for record in caplog.records] == [
        "32 MiB of the memory shared with the server are pinned, no more can be (out of memory): the rest is "
        "copied once more on its way"
    ]


def test_what_cuda_refuses_to_pin_is_forgotten() -> None:
    class Runtime:
        asked: ClassVar[list[tuple[int, int, int]]] = []

        def cudaHostRegister(self, address: int, size: int, flags: int) -> int:
            self.asked.append((address, size, flags))
            return 0 if address else 1

        def cudaGetErrorString(self, status: int) -> str:
            return "invalid argument"

    def forget() -> None:
        forgotten.append(True)
        raise RuntimeError("CUDA error: invalid argument")

    forgotten: list[bool] = []
    register = register_by(Runtime(), forget)
    assert register(BASE, 4096, False) == ""
    assert not forgotten
    assert register(0, 4096, True) == "invalid argument"
    assert forgotten == [True]
    # Portable, and read-only where it is.
    assert [flags for _, _, flags in Runtime.asked] == [9, 1]


def test_pieces_are_copied_one_by_one(cuda: FakeCuda) -> None:
    class Halves(PinnedArenas):
        def pieces(self, address: int, size_bytes: int) -> list[tuple[int, int]]:
            return [(0, size_bytes // 2), (size_bytes // 2, size_bytes - size_bytes // 2)]

    pinned = Halves([], 0, lambda address, size, writable: "")
    device = DeviceRun(torch.device("cpu"), GpuOptions(), cuda=cuda, pinned=pinned)
    cuda.log.clear()
    view = torch.arange(6, dtype=torch.int16)
    on_gpu = device.upload(view)
    place = torch.empty(6, dtype=torch.int16)
    device.download(on_gpu, place)
    device.wait()
    assert place.tolist() == view.tolist()
    assert cuda.log == ["copy 6 bytes"] * 4 + ["record on own", "wait"]


def queue(instance: TorchInstance, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    batch = FakeDeviceBatch({"x": ("FP32", array)}, ["y"], num_rows=array.shape[0])
    instance.enqueue(batch)  # type: ignore[arg-type]
    return batch.outputs["y"]


def test_on_a_stream_of_the_core_work_is_queued_and_not_waited_for(cuda: FakeCuda) -> None:
    instance = made(cuda, doubled(cuda), stream=7)
    cuda.log.clear()
    assert queue(instance, rows(2)).tolist() == (rows(2) * 2).tolist()
    # The core has brought the inputs, and copies the outputs back.
    assert cuda.log == ["model", "copy 32 bytes"]


def test_graphs_take_what_is_on_the_gpu_already(cuda: FakeCuda) -> None:
    spec = "graph_spec { batch_size: 4 graph_lower_bound { batch_size: 2 } }"
    instance = made(cuda, doubled(cuda), graphs(spec), stream=7)
    assert "capture on stream 7 in pool" in cuda.log
    cuda.log.clear()
    assert queue(instance, rows(3)).tolist() == (rows(3) * 2).tolist()
    assert cuda.log == ["copy 48 bytes", "replay", "copy 48 bytes"]
    assert queue(instance, rows(1)).tolist() == (rows(1) * 2).tolist()


def test_what_a_model_raises_while_it_queues_fails_the_batch(cuda: FakeCuda) -> None:
    def call(values: Mapping[str, Any]) -> Any:
        raise RuntimeError("no such layer")

    instance = made(cuda, call, stream=7)
    with pytest.raises(BackendError, match="RuntimeError: no such layer"):
        queue(instance, rows(1))
