"""From what a model directory says to the configuration that is served."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from naiad import protos
from naiad.config.complete import complete_backend, complete_defaults
from naiad.config.types import ModelConfig
from naiad.config.unsupported import ServerOptions, refuse_unsupported
from naiad.config.validate import validate
from naiad.errors import ConfigError

BackendCompletion = Callable[[ModelConfig], ModelConfig]
"""A backend's part: the configuration so far in, the completed one out. Called only when completion is on."""


def resolve(
    message: Any | None,
    *,
    model_name: str,
    filenames: Sequence[str] = (),
    complete: Callable[[str], BackendCompletion | None] | None = None,
    options: ServerOptions | None = None,
    num_gpus: int = 0,
) -> ModelConfig:
    """The configuration of a model, completed, validated, and free of what this server can not do.

    ``message`` is the parsed configuration, which stays as it is; None: the model has none. ``filenames`` lie
    in the first version directory. ``complete`` gives a backend's part by the name of the backend; None turns
    completion off (``--disable-auto-complete-config``), and then a model needs a configuration. ``num_gpus``
    counts the GPUs of the machine. Raises ConfigError or Unsupported.
    """
    options = options or ServerOptions()
    if message is None and complete is None:
        raise ConfigError(f"model '{model_name}' has no configuration file, and auto-completion is disabled")
    work = protos.ModelConfig()
    if message is not None:
        work.CopyFrom(message)
    complete_backend(work, model_name=model_name, filenames=filenames)
    backend_completion = complete(work.backend) if complete is not None and work.backend else None
    if backend_completion is not None:
        work = backend_completion(ModelConfig.of(work)).copy_proto()
    gpus = num_gpus if work.backend in options.gpu_backends else 0
    if (
        any(group.kind == protos.ModelInstanceGroup.KIND_GPU for group in work.instance_group)
        and num_gpus > gpus
    ):
        refuse_unsupported(work, options)  # there are GPUs, but not for this backend: say that, not "no GPUs"
    complete_defaults(work, num_gpus=gpus)
    validate(work, model_name=model_name, num_gpus=gpus)
    refuse_unsupported(work, options)
    return ModelConfig(work)
