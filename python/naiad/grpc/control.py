"""The methods of GRPCInferenceService apart from inference: messages to and from the control plane."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf import json_format

from naiad import protos
from naiad.errors import InvalidArgument, NaiadError
from naiad.grpc.call import Method, Unary, unary
from naiad.grpc.wire import parse
from naiad.handlers.control import ControlPlane

# Takes the request message, gives the answer in the JSON form (or as a message).
_Answer = Callable[[Any], Awaitable[Any]]


class ControlMethods:
    """Every unary method but ModelInfer."""

    def __init__(self, control: ControlPlane) -> None:
        self._control = control
        self._methods: dict[str, _Answer] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._repository_index,
            "RepositoryModelLoad": self._repository_load,
            "RepositoryModelUnload": self._repository_unload,
            "TraceSetting": self._trace_setting,
            "LogSettings": self._log_settings,
            "SystemSharedMemoryStatus": self._system_regions,
            "SystemSharedMemoryRegister": self._register_system_region,
            "SystemSharedMemoryUnregister": self._unregister_system_regions,
            "CudaSharedMemoryStatus": self._cuda_regions,
            "CudaSharedMemoryRegister": self._register_cuda_region,
            "CudaSharedMemoryUnregister": self._unregister_cuda_regions,
        }

    def methods(self) -> dict[str, Method]:
        """Methods by name."""
        kinds = protos.service_methods(protos.INFERENCE_SERVICE)
        return {name: unary(_converted(name, method, *kinds[name])) for name, method in self._methods.items()}

    async def _server_live(self, request: Any) -> Any:
        return {"live": True}

    async def _server_ready(self, request: Any) -> Any:
        return {"ready": self._control.ready()}

    async def _model_ready(self, request: Any) -> Any:
        try:
            return {"ready": self._control.model_ready(request.name, request.version)}
        except InvalidArgument:
            raise
        except NaiadError:
            # As Triton: a model that is not there is not ready, which is no error.
            return {"ready": False}

    async def _server_metadata(self, request: Any) -> Any:
        return self._control.server_metadata()

    async def _model_metadata(self, request: Any) -> Any:
        await self._bring(request.name)
        return self._control.model_metadata(request.name, request.version)

    async def _model_config(self, request: Any) -> Any:
        await self._bring(request.name)
        config = self._control.model_config(request.name, request.version)
        return protos.ModelConfigResponse(config=config.proto)

    async def _bring(self, name: str) -> None:
        if self._control.must_bring(name):
            await asyncio.to_thread(self._control.bring, name)

    async def _model_statistics(self, request: Any) -> Any:
        return self._control.statistics(request.name, request.version)

    async def _repository_index(self, request: Any) -> Any:
        rows = await asyncio.to_thread(self._control.index, request.repository_name, request.ready)
        return {"models": rows}

    async def _repository_load(self, request: Any) -> Any:
        parameters = _parameters(request)
        await asyncio.to_thread(self._control.load, request.repository_name, request.model_name, parameters)
        return {}

    async def _repository_unload(self, request: Any) -> Any:
        parameters = _parameters(request)
        await asyncio.to_thread(self._control.unload, request.repository_name, request.model_name, parameters)
        return {}

    async def _trace_setting(self, request: Any) -> Any:
        values = {name: list(setting.value) for name, setting in request.settings.items()}
        if values:
            self._control.update_trace_setting(request.model_name, values)
        shown = self._control.trace_setting(request.model_name)
        return {
            "settings": {
                name: {"value": value if isinstance(value, list) else [value]}
                for name, value in shown.items()
            }
        }

    async def _log_settings(self, request: Any) -> Any:
        self._control.log.update({name: _log_value(name, value) for name, value in request.settings.items()})
        return {"settings": {name: _setting(value) for name, value in self._control.log.shown().items()}}

    async def _system_regions(self, request: Any) -> Any:
        regions = self._control.shared_memory.system_regions(request.name)
        return {"regions": {region["name"]: region for region in regions}}

    async def _register_system_region(self, request: Any) -> Any:
        self._control.shared_memory.register_system(
            request.name, request.key, request.offset, request.byte_size
        )
        return {}

    async def _unregister_system_regions(self, request: Any) -> Any:
        self._control.shared_memory.unregister_system(request.name)
        return {}

    async def _cuda_regions(self, request: Any) -> Any:
        regions = self._control.shared_memory.cuda_regions(request.name)
        return {"regions": {region["name"]: region for region in regions}}

    async def _register_cuda_region(self, request: Any) -> Any:
        self._control.shared_memory.register_cuda(
            request.name, request.raw_handle, request.device_id, request.byte_size
        )
        return {}

    async def _unregister_cuda_regions(self, request: Any) -> Any:
        self._control.shared_memory.unregister_cuda(request.name)
        return {}


def _parameters(request: Any) -> dict[str, Any]:
    parameters = {}
    for name, value in request.parameters.items():
        choice = value.WhichOneof("parameter_choice")
        if choice is None:
            raise InvalidArgument(f"parameter '{name}' has no value")
        parameters[name] = getattr(value, choice)
    return parameters


def _log_value(name: str, value: Any) -> bool | int | str:
    choice = value.WhichOneof("parameter_choice")
    if choice is None:
        raise InvalidArgument(f"log setting '{name}' has no value")
    given: bool | int | str = getattr(value, choice)
    return given


def _setting(value: bool | int | str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"string_param": value}
    return {"bool_param" if isinstance(value, bool) else "uint32_param": value}


def _converted(name: str, method: _Answer, request_kind: Any, response_kind: Any) -> Unary:
    async def answer(message: bytes) -> bytes:
        request = parse(request_kind, message)
        if request is None:
            raise InvalidArgument(f"the message is not a valid {name} request")
        value = await method(request)
        if isinstance(value, dict):
            value = json_format.ParseDict(value, response_kind())
        return bytes(value.SerializeToString())

    return answer
