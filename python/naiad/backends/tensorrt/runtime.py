"""Engines of the installed TensorRT: ``contracts.Engine`` and ``Context``. Little is decided here."""

from __future__ import annotations

import logging
import mmap
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from naiad.backends.tensorrt.contracts import EngineTensor, OutputPlace, Range, Shape
from naiad.backends.tensorrt.failures import said_by
from naiad.backends.tensorrt.libraries import installed
from naiad.backends.tensorrt.options import ServerWideOptions, load_plugins
from naiad.backends.tensorrt.plan_file import maker_of, require_product, version_mismatch
from naiad.errors import BackendError, Unsupported

_log = logging.getLogger("naiad.backends.tensorrt")

_DATATYPES = {
    "FLOAT": "FP32",
    "HALF": "FP16",
    "BF16": "BF16",
    "INT8": "INT8",
    "INT32": "INT32",
    "INT64": "INT64",
    "BOOL": "BOOL",
    "UINT8": "UINT8",
}
"""TensorRT's type -> wire name."""


class Library:
    """An imported TensorRT: once per process, because it keeps the first logger that it is given."""

    def __init__(self, module: ModuleType, options: ServerWideOptions) -> None:
        """Raises InvalidArgument for a plugin that can not be loaded."""
        self.module = module
        self.maker = installed(module)
        self._options = options
        self._said = threading.local()
        self.logger = self._make_logger()
        load_plugins(options.plugins)
        module.init_libnvinfer_plugins(self.logger, "")

    def load(self, path: Path, model: str, dla_core: int | None) -> PlanEngine:
        """The engine of a file, on the GPU that is current.

        Raises InvalidArgument for what is no engine, Unsupported for one of another TensorRT or where there
        is no such accelerator, BackendError for what else TensorRT says.
        """
        made_by = maker_of(path, model)
        require_product(made_by, self.maker.product, path, model)
        runtime = self.module.Runtime(self.logger)
        self._choose_dla(runtime, model, dla_core)
        if self._options.version_compatible:
            runtime.engine_host_code_allowed = True
        self.take_error()
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            engine = runtime.deserialize_cuda_engine(content)
        if engine is None:
            said = self.take_error() or "no reason is given"
            why = version_mismatch(made_by, self.maker, path, model, said)
            raise why or BackendError(f"model '{model}': '{path.name}' can not be loaded: TensorRT: {said}")
        return PlanEngine(self, runtime, engine)

    def take_error(self) -> str:
        """What TensorRT has first called an error on this thread since this was asked before."""
        said = getattr(self._said, "errors", [])
        self._said.errors = []
        return said_by(said[0]) if said else ""

    def _choose_dla(self, runtime: Any, model: str, dla_core: int | None) -> None:
        if dla_core is None:
            return
        if not 0 <= dla_core < runtime.num_DLA_cores:
            raise Unsupported(
                f"model '{model}': unable to create TensorRT runtime with DLA Core ID: {dla_core}, available "
                f"number of DLA cores: {runtime.num_DLA_cores} (instance_group.secondary_devices)"
            )
        runtime.DLA_core = dla_core

    def _make_logger(self) -> Any:
        base = self.module.ILogger
        levels = {"INTERNAL_ERROR": logging.ERROR, "ERROR": logging.ERROR, "WARNING": logging.WARNING}
        said = self._said

        def log(_logger: Any, severity: Any, text: str) -> None:
            level = levels.get(severity.name, logging.DEBUG)
            if level == logging.ERROR:
                said.errors = [*getattr(said, "errors", []), text][-8:]
            if severity.name != "VERBOSE":
                _log.log(level, "TensorRT: %s", text)

        def begin(logger: Any) -> None:
            base.__init__(logger)

        return type("Logger", (base,), {"__init__": begin, "log": log})()


