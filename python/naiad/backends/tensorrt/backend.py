"""The ``tensorrt`` backend: engine files (``model.plan``) of TensorRT, or TensorRT for RTX, on a GPU."""

from __future__ import annotations

import logging
import threading
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from naiad.backends.base import InstancePlace, ModelFiles
from naiad.backends.gpu_options import log_without_effect
from naiad.backends.isolated import ISOLATION_OPTIONS, IsolatedBackend
from naiad.backends.made_once import MadeOnce
from naiad.backends.python.failure import loading
from naiad.backends.tensorrt.completion import complete
from naiad.backends.tensorrt.contracts import Cuda, Engine
from naiad.backends.tensorrt.failures import CudaError, no_gpu
from naiad.backends.tensorrt.instance import TensorRtInstance
from naiad.backends.tensorrt.libraries import MODULES, find_module, load_module, require_packages
from naiad.backends.tensorrt.options import OPTION_NAMES, server_wide_options, tensorrt_options
from naiad.backends.tensorrt.plan_file import maker_of, require_product
from naiad.backends.tensorrt.streamed import ComputedShapeError, StreamedInstance, needs_host
from naiad.config import InstanceGroup, ModelConfig, complete_scheduler
from naiad.errors import ConfigError, Unsupported

if TYPE_CHECKING:
    from naiad.backends.tensorrt.runtime import Library

_log = logging.getLogger("naiad.backends.tensorrt")


