"""The compiled core, as Python sees it. Only naiad.engine imports it.

Thread rules: every method may be called from any thread unless it says otherwise. Methods that wait let go of
the GIL. Failures are raised as the classes of naiad.errors.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypedDict, final

from numpy.typing import NDArray

ParameterValue = bool | int | float | str

def build_facts() -> dict[str, str]:
    """How the module was built and what it found: version, compiler, cuda ("built, 1 GPU" ...)."""

def gpu_count() -> int: ...
def gpu_absence() -> str: ...
def set_log(*, info: bool, warning: bool, error: bool, verbose: int, form: str, file: str) -> None:
    """What the core logs, in which form ("default", "ISO8601" or "json"), and where ("": standard error).
    Raises Unavailable, and changes nothing, when the file cannot be written. Any thread."""

@final
class TensorSpec:
    def __init__(
        self,
        name: str,
        datatype: str,
        dims: Sequence[int],
        *,
        reshape: Sequence[int] | None = None,
        optional: bool = False,
        labels: Sequence[str] = (),
        internal: bool = False,
        ragged: bool = False,
        shape_values: bool = False,
    ) -> None:
        """`datatype` is the wire name ("FP32", "BYTES"); `dims` leaves the batch dimension out, -1 = any;
        `internal`: between the scheduler and the model, no client names it. `ragged`: of any shape beside
        others in a batch. `shape_values`: one for a whole batch, without a batch dimension; requests with
        other values run in another batch."""
    name: str
    datatype: str
    dims: list[int]

@final
class ModelSpec:
    def __init__(
        self,
        name: str,
        version: int,
        *,
        max_batch_size: int,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        dynamic_batching: bool = False,
        preferred_batch_sizes: Sequence[int] = (),
        max_queue_delay_us: int = 0,
        max_queue_size: int = 0,
        decoupled: bool = False,
        cached: bool = False,
        sequence: SequenceSpec | None = None,
        warmups: Sequence[WarmupSample] = (),
        preserve_ordering: bool = False,
        levels: Sequence[QueuePolicy] = (),
        default_priority: int = 0,
        split_oversize: bool = False,
        latency_target_us: int = 0,
        unbounded_queue: bool = False,
        content: str = "",
        first_response_buckets_ms: Sequence[float] = (100, 500, 2000, 5000),
        summaries: bool = False,
        stream_priority: str = "PRIORITY_DEFAULT",
        gather_threshold: int = 0,
        gpu_memory_limit_bytes: int = 0,
        graphs: bool = False,
    ) -> None:
        """`max_queue_size` 0 takes the core's default bound, or none with `unbounded_queue`. `sequence` is
        not changed any more. `levels`: by priority, 1 first; none: one, with no policy. `default_priority`:
        of a request that names none of them. `split_oversize`: a batch over `max_batch_size` is run in parts.
        `latency_target_us`: given, the queue delay is found so that queue and compute of requests stay
        within it. `content`: what tells it from all other models whose answers lie in the same store; without
        it they are those of this load alone. `first_response_buckets_ms`: bounds of the histogram
        `first_response_ms`, ascending. `summaries`: whether quantiles of what lately was are kept. Of
        instances on a GPU: `stream_priority`, the configuration's name, `gather_threshold`, from how many
        pieces on a kernel gathers an input, 0: never, `gpu_memory_limit_bytes`, what they may have of the
        pool on each GPU, 0: no limit, and `graphs`, whether batches whose shapes come again are replayed from
        a CUDA graph, where the backend's work can be captured."""

    def add_batch_input(
        self, kind: str, name: str, *, datatype: str, dims: Sequence[int], source: str
    ) -> None:
        """Another input, which is made of each batch by what stands in its requests' input `source`; `kind`
        is the configuration's name."""
    def add_batch_output(self, output: str, source: str) -> None:
        """The output is cut into parts in the shapes of the requests' input `source`."""

@final
class QueuePolicy:
    """How requests of one priority wait."""
    def __init__(
        self,
        *,
        delays: bool = False,
        default_timeout_us: int = 0,
        allow_override: bool = True,
        max_size: int = 0,
    ) -> None:
        """`delays`: a request whose time is over runs behind all others of its priority, and is refused
        otherwise. `allow_override`: a request's own timeout counts where it is shorter, or there is no other.
        `max_size` 0: as many as the model's queue holds."""

@final
class WarmupSample:
    """What is run on each instance before it serves: `num_requests` of one row each in one batch, `count`
    times."""
    def __init__(self, name: str, *, num_requests: int, count: int) -> None: ...
    def add_input(self, input: int, *, datatype: str, shape: Sequence[int], content: bytes) -> None:
        """`input`: the position in the ModelSpec; `shape`: the model's, batch dimension (1) included."""

