"""The core as the rest of the server sees it: the one place that imports naiad._core.

The names here are documented in _core.pyi. Every failure they raise is a class of naiad.errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from naiad._core import (
    BackendFactory,
    BatchView,
    CompletionQueue,
    ControlCall,
    ControlCancel,
    ControlMessage,
    DataPlane,
    Engine,
    EnsemblePlan,
    InstanceSpec,
    Listen,
    LocalAnswer,
    LocalRequest,
    Model,
    ModelSpec,
    OnnxRuntime,
    QueuePolicy,
    RequestView,
    ResponseSender,
    Result,
    SequenceSpec,
    SharedRegions,
    StoreQueue,
    Tensor,
    TensorSpec,
    Tls,
    Tracer,
    VersionRoutes,
    WarmupSample,
    WorkerConnection,
    build_facts,
    die_with_parent,
    gpu_absence,
    gpu_count,
    identity_factory,
    infer_many,
    library_factory,
    python_factory,
    run_local,
    set_log,
    worker_factory,
    writable_view,
)

if TYPE_CHECKING:
    # Types alone: the compiled module has no such objects.
    from naiad._core import BatchInstance as BatchInstance
    from naiad._core import PythonInstance as PythonInstance
    from naiad._core import TraceRecord as TraceRecord
    from naiad._core import TraceSpan as TraceSpan

ParameterValue = bool | int | float | str

__all__ = [
    "BackendFactory",
    "BatchView",
    "CompletionQueue",
    "ControlCall",
    "ControlCancel",
    "ControlMessage",
    "DataPlane",
    "Engine",
    "EnsemblePlan",
    "InstanceSpec",
    "Listen",
    "LocalAnswer",
    "LocalRequest",
    "Model",
    "ModelSpec",
    "OnnxRuntime",
    "QueuePolicy",
    "ParameterValue",
    "RequestView",
    "ResponseSender",
    "Result",
    "SequenceSpec",
    "SharedRegions",
    "StoreQueue",
    "Tensor",
    "TensorSpec",
    "Tls",
    "Tracer",
    "VersionRoutes",
    "WarmupSample",
    "WorkerConnection",
    "build_facts",
    "die_with_parent",
    "gpu_absence",
    "gpu_count",
    "identity_factory",
    "infer_many",
    "library_factory",
    "python_factory",
    "run_local",
    "set_log",
    "worker_factory",
    "writable_view",
]
