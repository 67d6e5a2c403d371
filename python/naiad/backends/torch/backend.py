"""The ``pytorch`` backend: TorchScript, ``torch.export``, AOTInductor packages, ``nn.Module`` classes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from naiad.backends.base import InstancePlace, ModelFiles
from naiad.backends.gpu_options import gpu_options, log_without_effect
from naiad.backends.isolated import ISOLATION_OPTIONS, IsolatedBackend
from naiad.backends.made_once import MadeOnce
from naiad.backends.model_tensors import model_inputs, model_outputs
from naiad.backends.python.failure import load_failure, loading
from naiad.backends.python.model_modules import ModelModules
from naiad.backends.torch.archive import FileKind, kind_of
from naiad.backends.torch.options import TorchOptions, torch_options
from naiad.config import ModelConfig, complete_tensors
from naiad.errors import ConfigError, InvalidArgument, Unsupported

if TYPE_CHECKING:
    from naiad.backends.torch.device import DeviceRun
    from naiad.backends.torch.graphs import Graphs
    from naiad.backends.torch.instance import TorchInstance
    from naiad.backends.torch.loaded import LoadedModel

_log = logging.getLogger("naiad.backends.pytorch")

PYTHON_RUNTIME = "model.py"
"""The ``runtime`` of a configuration that asks for an ``nn.Module`` from a file."""


class TorchBackend(IsolatedBackend):
    """Runs models of PyTorch, one call per batch.

    Parameters of a configuration, besides those of ``IsolatedBackend``: those of ``torch_options``.
    """

    name: ClassVar[str] = "pytorch"
    default_filename: ClassVar[str] = "model.pt"
    option_names: ClassVar[frozenset[str] | None] = ISOLATION_OPTIONS
    takes_streams: ClassVar[bool] = True

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._shared: MadeOnce[LoadedModel] = MadeOnce()

    def runs_on_gpu(self) -> bool:
        """Where torch was built for it: an instance says so when it is made."""
        return True

    def completes(self, config: ModelConfig, files: ModelFiles) -> bool:
        """Programs of ``torch.export`` say what they take; other files do not."""
        if config.inputs and config.outputs:
            return False
        self.require_package("torch", config)
        return kind_of(_model_file(config, files)) is FileKind.EXPORTED

    def complete(self, config: ModelConfig, files: ModelFiles) -> ModelConfig:
        """Inputs and outputs of an exported program; batching where every first dimension is free."""
        from naiad.backends.torch.exported import found_tensors

        path = _model_file(config, files)
        try:
            found = found_tensors(path)
        except Exception as error:
            raise load_failure(_log, files, "torch.export", error) from None
        message = config.copy_proto()
        complete_tensors(
            message,
            found,
            default_max_batch_size=self.default_max_batch_size,
        )
        return ModelConfig(message)

    def check(self, config: ModelConfig, files: ModelFiles) -> None:
        """What can be said without torch: files, parameters, what models of torch can not be."""
        self.require_package("torch", config)
        path = _model_file(config, files)
        isolation = self.isolation(config, files)
        options = torch_options(files.name, config.parameters, isolation=isolation)
        gpu_options(config)
        if config.decoupled:
            raise Unsupported(
                f"model '{files.name}': the pytorch backend gives one response per request; "
                "model_transaction_policy.decoupled is for models in Python"
            )
        if not config.inputs or not config.outputs:
            raise ConfigError(
                f"model '{files.name}': a {kind_of(path).value} file does not say what its tensors are: the "
                "configuration must have both input and output",
                field="output" if config.inputs else "input",
            )
        if options.share_weights and isolation == "process" and config.num_instances > 1:
            raise Unsupported(
                f"model '{files.name}': parameter ENABLE_WEIGHT_SHARING needs parameter isolation 'thread': "
                "processes do not share weights"
            )
        _check_kind(config, files, path, options)

    def make_instance(self, config: ModelConfig, files: ModelFiles, place: InstancePlace) -> TorchInstance:
        """Loads the weights onto the device of the instance."""
        from naiad.backends.torch.instance import TorchInstance, set_executor, set_threads

        isolation = self.isolation(config, files)
        options = torch_options(files.name, config.parameters, isolation=isolation)
        with loading(_log, files, "loading"):
            set_threads(options, files.name, own_process=isolation == "process")
            set_executor(options)
            modules = ModelModules([files.version_directory, files.directory], self.services)
            try:
                # The configuration is one object for all instances that are made together, and lives as long.
                key = (id(config), place.device_kind, place.device_id)

                def load() -> LoadedModel:
                    return _load(config, files, place, options, modules)

                model = self._shared.get(key, load) if options.share_weights else load()
                run, graphs = self._on_gpu(config, model, place)
                return TorchInstance(
                    files.name,
                    model,
                    model_outputs(config),
                    options,
                    run=run,
                    graphs=graphs,
                    ended=modules.close,
                )
            except BaseException:
                modules.close()
                raise

    def _on_gpu(
        self, config: ModelConfig, model: LoadedModel, place: InstancePlace
    ) -> tuple[DeviceRun | None, Callable[[DeviceRun], Graphs] | None]:
        if model.device.type != "cuda":
            return None, None
        import torch

        from naiad.backends.torch.device import DeviceRun
        from naiad.backends.torch.graphs import Graphs, plan_graphs
        from naiad.backends.torch.pinned import Arena, PinnedArenas, register_by

        options = gpu_options(config)
        if place.stream:
            log_without_effect(options, place.name)
        inputs = model_inputs(config)
        planned = plan_graphs(config, options.graphs, inputs, model.kinds)
        pinned = None
        if self.arenas:
            arenas = [Arena(*arena) for arena in self.arenas]
            register = register_by(torch.cuda.cudart(), lambda: torch.zeros(1, device=model.device))
            pinned = PinnedArenas(arenas, self.pinned_limit_bytes, register)

        def capture(run: DeviceRun) -> Graphs:
            graphs = Graphs(config.name, run)
            graphs.capture(model, planned, inputs)
            return graphs

        return DeviceRun(
            model.device, options, stream=place.stream, pinned=pinned
        ), capture if planned else None


def _load(
    config: ModelConfig,
    files: ModelFiles,
    place: InstancePlace,
    options: TorchOptions,
    modules: ModelModules,
) -> LoadedModel:
    from naiad.backends.torch.eager import load_eager
    from naiad.backends.torch.exported import load_compiled, load_exported
    from naiad.backends.torch.script import load_script

    path = _model_file(config, files)
    names = [tensor.name for tensor in model_inputs(config)]
    device = _device(config, place)
    kind = kind_of(path)
    if kind is FileKind.SCRIPT:
        model = load_script(path, files.name, names, device)
    elif kind is FileKind.EXPORTED:
        model = load_exported(path, files.name, names, device, options)
    elif kind is FileKind.COMPILED:
        model = load_compiled(path, files.name, names, device)
    else:
        model = load_eager(modules.load(path), path, files.name, names, device, options)
    _check_inputs(config, model)
    return model


def _check_inputs(config: ModelConfig, model: LoadedModel) -> None:
    for tensor in model_inputs(config):
        kind = model.kinds.get(tensor.name, "any")
        if kind != "any" and (tensor.datatype == "BYTES") != (kind == "strings"):
            raise ConfigError(
                f"model '{config.name}': input '{tensor.name}' is {tensor.datatype}, but goes to an argument "
                f"that takes {'a list of strings' if kind == 'strings' else 'a ' + kind}",
                field="input.data_type",
            )


def _check_kind(config: ModelConfig, files: ModelFiles, path: Path, options: TorchOptions) -> None:
    kind = kind_of(path)
    if kind is FileKind.WEIGHTS:
        raise InvalidArgument(
            f"model '{files.name}': '{path.name}' holds weights alone; the nn.Module class that they "
            "belong to must lie beside it in 'model.py'"
        )
    if kind is FileKind.UNKNOWN:
        raise InvalidArgument(f"model '{files.name}': '{path.name}' is no model file of PyTorch")
    if kind is not FileKind.COMPILED and config.platform == "torch_aoti" and kind is not FileKind.EXPORTED:
        raise ConfigError(
            f"model '{files.name}': platform 'torch_aoti' is for AOTInductor packages, but '{path.name}' "
            f"is a {kind.value} file",
            field="platform",
        )
    if options.compile is not None and kind in (FileKind.SCRIPT, FileKind.COMPILED):
        raise ConfigError(
            f"model '{files.name}': parameter TORCH_COMPILE_OPTIONAL_PARAMETERS does not fit a {kind.value} "
            "file, which torch.compile does not take",
            field="parameters",
        )
    if kind in (FileKind.EXPORTED, FileKind.COMPILED):
        tensors = (*model_inputs(config), *model_outputs(config))
        for tensor in tensors:
            if tensor.datatype == "BYTES":
                raise Unsupported(
                    f"model '{files.name}': '{tensor.name}' is TYPE_STRING, which a {kind.value} can not have"
                )


def _model_file(config: ModelConfig, files: ModelFiles) -> Path:
    """The file that is loaded. With ``runtime: "model.py"``, or where the file named is not there or holds
    weights alone, that is model.py, if there is one.
    """
    source = files.version_directory / PYTHON_RUNTIME
    filename = config.default_model_filename or TorchBackend.default_filename
    wanted = config.proto.runtime == PYTHON_RUNTIME and not filename.endswith(".py")
    if source.is_file() and (wanted or not (files.version_directory / filename).exists()):
        return _inside(source, files)
    path = files.find(config, TorchBackend.default_filename)
    if kind_of(path) is FileKind.WEIGHTS and path.with_suffix(".py").is_file():
        return _inside(path.with_suffix(".py"), files)
    return path


def _inside(path: Path, files: ModelFiles) -> Path:
    if not path.resolve().is_relative_to(files.root):
        raise InvalidArgument(
            f"model '{files.name}': file '{files.name}/{files.version}/{path.name}' is outside of the model "
            "repository"
        )
    return path


def _device(config: ModelConfig, place: InstancePlace) -> Any:
    """None for KIND_MODEL: the model says itself where its tensors are."""
    import torch

    if place.device_kind == "GPU":
        if not torch.cuda.is_available():
            raise Unsupported(
                f"model '{config.name}' wants KIND_GPU, but the installed torch {torch.__version__} has no "
                "CUDA device"
            )
        count = torch.cuda.device_count()
        if place.device_id >= count:
            raise Unsupported(
                f"model '{config.name}' wants GPU {place.device_id}, but torch sees {count}, counted from 0; "
                "see CUDA_VISIBLE_DEVICES"
            )
        # What the model's code calls "cuda", without a number, is this one.
        torch.cuda.set_device(place.device_id)
        return torch.device("cuda", place.device_id)
    group = config.group_of(place.name)
    return None if group is not None and group.kind == "KIND_MODEL" else torch.device("cpu")