@final
class SequenceSpec:
    """When a model takes requests that belong to sequences, and what it is told of them. Positions are those
    in the inputs and outputs of its ModelSpec; shapes are the model's, batch dimension (1) included."""
    def __init__(
        self,
        *,
        direct: bool,
        max_idle_us: int,
        iterative: bool = False,
        max_candidates: int = 0,
        min_slot_utilization: float = 0.0,
        preferred_batch_sizes: Sequence[int] = (),
        max_queue_delay_us: int = 0,
        preserve_ordering: bool = False,
    ) -> None:
        """`direct`: False is the strategy "oldest". `max_candidates` 0: the model's max_batch_size."""
    def add_control(
        self, kind: str, input: int, *, datatype: str, shape: Sequence[int], values: Sequence[bytes]
    ) -> None:
        """`kind`: START, END, READY, CORRID. `values`: the bytes of false and true; none of CORRID."""
    def add_state(
        self, input: int, output: int, *, datatype: str, shape: Sequence[int], initial: bytes
    ) -> None: ...

@final
class EnsemblePlan:
    """The graph of an ensemble: `tensors` by name, of which `inputs` and `outputs` (positions) are those of
    its ModelSpec, in order."""
    def __init__(
        self,
        tensors: Sequence[str],
        *,
        inputs: Sequence[int],
        outputs: Sequence[int],
        max_inflight_requests: int = 0,
    ) -> None: ...
    def add_step(
        self,
        model: str,
        version: str,
        *,
        inputs: Sequence[tuple[str, int, bool]],
        outputs: Sequence[tuple[str, int, bool]],
        when: tuple[int, bool] | None = None,
    ) -> None:
        """`inputs`, `outputs`: the model's name, the tensor's position, whether it may be absent. `when`:
        runs only where that BOOL tensor is so. "" is the highest version."""

@final
class InstanceSpec:
    def __init__(
        self,
        name: str,
        *,
        device_kind: str = "CPU",
        device_id: int = 0,
        resources: Mapping[tuple[str, int], int] = {},
        priority: int = 1,
        passive: bool = False,
        cpus: Sequence[int] = (),
        numa_node: int | None = None,
    ) -> None:
        """`resources`: what it needs of the rate limiter while it runs a batch, by name and device (-1 the
        CPU, -2 all together). `passive`: it is loaded and gets no requests. `cpus`: the processors that its
        thread runs on, and all that this starts; none: any. `numa_node`: the one that their memory is of."""

@final
class BackendFactory:
    """What instances are made from; opaque."""

def identity_factory() -> BackendFactory: ...
def library_factory(
    library_path: str, *, config_json: str, directory: str, options_json: str
) -> BackendFactory:
    """What a shared library makes: csrc/backends/sdk/naiad/backend.h."""

@final
class OnnxRuntime:
    """The onnxruntime C library of an installed wheel, opened by path."""
    def __init__(self, library_path: str, *, global_threads: tuple[int, int] | None = None) -> None:
        """`global_threads`: those of one operator and those side by side (0: the library chooses) that all
        sessions with the option global-threads share."""
    version: str
    providers: list[str]
    def factory(
        self,
        model_path: str,
        options: Mapping[str, str],
        providers: Sequence[tuple[str, str, Sequence[tuple[str, str]]]] = ...,
    ) -> BackendFactory:
        """`providers`: the device kind of the instances ("CPU", "GPU") that run with it, its name ("CUDA",
        "TensorRT", "OpenVINO"), its options."""
    def metadata(self, model_path: str) -> dict[str, Any]:
        """{"inputs": [{"name", "datatype", "dims"}], "outputs": [...], "custom": {str: str}}"""

class PythonInstance(Protocol):
    """What a Python backend gives for one instance. Called on that instance's thread with the GIL."""
    def execute(self, requests: list[RequestView]) -> None:
        """Answers every request through its RequestView; what has no answer when it returns fails. Where the
        instance has an attribute ``takes_gpu_inputs`` that is true when it is made, inputs that lie on a GPU
        are given as they are; else they are copied to the host before."""
    def finalize(self) -> None: ...

class BatchInstance(Protocol):
    """A PythonInstance that takes the rows of all requests of a batch together."""
    def execute_batch(self, batch: BatchView) -> None:
        """Gives every wanted output of the batch; the core cuts it into the rows of the requests. One that it
        does not give is left out of the answers. The batch fails when it raises; where the instance has an
        attribute ``is_broken`` that is then true, it gets no more while others can run them, and a worker
        process ends."""
    def finalize(self) -> None: ...

class DeviceInstance(BatchInstance, Protocol):
    """One that may have a stream of the core's on its GPU. Then this is called, and not execute_batch; on the
    instance's own thread, while the work of the batches before may still be under way.
    """

    def enqueue(self, batch: DeviceBatchView) -> None:
        """Queues the work of a batch on the stream and returns without waiting for it. What it raises fails
        the batch. Where the instance has an attribute ``can_be_captured`` that is true when it is made, and
        the model wants graphs, it is called twice for one batch of a shape that comes again, the second time
        while the stream is captured, and not for those to come: so it does the same for all batches of one
        shape, in memory of inputs() and place() alone, and places all outputs."""

