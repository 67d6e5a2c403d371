"""The ``onnxruntime`` backend: the core calls the C library of the installed onnxruntime package; no GIL, no
Python.

The package itself is never imported: its Python part takes half a second and is not needed.
"""

from __future__ import annotations

import mmap
import re
import threading
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from naiad.backends.base import COMMON_OPTIONS, Backend, ModelFiles
from naiad.backends.onnx_accelerators import wanted_providers
from naiad.config import (
    FoundTensor,
    FoundTensors,
    ModelConfig,
    complete_tensors,
    config_data_type,
)
from naiad.errors import ConfigError, Unsupported

if TYPE_CHECKING:
    from naiad.engine import BackendFactory, OnnxRuntime

PACKAGES = ("onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime")
"""Where the library is looked for, in this order: the one for GPUs also runs without, and so on."""

_LIBRARY = re.compile(r"libonnxruntime\.so\.\d+(\.\d+)*\Z")


def find_library(packages: Sequence[str] = PACKAGES) -> Path:
    """The C library of the installed package. Raises Unsupported with what to install when there is none."""
    for package in packages:
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if _LIBRARY.fullmatch(file.name):
                path = Path(str(file.locate())).resolve()
                if path.is_file():
                    return path
    raise Unsupported(
        "the onnxruntime backend needs the library of the onnxruntime package: pip install onnxruntime"
    )


PARAMETERS = frozenset(
    {
        "enable_mem_arena",
        "enable_mem_pattern",
        "execution_mode",
        "inter_op_thread_count",
        "intra_op_thread_count",
        "memory.enable_memory_arena_shrinkage",
        "session.use_device_allocator_for_initializers",
    }
)
"""The ``parameters`` of a configuration that are options of the library. Others are the model's own notes."""

CONFIG_ENTRIES = ("session.", "ep.", "mlas.", "optimization.")
"""How further ``parameters`` begin, which the library knows by these names."""

_GLOBAL_THREADS = "enable-global-threadpool"
_THREAD_COUNTS = ("intra_op_thread_count", "inter_op_thread_count")


class OnnxRuntimeBackend(Backend):
    """Runs model.onnx files, on the CPU and on what the installed library was built for.

    Options are ``--backend-config=onnxruntime,<key>=<value>`` for all models, and for one the ``PARAMETERS``,
    config entries of the library, ``optimization.graph.level`` and ``optimization.execution_accelerators`` of
    its configuration. ``default-max-batch-size`` (4) is what auto-completion gives a model that can batch.
    With ``enable-global-threadpool`` all models share threads, as many as the thread counts among the options
    say.
    """

    name: ClassVar[str] = "onnxruntime"
    default_filename: ClassVar[str] = "model.onnx"
    option_names: ClassVar[frozenset[str] | None] = None  # the core knows them

    def __init__(self, options: Mapping[str, str]) -> None:
        super().__init__(options)
        self._lock = threading.Lock()
        self._runtime: OnnxRuntime | None = None
        self._default_max_batch_size = self.default_max_batch_size
        for name in COMMON_OPTIONS:
            self.options.pop(name, None)
        self._global_threads = _global_threads(self.options)

    def runs_on_gpu(self) -> bool:
        """Where the installed library was built with CUDA."""
        return "CUDAExecutionProvider" in self._library().providers

    def auto_complete(self, config: ModelConfig, files: ModelFiles) -> ModelConfig:
        """Inputs and outputs as the model file declares them; batching where every tensor's first dimension
        is free.
        """
        read = self._library().metadata(str(files.find(config, self.default_filename)))
        message = config.copy_proto()
        complete_tensors(
            message,
            FoundTensors(inputs=_tensors(read["inputs"]), outputs=_tensors(read["outputs"])),
            default_max_batch_size=self._default_max_batch_size,
        )
        return ModelConfig(message)

    def factory(self, config: ModelConfig, files: ModelFiles) -> BackendFactory:
        """Sessions of the library. The model file is read when an instance is made."""
        model_file = files.find(config, self.default_filename)
        library = self._library()
        options = self._model_options(config)
        for name in options:
            if name.startswith(CONFIG_ENTRIES) and name not in PARAMETERS | {"optimization.graph.level"}:
                self._require_entry(config, name)
        return library.factory(str(model_file), options, wanted_providers(config))

    def _model_options(self, config: ModelConfig) -> dict[str, str]:
        own = {
            key: value
            for key, value in config.parameters.items()
            if key in PARAMETERS or key.startswith(CONFIG_ENTRIES)
        }
        if config.proto.optimization.HasField("graph"):
            own["optimization.graph.level"] = str(config.proto.optimization.graph.level)
        if self._global_threads is None:
            return {**self.options, **own}
        for name in _THREAD_COUNTS:
            if name in own:
                raise ConfigError(
                    f"model '{config.name}': parameter {name} has no effect while all models share threads "
                    f"(--backend-config=onnxruntime,{_GLOBAL_THREADS})",
                    field="parameters",
                )
        return {**self.options, **own, "global-threads": "1"}

    def _require_entry(self, config: ModelConfig, name: str) -> None:
        """The library takes any name; one that does not stand in it can have no effect."""
        with (
            find_library().open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            if content.find(name.encode() + b"\0") < 0:
                raise ConfigError(
                    f"model '{config.name}': ONNX Runtime {self._library().version} knows no parameter "
                    f"{name}",
                    field="parameters",
                )

    def _library(self) -> OnnxRuntime:
        with self._lock:
            if self._runtime is None:
                from naiad.engine import OnnxRuntime

                self._runtime = OnnxRuntime(str(find_library()), global_threads=self._global_threads)
            return self._runtime


def _global_threads(options: dict[str, str]) -> tuple[int, int] | None:
    """The counts of threads that all models share; then they are no options of sessions any more."""
    word = options.pop(_GLOBAL_THREADS, "0")
    if word not in ("0", "1"):
        raise ConfigError(f"backend-config '{_GLOBAL_THREADS}' must be 0 or 1, got '{word}'")
    if word == "0":
        return None
    intra, inter = (options.pop(name, "0") for name in _THREAD_COUNTS)
    for name, text in zip(_THREAD_COUNTS, (intra, inter), strict=True):
        if not re.fullmatch(r"[0-9]{1,4}", text):
            raise ConfigError(f"backend-config '{name}' must be a number of threads, got '{text}'")
    return int(intra), int(inter)


def _tensors(read: list[dict[str, Any]]) -> tuple[FoundTensor, ...]:
    return tuple(
        FoundTensor(
            name=tensor["name"],
            data_type=config_data_type(tensor["datatype"]),
            shape=tuple(tensor["dims"]),
        )
        for tensor in read
    )