class PlanEngine:
    """See ``contracts.Engine``."""

    def __init__(self, library: Library, runtime: Any, engine: Any) -> None:
        """``runtime`` has made ``engine``, and lives as long."""
        self._library = library
        self._runtime = runtime
        self._engine = engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self.tensors: Sequence[EngineTensor] = tuple(self._tensor(name) for name in names)
        self.num_profiles = int(engine.num_optimization_profiles)

    def shapes(self, name: str, profile: int) -> Range:
        return Range(*(tuple(dims) for dims in self._engine.get_tensor_profile_shape(name, profile)))

    def values(self, name: str, profile: int) -> Range | None:
        # The binding takes the number first, whatever its own text calls the two.
        given = self._engine.get_tensor_profile_values(profile, name)
        return Range(*(tuple(values) for values in given)) if given else None

    def make_context(self, allocation: str) -> PlanContext:
        strategy = getattr(self._library.module.ExecutionContextAllocationStrategy, allocation)
        context = self._engine.create_execution_context(strategy)
        if context is None:
            raise BackendError(f"unable to create TensorRT context: {self.last_error()}")
        return PlanContext(self._library, context)

    def last_error(self) -> str:
        return self._library.take_error()

    def _tensor(self, name: str) -> EngineTensor:
        trt, engine = self._library.module, self._engine
        kind = engine.get_tensor_dtype(name).name
        return EngineTensor(
            name=name,
            is_input=engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
            datatype=_DATATYPES.get(kind, kind),
            shape=tuple(engine.get_tensor_shape(name)),
            is_shape_tensor=bool(engine.is_shape_inference_io(name)),
            on_host=engine.get_tensor_location(name) == trt.TensorLocation.HOST,
            format=engine.get_tensor_format(name).name,
            vectorized_dim=int(engine.get_tensor_vectorized_dim(name)),
            vector_size=max(1, int(engine.get_tensor_components_per_element(name))),
        )


class PlanContext:
    """See ``contracts.Context``."""

    def __init__(self, library: Library, context: Any) -> None:
        self._library = library
        self._context = context
        self._allocators: dict[str, Any] = {}

    def set_profile(self, profile: int, stream: int) -> bool:
        return bool(self._context.set_optimization_profile_async(profile, stream))

    def set_shape(self, name: str, shape: Shape) -> bool:
        return bool(self._context.set_input_shape(name, shape))

    def set_address(self, name: str, address: int) -> bool:
        return bool(self._context.set_tensor_address(name, address))

    def set_output_place(self, name: str, place: OutputPlace) -> bool:
        self._allocators[name] = _allocator(self._library.module, place)
        return bool(self._context.set_output_allocator(name, self._allocators[name]))

    def insufficient(self) -> Sequence[str]:
        try:
            names: Sequence[str] = self._context.infer_shapes()
        except RuntimeError as error:
            raise BackendError(f"TensorRT: {self._library.take_error() or said_by(str(error))}") from None
        return names

    def shape_of(self, name: str) -> Shape:
        return tuple(self._context.get_tensor_shape(name))

    def most_bytes(self, name: str) -> int:
        return int(self._context.get_max_output_size(name))

    def enqueue(self, stream: int) -> bool:
        return bool(self._context.execute_async_v3(stream))


def _allocator(trt: ModuleType, place: OutputPlace) -> Any:
    """TensorRT's object that asks ``place`` for memory."""
    base = trt.IOutputAllocator

    def begin(allocator: Any) -> None:
        base.__init__(allocator)

    def reserve(_allocator: Any, _name: str, _memory: int, size: int, _alignment: int, *_: int) -> int:
        return place.reserve(size)  # cudaMalloc aligns by 256 bytes, which is more than is asked for

    def settle(_allocator: Any, _name: str, shape: Any) -> None:
        place.settle(tuple(shape))

    methods = {
        "__init__": begin,
        "reallocate_output": reserve,
        "reallocate_output_async": reserve,
        "notify_shape": settle,
    }
    return type("OutputAllocator", (base,), methods)()