def python_factory(
    make: Callable[[str, str, int], PythonInstance | BatchInstance]
    | Callable[[str, str, int, int], DeviceInstance],
    *,
    streams: bool = False,
) -> BackendFactory:
    """`make(instance_name, device_kind, device_id)` is called on each instance's own thread. With `streams`
    it gets the stream of an instance on a GPU too, a cudaStream_t, 0 where the core has none."""

@final
class RequestView:
    """One request of the batch that a Python backend is running. Valid until execute() returns; arrays taken
    from it stay valid as long as they live."""

    id: str
    sequence_id: int
    sequence_name: str
    sequence_start: bool
    sequence_end: bool
    timeout_us: int
    priority: int
    parameters: dict[str, ParameterValue]
    requested_outputs: list[str]
    cancelled: bool
    trace_number: int  # of its trace, for requests that are made for it; 0: it is not traced
    trace_parent: str  # its place in a trace, as the header field "traceparent"; "" where there is none
    trace_state: str
    model_name: str
    model_version: int
    instance: int  # its number among those that may call other models
    def inputs(self) -> list[tuple[str, str, NDArray[Any] | GpuTensor]]:
        """(name, datatype, array) of every input present, in the model's own shape; read-only views without a
        copy. A GpuTensor, not to be written to, where it lies on a GPU and the instance takes it there. BYTES
        arrays have dtype object and hold bytes. BF16 arrays have dtype uint16 (the bits)."""
    def output(self, name: str, datatype: str, array: NDArray[Any]) -> None:
        """Takes the array over without a copy when it is C-contiguous (object arrays of bytes/str are
        encoded). Raises InvalidArgument for an unknown name, a wrong datatype or shape."""
    def parameter(self, name: str, value: ParameterValue) -> None: ...
    def fail(self, code: str, message: str) -> None: ...
    can_reschedule: bool
    def reschedule(self) -> None:
        """The model sees the request again. Where it is kept, its sender gives nothing any more: the next
        round has another one. Raises InvalidArgument when the sender has given the last response."""
    def keep(self) -> ResponseSender:
        """Takes the request out of the batch: from now on the sender answers it. What the view shows stays
        valid. Once; before execute() has returned."""

def writable_view(array: NDArray[Any]) -> NDArray[Any]:
    """The same memory, without a copy, as an array that may be written to: for who takes no other, and does
    not write."""

@final
class BatchView:
    """The batch that a BatchInstance is running. Valid until execute_batch() returns; arrays taken from it
    stay valid as long as they live."""

    num_requests: int
    num_rows: int
    """Of all requests together; 1 where the model does not batch."""
    cancelled: bool
    """Whether nobody waits for any of them any more."""
    instance: int
    wanted_outputs: list[str]
    """Those that at least one request wants."""
    def inputs(self) -> list[tuple[str, str, NDArray[Any]]]:
        """(name, datatype, array) of every input present, in the model's own shape, with the rows of all
        requests. An array that others see too is read-only: that of one request alone, without a copy.
        BYTES and BF16 as RequestView.inputs() has them. Once."""
    def output(self, name: str, datatype: str, array: NDArray[Any]) -> None:
        """An output of the batch, its first dimension num_rows where the model batches; copied. Raises
        InvalidArgument for an unknown name or a wrong datatype, Internal for a wrong number of rows."""
    def place(self, name: str, datatype: str, shape: Sequence[int]) -> NDArray[Any]:
        """Where an output goes: writable memory of the pool, which is to be filled before execute_batch()
        returns. BF16 as its bits (uint16); BYTES have none: InvalidArgument. Raises as output() does."""

