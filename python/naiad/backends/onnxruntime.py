"""The ``onnxruntime`` backend: the core calls the C library of the installed onnxruntime package; no GIL, no
Python.

The package itself is never imported: its Python part takes half a second and is not needed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from naiad.backends.base import COMMON_OPTIONS, Backend, ModelFiles
from naiad.config import (
    FoundTensor,
    FoundTensors,
    ModelConfig,
    complete_tensors,
    config_data_type,
)
from naiad.errors import Unsupported

if TYPE_CHECKING:
    from naiad.engine import BackendFactory, OnnxRuntime

PACKAGES = ("onnxruntime-gpu", "onnxruntime")
"""Where the library is looked for, in this order: the one for GPUs also runs without."""

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


class OnnxRuntimeBackend(Backend):
    """Runs model.onnx files on the CPU.

    Options are ``--backend-config=onnxruntime,<key>=<value>`` for all models, and for one the ``PARAMETERS``
    and the ``optimization.graph.level`` of its configuration. ``default-max-batch-size`` (4) is what
    auto-completion gives a model that can batch.
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
        return self._library().factory(str(model_file), self._model_options(config))

    def _model_options(self, config: ModelConfig) -> dict[str, str]:
        own = {key: value for key, value in config.parameters.items() if key in PARAMETERS}
        if config.proto.optimization.HasField("graph"):
            own["optimization.graph.level"] = str(config.proto.optimization.graph.level)
        return {**self.options, **own}

    def _library(self) -> OnnxRuntime:
        with self._lock:
            if self._runtime is None:
                from naiad.engine import OnnxRuntime

                self._runtime = OnnxRuntime(str(find_library()))
            return self._runtime


def _tensors(read: list[dict[str, Any]]) -> tuple[FoundTensor, ...]:
    return tuple(
        FoundTensor(
            name=tensor["name"],
            data_type=config_data_type(tensor["datatype"]),
            shape=tuple(tensor["dims"]),
        )
        for tensor in read
    )
