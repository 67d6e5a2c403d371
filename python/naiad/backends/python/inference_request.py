"""``pb_utils.InferenceRequest``: what a model makes for other models, and what it receives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Coroutine, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, NoReturn, overload

import numpy as np

from naiad.backends.python import calls
from naiad.backends.python.failure import TritonModelException
from naiad.backends.python.response_sender import InferenceResponseSender
from naiad.backends.python.tensor import Tensor
from naiad.errors import InvalidArgument, Unsupported

if TYPE_CHECKING:
    from naiad.backends.python.calls import ResponseIterator
    from naiad.backends.python.inference_response import InferenceResponse
    from naiad.engine import RequestView

SEQUENCE_START = 1
SEQUENCE_END = 2
RELEASE_ALL = 1
RELEASE_RESCHEDULE = 2


class MemoryType(IntEnum):
    """Where response tensors should lie."""

    TRITONSERVER_MEMORY_GPU = 0
    TRITONSERVER_MEMORY_CPU = 1


class InferenceTrace:
    """Ties a request that a model makes to the one for which it makes it."""

    __slots__ = ("_context", "_number")

    def __init__(self, number: int = 0, parent: str = "", state: str = "") -> None:
        """``number``: by which the core knows the trace. ``parent``, ``state``: the W3C's "traceparent" and
        "tracestate".
        """
        self._number = number
        self._context = {"traceparent": parent} | ({"tracestate": state} if state else {}) if parent else None

    def get_context(self) -> str | None:
        """Where the request stands in a trace, as JSON: what to send along when asking others over HTTP.
        None where that is not known: the server does not trace to a collector, or not this request.
        """
        return None if self._context is None else json.dumps(self._context, separators=(",", ":"))


_NO_TRACE = InferenceTrace()


class PreferredMemory:
    """Where a model would like the response tensors of a request that it makes."""

    __slots__ = ("device_id", "memory_type")

    def __init__(self, preferred_memory_type: int, preferred_device_id: int = 0) -> None:
        self.memory_type = MemoryType(preferred_memory_type)
        self.device_id = preferred_device_id


class InferenceRequest:
    """A request that a model makes for another model of the server."""

    __slots__ = (
        "_correlation_id",
        "_flags",
        "_inputs",
        "_model_name",
        "_model_version",
        "_outputs",
        "_parameters",
        "_preferred_memory",
        "_request_id",
        "_timeout",
        "_trace",
    )

    def __init__(
        self,
        request_id: str = "",
        correlation_id: int | str = 0,
        inputs: Sequence[Tensor] = (),
        requested_output_names: Sequence[str] = (),
        model_name: str = "",
        model_version: int = -1,
        flags: int = 0,
        timeout: int = 0,
        preferred_memory: PreferredMemory | None = None,
        trace: InferenceTrace | None = None,
        parameters: Mapping[str, bool | int | str] | None = None,
    ) -> None:
        """``model_version`` -1: the highest that serves. ``timeout`` in microseconds, 0 for none.
        ``trace``: what ``InferenceRequest.trace`` gave; the request is traced with that one. No
        ``requested_output_names``: all outputs.
        """
        if trace is not None and not isinstance(trace, InferenceTrace):
            raise TypeError(f"InferenceRequest: trace must be an InferenceTrace, got {type(trace).__name__}")
        if not isinstance(correlation_id, (int, str)):
            raise TritonModelException("Correlation ID must be integer or string")
        if parameters is not None and not isinstance(parameters, dict):
            raise TritonModelException(f"Expect parameters to be a dict, got {type(parameters)}")
        for value in (parameters or {}).values():
            if not isinstance(value, (bool, int, str)):
                raise TritonModelException(
                    f"Expect parameters values to have type bool/int/str, found type {type(value)}"
                )
        for tensor in inputs:
            if not isinstance(tensor, Tensor):
                raise TypeError(f"InferenceRequest: inputs must be Tensors, got {type(tensor).__name__}")
        self._request_id = request_id
        self._correlation_id = correlation_id
        self._inputs = list(inputs)
        self._outputs = list(requested_output_names)
        self._model_name = model_name
        self._model_version = model_version
        self._flags = flags
        self._timeout = timeout
        self._preferred_memory = preferred_memory
        self._trace = _NO_TRACE if trace is None else trace
        self._parameters = dict(parameters or {})

    def inputs(self) -> list[Tensor]:
        return list(self._inputs)

    def request_id(self) -> str:
        return self._request_id

    def correlation_id(self) -> int | str:
        """The sequence's id, a number or a text; 0 outside of sequences."""
        return self._correlation_id

    def flags(self) -> int:
        """TRITONSERVER_REQUEST_FLAG_SEQUENCE_START (1) and _END (2), or-ed."""
        return self._flags

    def set_flags(self, flags: int) -> None:
        self._flags = flags

    def timeout(self) -> int:
        """Microseconds; 0 for none."""
        return self._timeout

    def parameters(self) -> str:
        """The request's own parameters as a JSON object."""
        return json.dumps(self._parameters)

    def requested_output_names(self) -> set[str]:
        return set(self._outputs)

    def preferred_memory(self) -> PreferredMemory | None:
        return self._preferred_memory

    def model_name(self) -> str:
        return self._model_name

    def model_version(self) -> int:
        return self._model_version

    def is_cancelled(self) -> bool:
        """Whether the client has gone or taken the request back. A model may then stop working on it."""
        return False

    def trace(self) -> InferenceTrace:
        """What ties requests that are made for this one to it."""
        return self._trace

    def get_response_sender(self) -> InferenceResponseSender:
        """Who answers the request in place of a returned response. Of received requests only."""
        raise InvalidArgument("get_response_sender: only a request that the model has received has a sender")

    def set_release_flags(self, flags: int) -> None:
        """TRITONSERVER_REQUEST_RELEASE_ALL (1), or _RESCHEDULE (2): the model sees the request again,
        in place of an answer now. Of requests that an iterative model has received only.
        """
        del flags
        raise InvalidArgument("set_release_flags: only a request that the model has received can be released")

    @overload
    def exec(self, decoupled: Literal[False] = False) -> InferenceResponse: ...

    @overload
    def exec(self, decoupled: bool) -> InferenceResponse | ResponseIterator: ...

    def exec(self, decoupled: bool = False) -> InferenceResponse | ResponseIterator:
        """Runs the request and waits for its response, which may be an error; ``decoupled``: gives the
        responses of a decoupled model as they come. Also from other threads of the model. A call that could
        never be answered, because all instances of the called model wait for calls of their own, is an error
        too.
        """
        return calls.execute_many(self) if decoupled else calls.execute(self)

    def async_exec(
        self, decoupled: bool = False
    ) -> Coroutine[Any, Any, InferenceResponse | ResponseIterator]:
        """``exec`` for ``async def execute``: other coroutines run meanwhile. RuntimeError outside of an
        event loop.
        """
        asyncio.get_running_loop()
        if not decoupled:
            return calls.execute_async(self, calls.services_of_caller())
        responses = calls.execute_many(self)

        async def given() -> ResponseIterator:
            return responses

        return given()


