"""A connection whose calls have any number of responses: ModelStreamInfer, a call for each request."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from naiad import protos
from naiad.loadgen.grpc_connection import GrpcConnection
from naiad.loadgen.http2 import OK, CallStream
from naiad.loadgen.http2_messages import MessageStream

if TYPE_CHECKING:
    from naiad.loadgen.grpc_load import GrpcLoad

STREAM_METHOD = "/inference.GRPCInferenceService/ModelStreamInfer"


class StreamingConnection(GrpcConnection):
    """Calls that are under way on one connection."""

    def __init__(self, load: GrpcLoad) -> None:
        super().__init__(load)
        self._before: dict[int, float] = {}
        """Stream -> when its newest response came."""
        self._errors: dict[int, str] = {}

    def _calls(self, write: Callable[[bytes], None]) -> CallStream:
        scenario = self._load.scenario
        scheme, metadata = ("https" if scenario.access.tls else "http"), scenario.access.headers
        authority = f"{scenario.host}:{scenario.port}"
        return MessageStream(
            authority, STREAM_METHOD, write, self._ended, self._came, scheme=scheme, metadata=metadata
        )

    def connection_lost(self, error: Exception | None) -> None:
        self._before.clear()
        self._errors.clear()
        super().connection_lost(error)

    def check(self, now_s: float, timeout_s: float) -> None:
        """Gives up a connection with a stream that comes no further."""
        for stream, (since_s, _) in self.since.items():
            if now_s - self._before.get(stream, since_s) > timeout_s:
                self._give_up(f"no response in {timeout_s:g} s", now_s)
                return

    def _came(self, stream: int, message: bytes) -> None:
        call = self.since.get(stream)
        if call is None:
            return
        response = protos.ModelStreamInferResponse.FromString(message)
        if response.error_message:
            self._errors[stream] = f"the stream failed: {response.error_message}"
        elif response.infer_response.outputs:
            now_s = time.monotonic()
            self._load.recorder.response(call[0], self._before.get(stream), now_s)
            self._before[stream] = now_s

    def _ended(self, stream: int, outcome: str) -> None:
        self._before.pop(stream, None)
        super()._ended(stream, outcome if outcome != OK else self._errors.pop(stream, OK))
        self._errors.pop(stream, None)
