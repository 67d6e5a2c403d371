"""One ``TritonPythonModel`` object, and what calls it once per batch."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from naiad.backends.python.calls import Batch, current_batch
from naiad.backends.python.coroutines import Coroutines
from naiad.backends.python.failure import ERROR_CODES, encodable
from naiad.backends.python.inference_request import ReceivedRequest
from naiad.backends.python.inference_response import InferenceResponse
from naiad.errors import BackendError, InvalidArgument, NaiadError

if TYPE_CHECKING:
    from naiad.backends.services import ModelServices
    from naiad.engine import RequestView

_log = logging.getLogger("naiad.backends.python")


class PythonModelInstance:
    """Runs a model's ``execute``. The thread of the instance, with the GIL."""

    def __init__(
        self,
        name: str,
        model: Any,
        output_names: Sequence[str],
        *,
        copy_inputs: bool = True,
        decoupled: bool = False,
        services: ModelServices | None = None,
        takes_gpu_inputs: bool = False,
    ) -> None:
        """``model`` has been initialized. ``output_names``: of the configuration. ``copy_inputs``: the model
        may write to its inputs. ``decoupled``: it answers by senders alone. ``services``: what
        its calls of other models go to. ``takes_gpu_inputs``: those that lie on a GPU are not copied to the
        host.
        """
        self.takes_gpu_inputs = takes_gpu_inputs
        self._name = name
        self._model = model
        self._execute = model.execute
        self._outputs = dict.fromkeys(output_names)
        self._copy_inputs = copy_inputs
        self._decoupled = decoupled
        self._coroutines = Coroutines(name) if inspect.iscoroutinefunction(self._execute) else None
        self._told_unknown: set[str] = set()
        self._services = services

    def execute(self, requests: list[RequestView]) -> None:
        """Answers every request, or raises BackendError for the whole batch."""
        outputs, copies = self._outputs, self._copy_inputs
        received = [ReceivedRequest(view, outputs, copies) for view in requests]
        if self._services is None:
            self._run(requests, received)
            return
        token = current_batch.set(Batch(self._services, received))
        try:
            self._run(requests, received)
        finally:
            current_batch.reset(token)

    def _run(self, requests: list[RequestView], received: list[ReceivedRequest]) -> None:
        if self._coroutines is not None and self._decoupled:
            # Its sender is all that answers a request, so each is asked for before the batch is let go.
            for request in received:
                request.get_response_sender()
            self._coroutines.start(self._execute(received), lambda error: self._fail_kept(received, error))
            return
        try:
            responses = self._execute(received)
            if self._coroutines is not None:
                responses = self._coroutines.run(responses)
        except (Exception, SystemExit) as error:
            self._fail_kept(received, error)
            raise self._failure(f"{type(error).__name__}: {error}") from None
        if self._decoupled:
            self._check_decoupled(responses, received)
            self._reschedule(received)
            return
        self._reschedule(received)
        if responses is None and all(request._sender is not None for request in received):
            return
        self._check(responses, received)
        for view, request, response in zip(requests, received, responses, strict=True):
            if request._sender is not None or request._reschedule:
                continue
            if response._error is not None:
                view.fail(ERROR_CODES[response._error._code], response._error._message)
            else:
                self._answer(view, response)

    def _reschedule(self, received: list[ReceivedRequest]) -> None:
        for request in received:
            if request._reschedule:
                try:
                    request._view.reschedule()
                except InvalidArgument as error:
                    _log.error("model '%s': a request can not be rescheduled: %s", self._name, error)

    def finalize(self) -> None:
        """Calls the model's ``finalize``, where it has one."""
        finalize = getattr(self._model, "finalize", None)
        if self._coroutines is not None:
            self._coroutines.close()
        del self._execute, self._model
        if finalize is not None:
            try:
                finalize()
            except Exception as error:
                _log.error("model '%s' failed in finalize", self._name, exc_info=error)

    def _answer(self, view: RequestView, response: InferenceResponse) -> None:
        wanted = view.requested_outputs or self._outputs
        try:
            for tensor in response._tensors:
                name = tensor._name
                if name in wanted:
                    view.output(name, tensor._datatype, tensor._on_host())
                elif name not in self._outputs:
                    self._tell_unknown(name)
            if response._parameters is not None:
                for key, value in response._parameters.items():
                    view.parameter(key, value)
        except NaiadError as error:
            # What the model gave does not fit its own configuration: no fault of the client.
            view.fail("INTERNAL", self._text(str(error)))

    def _fail_kept(self, received: list[ReceivedRequest], error: BaseException) -> None:
        """The model has raised: so have the requests that it answers by senders."""
        _log.error("model '%s' failed", self._name, exc_info=error)
        text = self._text(encodable(f"{type(error).__name__}: {error}"))
        for request in received:
            if request._sender is not None:
                request._sender._fail("INTERNAL", text)

    def _check_decoupled(self, responses: Any, received: list[ReceivedRequest]) -> None:
        if responses is not None:
            reason = (
                "Python model '" + self._name + "' is using the decoupled mode and the execute function must "
                "return None."
            )
            for request in received:
                if request._sender is not None:
                    request._sender._fail("INTERNAL", self._text(reason))
            raise self._failure(reason)
        if any(request._sender is None and not request._reschedule for request in received):
            raise self._failure("the execute function has returned without the response sender of a request")

    def _check(self, responses: Any, received: list[ReceivedRequest]) -> None:
        num_requests = len(received)
        if not isinstance(responses, list):
            raise self._failure(f"Expected a list in the execute return, found type '{type(responses)}'.")
        if len(responses) != num_requests:
            raise self._failure(
                "Number of InferenceResponse objects do not match the number of InferenceRequest objects. "
                f"InferenceRequest(s) size is:{num_requests}, and InferenceResponse(s) size "
                f"is:{len(responses)}"
            )
        for request, response in zip(received, responses, strict=True):
            if request._sender is not None or request._reschedule:
                if response is not None:
                    why = "whose response sender was asked for" if request._sender else "that is rescheduled"
                    raise self._failure(f"a response was returned for a request {why}")
            elif not isinstance(response, InferenceResponse):
                raise self._failure(
                    "Expected an 'InferenceResponse' object in the execute function return list, found type "
                    f"'{type(response)}'."
                )

    def _tell_unknown(self, name: str) -> None:
        if name not in self._told_unknown:
            self._told_unknown.add(name)
            _log.warning(
                "model '%s': output '%s' is not in the configuration and is left out", self._name, name
            )

    def _text(self, reason: str) -> str:
        return f"Failed to process the request(s) for model '{self._name}', message: {reason}"

    def _failure(self, reason: str) -> BackendError:
        return BackendError(self._text(encodable(reason)))
