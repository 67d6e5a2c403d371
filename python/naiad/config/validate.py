"""Refuses a completed configuration which contradicts itself, in the words of Triton where it has some.

Tensors and batch inputs are judged in ``validate_tensors``, sequence controls in ``validate_sequence``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from naiad import protos
from naiad.config.batching_parameters import validate_batching_parameters
from naiad.config.complete import BACKEND_OF_PLATFORM
from naiad.config.gpu_inputs import validate_gpu_inputs
from naiad.config.gpu_memory_limit import validate_gpu_memory_limit
from naiad.config.metric_controls import validate_metric_controls
from naiad.config.validate_sequence import validate_sequence
from naiad.config.validate_tensors import tensor_checks
from naiad.errors import ConfigError

_KIND = protos.ModelInstanceGroup
_DELAY = protos.message_class("inference.ModelQueuePolicy").DELAY


def validate(message: Any, *, model_name: str, num_gpus: int = 0) -> None:
    """Raises ConfigError, with the field named, for the first thing that is wrong.

    ``message`` has been through ``complete_backend`` and ``complete_defaults``; ``model_name`` is the name of
    the model directory and ``num_gpus`` the number of GPUs on which the backend can execute.
    """
    for error in problems(message, model_name=model_name, num_gpus=num_gpus):
        raise error


def problems(message: Any, *, model_name: str, num_gpus: int = 0) -> Iterator[ConfigError]:
    """``validate`` for who wants to know all that is wrong, as far as one thing does not hide another."""
    checks: list[Callable[[], None]] = [
        lambda: _name(message, model_name),
        lambda: _backend(message),
        lambda: _max_batch_size(message),
        lambda: _version_policy(message),
        lambda: _scheduler(message),
        lambda: validate_batching_parameters(message),
        lambda: validate_gpu_memory_limit(message),
        lambda: validate_gpu_inputs(message),
        lambda: _response_cache(message),
        *tensor_checks(message),
        lambda: _instance_groups(message, num_gpus),
        lambda: _warmup(message),
        lambda: _file_names(message),
        lambda: validate_metric_controls(message),
    ]
    for check in checks:
        try:
            check()
        except ConfigError as error:
            yield error


def _name(message: Any, model_name: str) -> None:
    if message.name != model_name:
        raise ConfigError(
            f"unexpected directory name '{model_name}' for model '{message.name}', directory name must "
            f"equal model "
            "name",
            field="name",
        )


def _max_batch_size(message: Any) -> None:
    if message.max_batch_size < 0:
        raise ConfigError(
            f"'max_batch_size' must be non-negative value for {message.name}", field="max_batch_size"
        )


def _backend(message: Any) -> None:
    name, platform, backend = message.name, message.platform, message.backend
    if platform == "ensemble":
        if backend:
            raise ConfigError(
                f"Ensemble model '{name}' must have platform type 'ensemble' and empty backend type",
                field="backend",
            )
    elif not backend and not platform:
        raise ConfigError(f"must specify 'platform' or 'backend' for '{name}'", field="backend")
    elif not backend:
        raise ConfigError(f"unexpected platform type '{platform}' for {name}", field="platform")
    elif backend in BACKEND_OF_PLATFORM.values() and BACKEND_OF_PLATFORM.get(platform) != backend:
        # Any other backend may call its platform as it likes.
        raise ConfigError(
            f"unexpected 'platform' and 'backend' pair, got:{platform}, {backend}", field="platform"
        )


def _version_policy(message: Any) -> None:
    for version in message.version_policy.specific.versions:
        if version < 1:
            raise ConfigError(
                f"version must be an integral value > 0, got {version} in the version policy of model "
                f"'{message.name}'",
                field="version_policy.specific.versions",
            )


def _scheduler(message: Any) -> None:
    name = message.name
    if message.HasField("ensemble_scheduling"):
        _ensemble(message)
    elif message.platform == "ensemble":
        raise ConfigError(
            f"ensemble scheduling must be set for ensemble {name} whose platform is ensemble",
            field="ensemble_scheduling",
        )
    if message.HasField("dynamic_batching"):
        _preferred_sizes(
            message, message.dynamic_batching, "dynamic_batching", "dynamic batching preferred size"
        )
        _priorities(message)
        _ordering(message)
    if message.HasField("sequence_batching"):
        validate_sequence(message)
        if message.sequence_batching.HasField("oldest"):
            _preferred_sizes(
                message,
                message.sequence_batching.oldest,
                "sequence_batching.oldest",
                "sequence batching preferred batch size",
            )


def _preferred_sizes(message: Any, batching: Any, field: str, what: str) -> None:
    for size in batching.preferred_batch_size:
        if size <= 0:
            raise ConfigError(
                f"{what} must be positive for {message.name}", field=f"{field}.preferred_batch_size"
            )
        if size > message.max_batch_size:
            raise ConfigError(
                f"{what} must be <= max batch size for {message.name}", field=f"{field}.preferred_batch_size"
            )


def _priorities(message: Any) -> None:
    batching, levels = message.dynamic_batching, message.dynamic_batching.priority_levels
    if levels == 0:
        return
    if not 1 <= batching.default_priority_level <= levels:
        raise ConfigError(
            f"default priority level must be in range [1, {levels}] for {message.name}",
            field="dynamic_batching.default_priority_level",
        )
    if not all(1 <= level <= levels for level in batching.priority_queue_policy):
        raise ConfigError(
            f"priority queue policy must have priority level in range [1, {levels}] for {message.name}",
            field="dynamic_batching.priority_queue_policy",
        )


def _ordering(message: Any) -> None:
    batching = message.dynamic_batching
    if not batching.preserve_ordering:
        return
    if batching.priority_levels > 1:
        raise ConfigError(
            f"Only one priority level is allowed when 'preserve_ordering' is true for {message.name}",
            field="dynamic_batching.priority_levels",
        )
    for policy in (batching.default_queue_policy, *batching.priority_queue_policy.values()):
        if policy.default_timeout_microseconds != 0 and policy.timeout_action == _DELAY:
            raise ConfigError(
                "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for "
                f"{message.name}",
                field="dynamic_batching.default_queue_policy.timeout_action",
            )


def _ensemble(message: Any) -> None:
    name = message.name
    if message.platform != "ensemble":
        raise ConfigError(
            f"ensemble scheduling cannot be set for model '{name}' whose platform is not ensemble",
            field="ensemble_scheduling",
        )
    if message.instance_group:
        raise ConfigError(
            f"instance group should not be specified for ensemble '{name}'", field="instance_group"
        )
    if message.model_warmup:
        raise ConfigError(f"model warmup cannot be specified for ensemble '{name}'", field="model_warmup")
    if not message.ensemble_scheduling.step:
        raise ConfigError(f"must specify 'step' for ensemble '{name}'", field="ensemble_scheduling.step")
    for index, step in enumerate(message.ensemble_scheduling.step):
        for required in ("model_name", "input_map", "output_map"):
            if not getattr(step, required):
                raise ConfigError(
                    f"must specify '{required}' in step {index} of ensemble '{name}'",
                    field=f"ensemble_scheduling.step[{index}].{required}",
                )


def _response_cache(message: Any) -> None:
    if not message.response_cache.enable:
        return
    for what, applies in (
        ("sequence batching scheduler", message.HasField("sequence_batching")),
        ("'decoupled' transaction policy", message.model_transaction_policy.decoupled),
    ):
        if applies:
            raise ConfigError(
                f"Response Cache does not currently support model {message.name} with {what}. Please "
                f"disable the "
                "response cache.",
                field="response_cache.enable",
            )


def _instance_groups(message: Any, num_gpus: int) -> None:
    for index, group in enumerate(message.instance_group):
        field = f"instance_group[{index}].gpus"
        place = f"instance group {group.name} of model {message.name}"
        _profiles(message, group, f"{place} and platform {message.platform}")
        if group.kind != _KIND.KIND_GPU:
            if group.gpus:
                kind = _KIND.Kind.Name(group.kind)
                raise ConfigError(f"{place} has kind {kind} but specifies one or more GPUs", field=field)
            continue
        if not group.gpus:
            raise ConfigError(f"{place} has kind KIND_GPU but no GPUs are available", field=field)
        for gpu in group.gpus:
            if not 0 <= gpu < num_gpus:
                present = ", ".join(map(str, range(num_gpus))) or "none"
                raise ConfigError(
                    f"{place} specifies invalid or unsupported gpu id {gpu}. GPUs that can be used: "
                    f"{present}",
                    field=field,
                )


def _profiles(message: Any, group: Any, place: str) -> None:
    for profile in group.profile:
        if message.platform != "tensorrt_plan":
            # Without the blank that is missing, in Triton's words.
            wrong = "specifies profile field which is only supported for TensorRT models"
        elif not profile.isascii() or not profile.isdecimal():
            wrong = (
                f" specifies invalid profile {profile}. The field should contain the string representation "
                "of a non-negative integer."
            )
        else:
            continue
        raise ConfigError(place + wrong, field="instance_group.profile")


def _warmup(message: Any) -> None:
    for index, sample in enumerate(message.model_warmup):
        for tensor in sorted(sample.inputs):
            if sample.inputs[tensor].WhichOneof("input_data_type") is None:
                raise ConfigError(
                    f"warmup setting expects input '{tensor}' to have input_data_type set",
                    field=f"model_warmup[{index}].inputs",
                )


def _file_names(message: Any) -> None:
    """A file that a configuration names lies below its own directory: no other file may be read."""
    named = [("default_model_filename", message.default_model_filename)]
    named += [("cc_model_filenames", name) for name in message.cc_model_filenames.values()]
    named += [(f"output[{i}].label_filename", io.label_filename) for i, io in enumerate(message.output)]
    named.append(("runtime", message.runtime))
    for field, name in named:
        if name and not is_inside(name):
            raise ConfigError(
                f"'{field}' must name a file inside the directory of model '{message.name}'", field=field
            )


def is_inside(name: str) -> bool:
    """Whether a relative file name, as it is written, stays below the directory that it is relative to."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and bool(path.parts) and "\0" not in name