@final
class GpuTensor:
    """Memory of a GPU, by DLPack. Its consumers' work on the stream of the instance finds it ready."""

    datatype: str
    shape: tuple[int, ...]
    address: int
    """Of its first byte, on the GPU; the elements lie one behind the other."""
    def __dlpack__(self, **_: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

@final
class DeviceBatchView:
    """The batch that a DeviceInstance is queueing. Valid until enqueue() returns; so are its tensors, but for
    work that is on the stream by then."""

    num_requests: int
    num_rows: int
    slot: int
    """0 or 1; batches that are under way at the same time have different ones."""
    wanted_outputs: list[str]
    def inputs(self) -> list[tuple[str, str, GpuTensor | NDArray[Any]]]:
        """As BatchView.inputs(). On the host are BYTES, and what is made of the batch."""
    def output(self, name: str, datatype: str, array: NDArray[Any]) -> None:
        """As BatchView.output(): one that is on the host."""
    def place(self, name: str, datatype: str, shape: Sequence[int]) -> GpuTensor:
        """Where an output goes: memory of the GPU, to be written by work on the stream. Raises as
        BatchView.place() does, Unavailable where the GPU has no room."""

@final
class ResponseSender:
    """Answers a request that was kept; let go of before the last response, it fails it. Any thread."""

    cancelled: bool
    is_full: bool
    """The client is so far behind that `send` would wait."""
    def send(
        self,
        outputs: list[tuple[str, str, NDArray[Any]]],
        parameters: Mapping[str, ParameterValue] | None,
        *,
        last: bool,
    ) -> None:
        """A response: (name, datatype, array) of each output, copied. Blocks, without the GIL, while the
        client is far behind. Raises InvalidArgument after the last one, and at a second one of a model that
        is not decoupled."""
    def fail(self, code: str, message: str, *, last: bool) -> None:
        """A response that is a failure."""
    def finish(self) -> None:
        """There are no more responses."""

@final
class Tensor:
    """A tensor of a response, in pool memory; immutable. Has the buffer protocol and DLPack (BYTES: not)."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    size_bytes: int
    def numpy(self) -> NDArray[Any]:
        """A view without a copy, except BYTES (object array of bytes) which is decoded."""
    def __dlpack__(self, **kwargs: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

@final
class Result:
    """An in-process response."""

    id: str
    parameters: dict[str, ParameterValue]
    outputs: dict[str, Tensor]

@final
class LocalAnswer:
    """A finished in-process inference."""

    tag: int
    error: Exception | None
    result: Result | None
    refused: bool  # not even queued: an answer from another process
    last: bool  # false: the request will have more; an answer with neither error nor result is an end alone

@final
class CompletionQueue:
    """Where the requests of one event loop come home to. fileno() is readable when something is there."""
    def __init__(self, engine: Engine) -> None: ...
    def fileno(self) -> int: ...
    def drain(self) -> list[LocalAnswer]:
        """All that finished. One thread at a time. Never blocks."""
    def submit_local(
        self,
        tag: int,
        model: str,
        version: str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] = (),
        request_id: str = "",
        parameters: Mapping[str, ParameterValue] | None = None,
        many: bool = False,
        watch: TraceWatch | None = None,
    ) -> None:
        """Queues a request as Engine.infer takes it; its answer comes out of drain() with `tag`. `many`: any
        number of them may come, so decoupled models may be asked. `watch`: it is traced, whatever the
        settings are. Raises at once when the request is refused."""
    def submit(self, tag: int, request: LocalRequest) -> None:
        """The same of a request that a model makes; any number of answers may come."""
    def cancel(self, tag: int) -> None:
        """Marks a request cancelled; it is dropped if it was not yet taken into a batch."""

@final
class Model:
    """A running model version. It keeps running until Engine.stop(model) or the engine's close()."""

    name: str
    version: int
    in_flight: int
    """Requests that it took and is not done with, as of a moment ago."""
    pending: int
    healthy: bool
    """Whether any of its instances would run a batch now: no, while all their workers are started again."""
    queue_delay_us: float | None
    """What a batch may wait for company now, where that is found; None where it is what the model says."""
    def statistics(self) -> dict[str, Any]:
        """Cumulative counters; durations in nanoseconds:
        {"inference_count", "execution_count", "last_inference_ms", "last_used_s",
         "success"|"fail"|"queue"|"compute_input"|"compute_infer"|"compute_output"|"cache_hit"|
             "cache_miss"|"cache_insertion": (count, ns), the last one a part of "cache_miss",
         "failures": {"REJECTED"|"CANCELED"|"BACKEND"|"OTHER": count},
         "batches": [(batch_size, (count, ns) compute_input, (count, ns) compute_infer,
                      (count, ns) compute_output)],
         "responses": {place: {"compute_infer"|"compute_output"|"success"|"fail"|"empty_response"|"cancel":
                       (count, ns)}}}
        """
    def distributions(self) -> dict[str, Any]:
        """{"request"|"queue"|"compute"|"first_response" (seconds)|"batch_rows":
            (count, sum, [(number of the bucket, count)], those that are not empty),
        "first_response_ms": (count, sum, bounds, counts, of which the last one is above all bounds),
        "exemplars": {one of the first five: [(doubling, eight buckets to each, trace, value, milliseconds
            since the epoch), the last traced request in each that has one]}, {} when nothing was traced}
        """
    def summaries(self, shares: Sequence[float]) -> dict[str, tuple[int, float, list[float]]] | None:
        """{"request"|"queue"|"compute_input"|"compute_infer"|"compute_output"|"cache_hit"|"cache_miss":
        (count, sum, quantiles of the last minute at `shares`, NaN of none)} in microseconds; None where the
        model's spec asks for none."""
    def instance_use(self) -> list[tuple[str, int, int]]:
        """The name of each instance, for how many nanoseconds it has run batches, and the number of its
        worker process, 0 where there is none now."""
    def gpu_use(self) -> list[tuple[int, int, int, int]]:
        """What it has of the pool of a GPU's memory, of GPUs on which it ever had any: number of the GPU,
        bytes now, the most it had, its limit (0: none)."""

@final
class SharedRegions:
    """Shared memory that clients have registered, by the names they gave. Its bytes are only copied, never
    mapped: a client that shrinks its object gets an error."""
    def __init__(self) -> None: ...
    def register_system(self, name: str, key: str, offset_bytes: int, size_bytes: int) -> None:
        """Opens the POSIX shared memory object `key`. Raises AlreadyExists, InvalidArgument for a key that
        is not the name of such an object or a range that does not lie in it, Unavailable when there are
        too many."""
    def register_gpu(self, name: str, handle: bytes, device: int, size_bytes: int) -> None:
        """Opens the allocation on GPU `device` behind a cudaIpcMemHandle_t (64 bytes). Raises AlreadyExists;
        InvalidArgument for a handle that cannot be opened or a range that does not lie in the allocation,
        Unavailable when there are too many regions, Unsupported without a GPU."""
    def unregister_system(self, name: str = "") -> None:
        """One region, or all of the system's for "". Requests that use a region keep it open. An unknown name
        is no error."""
    def unregister_gpu(self, name: str = "") -> None:
        """The same for regions on GPUs."""
    def list_system(self, name: str = "") -> list[tuple[str, str, int, int]]:
        """(name, key, offset in bytes, size in bytes) of one region, or of all for "". Raises NotFound."""
    def list_gpu(self, name: str = "") -> list[tuple[str, int, int]]:
        """(name, device, size in bytes) of one region, or of all for "". Raises NotFound."""

@final
class StoreQueue:
    """What the core wants of a store of answers: threads of Python take it and say what they found. Any
    thread."""
    def __init__(self, secret: bytes) -> None:
        """`secret`: 16 bytes, the same for all who share the store. Keys and entries are hashed with it."""
    def take(self) -> tuple[list[tuple[int, bytes]], list[tuple[bytes, bytes]]] | None:
        """What waits: look-ups (ticket and key), and entries to keep (key and bytes). Blocks without the GIL
        until there is something; None when it is closed."""
    def answer(self, found: Sequence[tuple[int, bytes | None]]) -> None:
        """The outcome of look-ups by their tickets; None is a miss, whose request is run. Lets go of the
        GIL."""
    def pause(self, seconds: float) -> None:
        """Everything is a miss for so long, what waits too; nothing is kept."""
    def close(self) -> None:
        """Everything is a miss; take() gives None. Idempotent."""
    def counts(self) -> tuple[int, int]:
        """Look-ups that were misses without a look, and entries that were not kept."""

@final
class Summons:
    """The models of an engine that are loaded with the first request for them: such requests are parked until
    a thread of Python has loaded the model. Any thread."""
    def __init__(self, engine: Engine) -> None: ...
    def allow(self, names: set[str]) -> None:
        """These may be summoned from now on; requests for others are refused as unknown."""
    def takes(self, name: str) -> bool:
        """Whether a request for it would be parked: false for a while after a failure."""
    def take(self) -> str | None:
        """A model that requests wait for, to be loaded and then answered; each is given once.
        Blocks without the GIL; None once it is closed."""
    def answer(self, name: str, failure: str | None = None) -> None:
        """It is there: what waits for it goes there. With a `failure` it fails with that text, as do requests
        of the next seconds. Lets go of the GIL."""
    def close(self) -> None:
        """What is parked fails; nothing is parked any more. Idempotent. Lets go of the GIL."""
    @property
    def num_parked(self) -> int:
        """Requests that wait for models."""

@final
class VersionRoutes:
    """Which of a model's versions requests go to. `labels`: what may be said in place of a version's number.
    `shares`: versions and their weights, of requests that name none; without any the highest version gets
    all. `shadow`: gets copies of `shadow_percent` of those requests, whose answers nobody sees."""
    def __init__(
        self,
        *,
        labels: Mapping[str, int] = {},
        shares: Sequence[tuple[int, int]] = (),
        shadow: int | None = None,
        shadow_percent: int = 100,
    ) -> None: ...

@final
class Engine:
    """The core: tensor pool, models, instance threads."""
    def __init__(
        self,
        *,
        pool_bytes: int,
        pinned_bytes: int = 0,
        max_tensor_bytes: int = 64 << 20,
        shared_regions: SharedRegions | None = None,
        cache_bytes: int = 0,
        rate_limits: Mapping[tuple[str, int], int] | None = None,
        response_store: StoreQueue | None = None,
        gpu_cache_bytes: Mapping[int, int] = {},
    ) -> None:
        """Without `shared_regions` requests that name client shared memory are refused. `cache_bytes` bounds
        the answers that are kept for models with `cached`; 0: none are. `rate_limits`: what there is of the
        resources that instances need (see InstanceSpec), as much as the largest need where it is not said;
        None: they need nothing. `response_store`: where answers of models with `cached` are kept too.
        `gpu_cache_bytes`: how much free memory of a GPU, by its number, its pool keeps; 64 MiB where it is
        not said."""
    def spoiled_entries(self) -> int:
        """Entries that the store gave and that were no answers of their model."""
    def cache_usage(self) -> tuple[int, int, int, int] | None:
        """Capacity and size in bytes, the number of answers in the cache, and how many had to make room for
        others; None without one."""
    def start(self, spec: ModelSpec, factory: BackendFactory, instances: Sequence[InstanceSpec]) -> Model:
        """Makes the instances (each on its own thread), waits until all are loaded; raises what the first
        failing one raised. Not yet visible to requests: see publish(). Lets go of the GIL."""
    def start_ensemble(self, spec: ModelSpec, plan: EnsemblePlan) -> Model:
        """An ensemble, whose steps are requests to this engine's models."""
    def publish(self, name: str, models: Sequence[Model], *, routes: VersionRoutes | None = None) -> None:
        """From now on requests for `name` go to these versions (the highest where a request names none and
        `routes` say nothing else). An empty list: the model is known but not available. Raises
        InvalidArgument when `routes` name a version that is not among them; then nothing has changed."""
    def resize(self, model: Model, factory: BackendFactory, instances: Sequence[InstanceSpec]) -> None:
        """Has a model that runs these instances from now on: those that are as before stay, others are loaded
        first, then those that are not named end. Raises what loading raised, and then nothing has changed;
        Unsupported for a model whose scheduler was made for its instances. Lets go of the GIL."""
    def trim(self) -> None:
        """Gives memory that nothing needs any more back to the system. Takes milliseconds; lets go of the
        GIL."""
    def make_ambiguous(self, name: str, num_bearers: int) -> None:
        """So many models bear `name` from now on, and it means none of them: who asks is told so."""
    def forget(self, name: str) -> None:
        """From now on `name` is unknown."""
    def stop(self, model: Model, *, drain: bool = True) -> None:
        """Refuses new requests, lets what waits finish (or fails it when not `drain`), ends the instances.
        Lets go of the GIL."""
    def infer(
        self,
        model: str,
        version: str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] = (),
        request_id: str = "",
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> Result:
        """Runs one request and waits for it without the GIL. Inputs: anything with the buffer protocol, numpy
        arrays (object/str/bytes arrays for BYTES), or DLPack CPU tensors; not copied when C-contiguous."""
    def usage(self) -> dict[str, int]:
        """Tensor pool bytes: capacity, mapped, used, pinned."""
    def gpu_usage(self) -> list[dict[str, Any]]:
        """Of each GPU that is in use: device (its number), uuid, and the bytes of its pool: used, cached
        (free), kept (as much of the free ones as stays)."""
    def close(self) -> None:
        """Stops every model. Idempotent."""

def infer_many(
    engine: Engine,
    model: str,
    version: str,
    inputs: Sequence[Mapping[str, Any]],
    *,
    outputs: Sequence[str] = (),
) -> list[Result | Exception]:
    """Queues one request for each of `inputs`, waits for all without the GIL, and gives the answers in the
    same order: a Result, or the failure of that request. Raises what Engine.infer raises for inputs that
    cannot be taken; then none was queued."""

@final
class LocalRequest:
    """A request that a model makes for another model, to be submitted once."""
    def __init__(
        self,
        engine: Engine,
        model: str,
        version: str,
        inputs: Sequence[tuple[str, str, Any]],
        outputs: Sequence[str] = (),
        request_id: str = "",
        parameters: Mapping[str, ParameterValue] | None = None,
        correlation_id: int | str = 0,
        sequence_start: bool = False,
        sequence_end: bool = False,
        timeout_us: int = 0,
        many: bool = False,
        caller: int = 0,
        trace_number: int = 0,
    ) -> None:
        """`inputs`: (name, datatype, array). `many`: any number of answers is taken; if not, a decoupled
        model refuses it. `caller`: the RequestView.instance that waits for the answer; 0: none does.
        `trace_number`: RequestView.trace_number of the request that it is made for. Raises Unavailable when
        the answer could never come, because all who could give it wait for one another."""

def run_local(
    engine: Engine, request: LocalRequest, cancelled: Callable[[], bool] | None = None
) -> Result | Exception:
    """Runs the request and waits, without the GIL, for the answer or the failure that comes back. Raises what
    refuses it. `cancelled` is asked every 20 ms; true takes the request back."""

class WorkerProcess(Protocol):
    """A child process, for the core."""

    pid: int
    def wait(self) -> str:
        """Blocks until it has ended; says how, in words that follow a subject."""

def worker_factory(
    engine: Engine,
    start: Callable[[dict[str, int], str, str, int], WorkerProcess],
    ask: Callable[[str, Callable[[str], object]], object],
    *,
    start_limit_s: float = 0.0,
    execute_limit_s: float = 0.0,
    stop_limit_s: float = 30.0,
) -> BackendFactory:
    """Instances that run in processes: `start` makes one, for the arguments of its WorkerConnection (a dict),
    the instance's name, device kind and id. `ask` gets what a worker asks, and calls what it is given with
    the answer; it never blocks. Limits in seconds, 0: none; a worker that takes longer to load, to run a
    batch, to end, is killed. One that has ended is started again. Both are called by threads of the core."""

def die_with_parent(parent: int) -> None:
    """The kernel ends this process when the thread that started it has ended; at once when process `parent`
    has ended already."""

@final
class WorkerConnection:
    """A worker's end of what it shares with its server."""
    def __init__(
        self,
        *,
        channel: int,
        server_arena: int,
        server_arena_bytes: int,
        worker_arena: int,
        worker_arena_bytes: int,
        event: int,
    ) -> None: ...
    engine: Engine  # requests to it go to the server
    arenas: tuple[tuple[int, int, bool], ...]
    """The memory that both sides share: address here, bytes, whether this process may write to it. First the
    server's, where inputs lie, then its own, where outputs lie."""
    def serve(self, factory: BackendFactory, name: str, device_kind: str, device_id: int) -> None:
        """Makes the instance and runs what comes until the server says stop or is gone. Without the GIL but
        for the model."""
    def ask(self, text: str) -> str:
        """Asks the server; blocks without the GIL. Raises Unavailable when it is gone. Any thread."""
    def tell(self, text: str) -> None:
        """The same without an answer."""

class TraceSpan(TypedDict):
    """One request. Times are steady nanoseconds."""

    id: int
    parent_id: int  # 0: the client's own
    span_id: int  # 0: without a context
    model_name: str
    model_version: int
    request_id: str
    marks: list[tuple[str, int]]
    tensors: list[tuple[bool, int, str, str, list[int], bytes]]  # is input, time, name, datatype, shape, data

class TraceRecord(TypedDict):
    """A client's request and all that it led to, in the order in which they ended."""

    spans: list[TraceSpan]
    trace_id: bytes  # 16; zeros without a context
    span_id: int
    parent_span_id: int  # 0: the trace began here
    parent_flags: int
    state: str

@final
class TraceWatch:
    """What is noted of one request, and of those that it leads to, for who makes it: its time stamps alone.
    Any thread."""
    def __init__(self) -> None: ...
    def take(self, timeout_s: float) -> TraceRecord | None:
        """Waits without the GIL until nothing is left of the request; None when that takes longer. Once."""

@final
class Tracer:
    """Which requests that come over the network are traced, and what was noted of them. Any thread."""
    def __init__(self, engine: Engine) -> None: ...
    def set(
        self,
        model: str,
        *,
        number: int,
        timestamps: bool,
        tensors: bool,
        rate: int,
        count: int,
        has_context: bool = False,
    ) -> None:
        """From now on requests for `model`, or for all that have no setting of their own (""), go by this
        one, which is told by `number`. Every `rate`-th request (0: none), at most `count` (negative: any
        number); with `has_context` those too that come with a W3C trace context."""
    def clear(self, model: str) -> None:
        """Requests for `model` go by the common setting."""
    def count_left(self, model: str) -> int: ...
    def take(self, timeout_s: float) -> list[tuple[int, TraceRecord | None, bool, bool]]:
        """Waits without the GIL for something to write. For each: the setting's number; a record; whether it
        is the last one that the setting's count allows; whether the setting was replaced, and no more of it
        will come."""
    def close(self) -> None:
        """Traces nothing from now on."""
    closed: bool
    on: bool
    num_dropped: int  # records that were not taken in time

API_GROUPS: list[str]
"""What requests may be about, by name; "unknown" is that of a path or method that does not exist."""

def permission_bit(group: str, *, changes: bool) -> int:
    """The bit of permissions by which a group is read, or changed. Raises InvalidArgument."""

def histogram_bounds() -> list[float]:
    """The upper bound of each bucket of Model.distributions(): eight for each doubling, then infinity."""

@final
class RouteTable:
    """Which paths there are. Reading it is thread-safe."""
    def __init__(self, rows: Sequence[tuple[str, str, Sequence[tuple[str, bool]]]]) -> None:
        """Rows of a path, its group, and its methods with whether they change something. A segment of a path
        in braces stands for any, {number} for digits. The first row that fits counts. Raises
        InvalidArgument."""
    def find(self, path: str | bytes) -> tuple[int, list[bytes]] | None:
        """The number of a path's row, and what stands for its segments in braces."""

@final
class KeyRing:
    """The API keys that are good. Any thread."""
    def __init__(self) -> None: ...
    def replace(self, keys: Sequence[tuple[str, bytes, int]]) -> None:
        """A name, the SHA-256 of the key and its permissions of each; others are good no more."""

@final
class GuessLimit:
    """How many different wrong keys each client may show. Any thread."""
    def __init__(self, max_guesses: int) -> None:
        """`max_guesses`: in a minute. Raises InvalidArgument when it is 0."""

@final
class AccessGate:
    """Who may ask what over one protocol. Any thread."""
    def __init__(
        self,
        routes: RouteTable,
        *,
        restrictions: Mapping[str, tuple[str, str]],
        what: str,
        keys: KeyRing | None,
        guesses: GuessLimit | None,
        without_key: int,
    ) -> None:
        """`restrictions`: a header field and its value that requests of a group have to carry, and `what`
        they are called ("API"). `keys` None: none is needed; `guesses` None: any number of wrong ones may
        be tried; `without_key`: permissions of who shows none."""
    def check(
        self, method: str, path: str, fields: Sequence[tuple[str, str]], client: str
    ) -> tuple[
        Literal["", "restricted", "no key", "unknown key", "forbidden", "guessing", "unchecked"],
        str,
        str,
        int,
    ]:
        """Why a request from that address is refused ("": it is not), the name of its key ("" without one),
        the words for the client, and, "guessing", in how many seconds it may come again."""

@final
class Tls:
    """The files of TLS on one port, PEM: the certificate with those that lead to its root, its key, and, not
    empty, the roots of the certificates that clients have to show."""
    def __init__(self, *, certificate_chain: str, key: str, client_roots: str = "") -> None: ...
    def check(self) -> None:
        """Raises InvalidArgument that names the file and what is wrong with it. Reads without the GIL."""

@final
class Listen:
    """Where one protocol is served; port 0 takes a free one. Without `tls` it is served plain."""
    def __init__(
        self,
        address: str,
        port: int,
        *,
        reuse_port: bool = False,
        tls: Tls | None = None,
        header_forward: str = "",
        gate: AccessGate | None = None,
    ) -> None:
        """`header_forward`: a regular expression of ECMAScript; models see header fields (metadata) in whose
        names it is found as parameters. Raises InvalidArgument when it is none. `gate`: who may ask what;
        None: everybody everything."""

@final
class ControlCall:
    """A gRPC call that Python answers. It never waits; what it has read comes out of DataPlane.take() under
    its number. A call that is dropped without finish() ends with INTERNAL."""

    number: int
    method: str
    """ "/package.Service/Method", as the client sent it."""
    metadata: list[tuple[str, bytes]]
    """As it was sent: the values of "-bin" names are base64."""
    seconds_left: float | None
    """Until its deadline; None without one. The core ends a call whose time is up, which cancels it here."""
    def read(self) -> None:
        """Asks for the next message. One at a time."""
    def write(self, message: bytes) -> None: ...
    def finish(self, status: int, message: str) -> None:
        """Ends the call with a gRPC status number. Once."""

@final
class ControlMessage:
    """What a call has read; None: the client sends no more."""

    call: int
    message: bytes | None

@final
class ControlCancel:
    """The client of a call has cancelled it, or gone; or its time is up."""

    call: int

@final
class DataPlane:
    """The I/O threads, which serve inference over HTTP and gRPC without the GIL, and their bridge to an event
    loop for all else."""
    def __init__(
        self,
        engine: Engine,
        *,
        http: Listen | None,
        grpc: Listen | None,
        io_threads: int = 1,
        io_spin_us: int = 0,
        max_connections: int = 10_000,
        max_http_message_bytes: int = 64 << 20,
        max_in_flight_bytes: int = 1 << 30,
        grpc_keepalive_time_ms: int = 7_200_000,
        grpc_keepalive_timeout_ms: int = 20_000,
        access_log: bool = False,
    ) -> None:
        """Listens; serves from start() on. None: that protocol is not served. Raises Unavailable when a port
        cannot be had, InvalidArgument when files of TLS are of no use. `access_log`: a line for each
        request is logged."""
    http_port: int
    grpc_port: int
    def start(self) -> None:
        """Once."""
    def fileno(self) -> int:
        """Readable when there is something to take."""
    def take(self) -> list[int | ControlCall | ControlMessage | ControlCancel]:
        """What the I/O threads have left since. An int is a connected socket with the requests of one HTTP
        client that are not inference, the caller's to close. One thread at a time; never blocks."""
    def refuse_inference(self) -> None:
        """From now on new inference requests are answered that the server is stopping."""
    def drain(self, timeout_s: float) -> bool:
        """Takes no new connections, finishes what is under way and closes connections as they fall idle.
        False: not all had ended in time. Waits without the GIL."""
    def give_up(self) -> None:
        """Answers inference requests in flight that they were not finished in time."""
    def reload_http_tls(self) -> bool:
        """Reads the files of HTTP's TLS again, without the GIL. True: they have changed, and new connections
        get what they hold now. Raises InvalidArgument: then what was in use stays."""
    def reload_grpc_tls(self) -> bool: ...
    def stop(self) -> None:
        """Closes everything, joins the threads. Waits without the GIL. Idempotent."""
    def usage(self) -> dict[str, int]:
        """open_connections, in_flight (inference requests), in_flight_bytes now; accepted_connections,
        refused_connections, failed_handshakes (of TLS) ever."""
    def answered(self) -> dict[str, list[tuple[str, int, int]]]:
        """Requests that were answered, by "http" and "grpc": their group, the status (of HTTP, where 499 is a
        client that did not wait, or of gRPC), and how many there were."""