class TensorRtBackend(IsolatedBackend):
    """Runs engines, one call per batch.

    Parameters of a configuration, besides those of ``IsolatedBackend``: those of ``tensorrt_options``.
    Options of ``--backend-config``, besides its: those of ``server_wide_options``. Each instance has a
    process, and so a CUDA context, of its own unless ``isolation`` is "thread": then instances on one GPU
    share the engine, and its weights, and queue their batches on streams of the core's, unless the engine
    needs the host within a run.
    """

    name: ClassVar[str] = "tensorrt"
    default_filename: ClassVar[str] = "model.plan"
    option_names: ClassVar[frozenset[str] | None] = ISOLATION_OPTIONS | OPTION_NAMES
    takes_streams: ClassVar[bool] = True

    def __init__(self, options: Mapping[str, str]) -> None:
        super().__init__(options)
        self._server_wide = server_wide_options(self.options)
        self._engines: MadeOnce[Engine] = MadeOnce()
        self._lock = threading.Lock()
        self._libraries: dict[str, Library] = {}

    def runs_on_gpu(self) -> bool:
        """And on nothing else."""
        return True

    def auto_complete(self, config: ModelConfig, files: ModelFiles) -> ModelConfig:
        """Besides what the engine tells, Triton's choice for a model that batches: the dynamic batcher."""
        message = super().auto_complete(config, files).copy_proto()
        complete_scheduler(message)
        return ModelConfig(message)

    def completes(self, config: ModelConfig, files: ModelFiles) -> bool:
        """An engine tells all; it is asked where something is left out, the batch size too."""
        tensors = (*config.proto.input, *config.proto.output)
        has_all = (
            config.inputs and config.outputs and all(tensor.data_type and tensor.dims for tensor in tensors)
        )
        if config.max_batch_size > 0 and has_all:
            return False
        self._check_files(config, files)
        return True

    def complete(self, config: ModelConfig, files: ModelFiles) -> ModelConfig:
        """Needs the GPU: an engine is not readable without."""
        gpus = [gpu for group in config.instance_groups for gpu in group.gpus]
        message = config.copy_proto()
        with loading(_log, files, "reading"):
            device = self._device(files.name, gpus[0] if gpus else 0)
            path = _plan_path(config, files, device)
            complete(message, self._load(path, files.name, None))
        return ModelConfig(message)

    def check(self, config: ModelConfig, files: ModelFiles) -> None:
        """What can be said without a GPU."""
        self._check_files(config, files)
        tensorrt_options(config)
        if config.decoupled:
            raise Unsupported(
                f"model '{files.name}': the tensorrt backend gives one response per request; "
                "model_transaction_policy.decoupled is for models in Python"
            )
        for group in config.instance_groups:
            self._check_group(config, group)

    def make_instance(self, config: ModelConfig, files: ModelFiles, place: InstancePlace) -> TensorRtInstance:
        """Contexts on the GPU of the instance, and a stream and buffers where it has none of the core's; the
        engine where it is the first one.
        """
        options = tensorrt_options(config)
        group = config.group_of(place.name)
        assert group is not None
        dla_core = group.dla_cores[0] if group.dla_cores else None
        with loading(_log, files, "loading"):
            device = self._device(files.name, place.device_id)
            path = _plan_path(config, files, device)
            # The configuration is one object for all instances that are made together, and lives as long.
            key: Hashable = (id(config), place.device_id, dla_core, path)
            engine = self._engines.get(key, lambda: self._load(path, files.name, dla_core))
            parts = (place.name, config, group, engine, device, options)
            if place.stream and not needs_host(engine.tensors):
                try:
                    instance = StreamedInstance(*parts, stream=place.stream)
                except ComputedShapeError:
                    _log.info("%s: the shape of an output is computed: it copies and waits", place.name)
                else:
                    log_without_effect(options, place.name)
                    return instance
            return TensorRtInstance(*parts)

    def _check_files(self, config: ModelConfig, files: ModelFiles) -> None:
        brings_own = self.brings_packages(config)
        if not brings_own:
            require_packages()
        by_capability = config.proto.cc_model_filenames
        paths = [files.find_named(name) for _, name in sorted(by_capability.items())]
        if not paths:
            paths = [files.find(config, self.default_filename)]
        for path in paths:
            made_by = maker_of(path, files.name)
            module = find_module(made_by.product)
            if module is not None and not brings_own:
                require_product(made_by, MODULES[module], path, files.name)

    def _check_group(self, config: ModelConfig, group: InstanceGroup) -> None:
        if group.kind != "KIND_GPU":
            self._require_gpu(config.name)
            raise ConfigError(
                f"unable to load model '{config.name}', TensorRT backend supports only GPU device, but "
                f"instance group '{group.name}' is {group.kind}",
                field="instance_group.kind",
            )
        if len(group.dla_cores) > 1:
            raise ConfigError(
                f"model '{config.name}': instances of group '{group.name}' must have either zero or one "
                "secondary devices",
                field="instance_group.secondary_devices",
            )

    def _require_gpu(self, model: str) -> None:
        """Raises Unsupported where there is none: KIND_AUTO is KIND_CPU there."""
        from naiad.backends.tensorrt.cuda import num_devices

        try:
            num_devices()
        except CudaError as error:
            raise no_gpu(model, error) from None

    def _device(self, model: str, device: int) -> Cuda:
        """The GPU, current for this thread."""
        require_packages()
        from naiad.backends.tensorrt.cuda import CudaDevice

        made = CudaDevice(device)
        try:
            made.make_current()
        except CudaError as error:
            raise no_gpu(model, error) from None
        return made

    def _load(self, path: Path, model: str, dla_core: int | None) -> Engine:
        from naiad.backends.tensorrt.runtime import Library

        module = require_packages(maker_of(path, model).product)
        with self._lock:
            library = self._libraries.get(module)
            if library is None:
                library = self._libraries[module] = Library(load_module(module), self._server_wide)
        return library.load(path, model, dla_core)


def _plan_path(config: ModelConfig, files: ModelFiles, device: Cuda) -> Path:
    """That of the GPU's compute capability, where the configuration has files by that."""
    by_capability = config.proto.cc_model_filenames
    if by_capability:
        named = by_capability.get(device.compute_capability())
        if named:
            return files.find_named(named)
    return files.find(config, TensorRtBackend.default_filename)
