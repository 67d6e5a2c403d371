"""``pb_utils.InferenceResponseSender``: answers a request when the model does not return the answer."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from naiad.backends.python.failure import ERROR_CODES
from naiad.backends.python.inference_response import InferenceResponse
from naiad.errors import InvalidArgument, NaiadError

if TYPE_CHECKING:
    from naiad.engine import RequestView, ResponseSender

COMPLETE_FINAL = 1


class InferenceResponseSender:
    """Sends the responses to one request, also from other threads and after ``execute`` has returned.

    A decoupled model sends any number of them, any other model one. The last call has the flag
    ``TRITONSERVER_RESPONSE_COMPLETE_FINAL``. A sender that is forgotten before that fails its request.
    """

    __slots__ = ("_ended", "_outputs", "_sender", "_view", "_wanted")

    def __init__(self, view: RequestView, outputs: Collection[str]) -> None:
        """``outputs``: the names of the configuration."""
        self._wanted = frozenset(view.requested_outputs or outputs)
        self._outputs = outputs
        self._view = view
        self._sender: ResponseSender = view.keep()
        self._ended = False

    def send(self, response: InferenceResponse | None = None, flags: int = 0) -> None:
        """Sends a response, the end of them (``flags``), or both.

        Waits, without the GIL, while the client is far behind. Raises InvalidArgument after the end.
        """
        if flags not in (0, COMPLETE_FINAL):
            raise InvalidArgument(
                "Unable to send response. Unsupported flag provided, expected 0 or "
                "TRITONSERVER_RESPONSE_COMPLETE_FINAL."
            )
        if response is None and flags == 0:
            raise InvalidArgument(
                "Inference Response object must be provided when the response flags is set to zero."
            )
        if response is not None and not isinstance(response, InferenceResponse):
            raise TypeError(f"send: an InferenceResponse is expected, got {type(response).__name__}")
        last = flags == COMPLETE_FINAL
        if response is None:
            self._sender.finish()
        elif response._error is not None:
            self._sender.fail(ERROR_CODES[response._error._code], response._error._message, last=last)
        else:
            self._send(response, last)
        self._ended = self._ended or last

    def is_cancelled(self) -> bool:
        """Whether the client has gone or taken the request back."""
        return self._sender.cancelled

    def _is_full(self) -> bool:
        """Whether ``send`` would wait."""
        return self._sender.is_full

    def _send(self, response: InferenceResponse, last: bool) -> None:
        unknown = [tensor._name for tensor in response._tensors if tensor._name not in self._outputs]
        if unknown:
            raise InvalidArgument(
                f"unexpected inference output '{unknown[0]}': it is not in the model's configuration"
            )
        tensors = [
            (tensor._name, tensor._datatype, tensor._on_host())
            for tensor in response._tensors
            if tensor._name in self._wanted
        ]
        self._sender.send(tensors, response._parameters, last=last)

    def _fail(self, code: str, message: str) -> None:
        """The model has failed: so has the request, unless it has ended."""
        if self._ended:
            return
        try:
            self._sender.fail(code, message, last=True)
        except NaiadError:
            return  # it has ended meanwhile
        self._ended = True