class ReceivedRequest(InferenceRequest):
    """A request that the server hands to a model. It reads what the model asks for, when it asks.

    Valid until ``execute`` returns, or, once its sender has been asked for, as long as it lives; so are
    tensors that were taken from it.
    """

    __slots__ = ("_all_outputs", "_copies", "_reschedule", "_sender", "_tensors", "_view")

    def __init__(self, view: RequestView, all_outputs: Collection[str], copies: bool) -> None:
        """``all_outputs``: what a request that names no outputs asks for. ``copies``: the model may write to
        its inputs, so what is not the request's alone is copied when the model reads it.
        """
        self._view = view
        self._all_outputs = all_outputs
        self._copies = copies
        self._tensors: list[Tensor] | None = None
        self._sender: InferenceResponseSender | None = None
        self._reschedule = False

    def set_release_flags(self, flags: int) -> None:
        if flags not in (RELEASE_ALL, RELEASE_RESCHEDULE):
            raise InvalidArgument(f"set_release_flags: there are no release flags {flags}")
        if flags == RELEASE_RESCHEDULE and not self._view.can_reschedule:
            raise InvalidArgument(
                "set_release_flags: a request is rescheduled only for a model whose configuration says "
                "sequence_batching { iterative_sequence: true }"
            )
        self._reschedule = flags == RELEASE_RESCHEDULE

    def get_response_sender(self) -> InferenceResponseSender:
        """The request's sender, the same at each call: from now on nothing else answers it."""
        if self._sender is None:
            self._sender = InferenceResponseSender(self._view, self._all_outputs)
        return self._sender

    def input(self, name: str) -> Tensor | None:
        """The input tensor of that name, or None when the request has none."""
        for tensor in self._tensors or self._read():
            if tensor._name == name:
                return tensor
        return None

    def inputs(self) -> list[Tensor]:
        return list(self._tensors or self._read())

    def request_id(self) -> str:
        return self._view.id

    def trace(self) -> InferenceTrace:
        return InferenceTrace(self._view.trace_number, self._view.trace_parent, self._view.trace_state)

    def correlation_id(self) -> int | str:
        return self._view.sequence_name or self._view.sequence_id

    def flags(self) -> int:
        return (SEQUENCE_START if self._view.sequence_start else 0) | (
            SEQUENCE_END if self._view.sequence_end else 0
        )

    def set_flags(self, flags: int) -> NoReturn:
        del flags
        raise Unsupported("set_flags: a received request keeps the flags that it came with")

    def timeout(self) -> int:
        return self._view.timeout_us

    def parameters(self) -> str:
        return json.dumps(self._view.parameters, separators=(",", ":"))

    def requested_output_names(self) -> set[str]:
        return set(self._view.requested_outputs or self._all_outputs)

    def preferred_memory(self) -> PreferredMemory | None:
        return None

    def model_name(self) -> str:
        return self._view.model_name

    def model_version(self) -> int:
        return self._view.model_version

    def exec(self, decoupled: bool = False) -> NoReturn:
        del decoupled
        raise TritonModelException("exec: a received request cannot be sent on: make another one")

    def async_exec(self, decoupled: bool = False) -> NoReturn:
        self.exec(decoupled)

    def is_cancelled(self) -> bool:
        return self._view.cancelled

    def _read(self) -> list[Tensor]:
        of, copies = Tensor.of, self._copies
        self._tensors = [
            of(name, datatype, array, shared=copies)
            if isinstance(array, np.ndarray)
            else Tensor.from_dlpack(name, array)
            for name, datatype, array in self._view.inputs()
        ]
        return self._tensors


def get_input_tensor_by_name(inference_request: InferenceRequest, name: str) -> Tensor | None:
    """The input tensor of that name, or None: an optional input that the request does not have."""
    if isinstance(inference_request, ReceivedRequest):
        return inference_request.input(name)
    for tensor in inference_request._inputs:
        if tensor._name == name:
            return tensor
    return None
