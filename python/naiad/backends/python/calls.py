"""Business logic scripting: the models that a model calls, and what else it asks of its server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

from naiad.backends.python.failure import TritonError, TritonErrorCode, TritonModelException
from naiad.backends.python.inference_response import InferenceResponse
from naiad.backends.python.model_modules import calling_model_services
from naiad.backends.python.tensor import Tensor
from naiad.backends.services import AnswerStream, ModelAnswer, ModelCall, ModelServices
from naiad.errors import NaiadError, NotFound, NotReady

if TYPE_CHECKING:
    from naiad.backends.python.inference_request import InferenceRequest, ReceivedRequest

_CODES = {
    "INVALID_ARGUMENT": TritonErrorCode.INVALID_ARG,
    "NOT_FOUND": TritonErrorCode.NOT_FOUND,
    "ALREADY_EXISTS": TritonErrorCode.ALREADY_EXISTS,
    "UNAVAILABLE": TritonErrorCode.UNAVAILABLE,
    "DEADLINE_EXCEEDED": TritonErrorCode.UNAVAILABLE,
    "UNSUPPORTED": TritonErrorCode.UNSUPPORTED,
    "CANCELLED": TritonErrorCode.CANCELLED,
    "INTERNAL": TritonErrorCode.INTERNAL,
}


class Batch:
    """The requests that an instance works on, for the calls that it makes meanwhile."""

    __slots__ = ("_received", "instance", "services")

    def __init__(self, services: ModelServices, received: list[ReceivedRequest]) -> None:
        self.services = services
        self.instance = received[0]._view.instance if received else 0
        self._received = received

    def cancelled(self) -> bool:
        """Whether nobody waits for any of them."""
        try:
            return all(request.is_cancelled() for request in self._received)
        except NaiadError:
            return False  # execute has returned: what still runs belongs to no request


current_batch: ContextVar[Batch | None] = ContextVar("naiad_batch", default=None)
"""Set while ``execute`` runs, also in the coroutines that it starts."""


class ResponseIterator:
    """The responses to a call of a decoupled model, in order; ``for`` waits for each. A second loop starts
    with the first response again, as in Triton. An error of the called model is a response too.
    """

    def __init__(self, model: str, answers: AnswerStream | None, first: list[InferenceResponse]) -> None:
        self._model = model
        self._answers = answers
        self._responses = first
        self._at = 0

    def __iter__(self) -> Iterator[InferenceResponse]:
        self._at = 0
        return self

    def __next__(self) -> InferenceResponse:
        if self._at == len(self._responses):
            if self._answers is None:
                raise StopIteration
            try:
                self._responses.append(_response(next(self._answers)))
            except NaiadError as error:
                self._answers = None
                self._responses.append(_refused(self._model, error))
        self._at += 1
        return self._responses[self._at - 1]

    def cancel(self) -> None:
        """Takes the call back: the called model is told."""
        if self._answers is not None:
            self._answers.cancel()


def execute(request: InferenceRequest) -> InferenceResponse:
    """Runs a request and waits for its one response."""
    services, call = _services(), _call(request)
    try:
        return _response(services.call(call))
    except NaiadError as error:
        return _refused(call.model, error)


async def execute_async(request: InferenceRequest, services: ModelServices) -> InferenceResponse:
    """The same on the running event loop."""
    call = _call(request)
    try:
        return _response(await services.call_async(call))
    except NaiadError as error:
        return _refused(call.model, error)


def execute_many(request: InferenceRequest) -> ResponseIterator:
    """Runs a request that may have any number of responses."""
    services, call = _services(), _call(request)
    try:
        return ResponseIterator(call.model, services.stream(call), [])
    except NaiadError as error:
        return ResponseIterator(call.model, None, [_refused(call.model, error)])


def load_model(model_name: str, config: str = "", files: Mapping[str, bytes] | None = None) -> None:
    """Loads a model of the server; blocks. ``config``: JSON in place of its config.pbtxt.

    Raises TritonModelException, also where the server is not run with --model-control-mode=explicit.
    """
    services = _services()
    try:
        services.load(model_name, config, files or {})
    except NaiadError as error:
        raise TritonModelException(f"Failed to load model: {error}") from None


def unload_model(model_name: str, unload_dependents: bool = False) -> None:
    """Unloads a model of the server; blocks until it has ended. Raises TritonModelException."""
    services = _services()
    try:
        services.unload(model_name, unload_dependents)
    except NaiadError as error:
        raise TritonModelException(f"Failed to unload model: {error}") from None


def is_model_ready(model_name: str, model_version: str = "") -> bool:
    """Whether a model of the server takes requests."""
    services = _services()
    try:
        return services.is_ready(model_name, model_version)
    except NaiadError as error:
        raise TritonModelException(f"Failed to check model readiness: {error}") from None


def _services() -> ModelServices:
    batch = current_batch.get()
    services = batch.services if batch is not None else calling_model_services()
    if services is None:
        raise TritonModelException("other models can be asked for from the code of a model only")
    return services


services_of_caller = _services


def _call(request: InferenceRequest) -> ModelCall:
    flags = request.flags()
    version = request._model_version
    return ModelCall(
        request._model_name,
        str(version) if version > 0 else "",
        [(tensor._name, tensor._datatype, tensor._on_host()) for tensor in request.inputs()],
        request._outputs,
        request._request_id,
        request._parameters,
        request._correlation_id,
        bool(flags & 1),
        bool(flags & 2),
        request._timeout,
        request._trace._number,
        current_batch.get(),
    )


def _response(answer: ModelAnswer) -> InferenceResponse:
    if answer.error is not None:
        return InferenceResponse(error=_error(answer.error, str(answer.error)))
    tensors = [Tensor.of(name, datatype, array, shared=True) for name, datatype, array in answer.outputs]
    return InferenceResponse(tensors, parameters=dict(answer.parameters))


def _refused(model: str, error: NaiadError) -> InferenceResponse:
    reason = str(error)
    if isinstance(error, (NotFound, NotReady)):
        reason = f"Failed for execute the inference request. Model '{model}' is not ready."
    text = f"Model {model} - Error when running inference: {reason}"
    return InferenceResponse(error=_error(error, text))


def _error(error: NaiadError, text: str) -> TritonError:
    return TritonError(text, _CODES.get(error.code, TritonErrorCode.UNKNOWN))
