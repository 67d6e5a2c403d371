"""Requests over gRPC: one by one, in streams, and of a decoupled model."""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np

from naiad import protos

from .book import Failure, Ledger, Outcome
from .models import values_of
from .verdict import Allowed

PATIENCE_S = 60.0
_SERVICE = "/inference.GRPCInferenceService/"
# A client beside others must not share their connection.
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    # The library sends nothing again by itself.
    ("grpc.enable_retries", 0),
]
_Streamed = protos.message_class("inference.ModelStreamInferResponse")


class GrpcAsker:
    """The kinds of requests of one client over gRPC. Each method sends one, or a stream of them, and enters
    what came of each."""

    def __init__(self, address: str, ledger: Ledger, draw: random.Random, allowed: Allowed) -> None:
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._unary = self._channel.unary_unary(_SERVICE + "ModelInfer")
        self._stream = self._channel.stream_stream(_SERVICE + "ModelStreamInfer")
        self._ledger = ledger
        self._draw = draw
        self._allowed = allowed

    def close(self) -> None:
        self._channel.close()

    def infer(self) -> Failure | None:
        """The identity model, as bytes."""
        number = self._ledger.open()
        return self._call(number, infer_message("identity", number), "identity", values_of(number))

    def infer_worker(self) -> Failure | None:
        """A model in a process of its own."""
        number = self._ledger.open()
        values = [value + 1 for value in values_of(number)]
        return self._call(number, infer_message("worker", number), "worker", values)

    def wrong(self) -> Failure | None:
        """What must be refused, with a status of the client's fault."""
        number = self._ledger.open()
        content = self._draw.choice(_WRONG)
        return self._refused(number, content, ("INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED"))

    def failing(self) -> Failure | None:
        """What the model answers with an error of that request."""
        number = self._ledger.open()
        return self._refused(number, infer_message("worker", number, [-1]), ("INTERNAL",))

    def cancelled(self) -> Failure | None:
        """Is given up after a time in which it may also have been answered."""
        number = self._ledger.open()
        call = self._unary.future(infer_message("worker", number), timeout=PATIENCE_S)
        time.sleep(self._draw.random() * 0.004)
        if call.cancel():
            self._ledger.enter(number, Outcome.CANCELLED)
            return None
        values = [value + 1 for value in values_of(number)]
        return self._outcome(number, call, "worker", values)

    def hurried(self) -> Failure | None:
        """Has a deadline about as long as the model takes."""
        number = self._ledger.open()
        call = self._unary.future(
            infer_message("worker", number), timeout=0.0002 + self._draw.random() * 0.004
        )
        values = [value + 1 for value in values_of(number)]
        return self._outcome(number, call, "worker", values, late=True)

    def streamed(self) -> Failure | None:
        """Up to eight requests in one stream, in their order; one of them may be wrong."""
        count = self._draw.randrange(1, 9)
        numbers = [self._ledger.open() for _ in range(count)]
        bad = numbers[self._draw.randrange(count)] if self._draw.random() < 0.2 else None
        contents = [
            infer_message("identity", number, tensor="INPUT7" if number == bad else "INPUT0")
            for number in numbers
        ]
        waiting = list(numbers)
        try:
            for content in self._stream(iter(contents), timeout=PATIENCE_S):
                answer: Any = _Streamed.FromString(content)
                number = waiting.pop(0)
                self._streamed_answer(number, answer, wrong=number == bad)
        except grpc.RpcError as error:
            return self._ended(waiting, error)
        for number in waiting:
            self._ledger.enter(number, Outcome.WRONG, "its stream ended without an answer")
        return None

    def repeated(self) -> Failure | None:
        """A decoupled model: every response, in order, or a stream that is given up between two."""
        number = self._ledger.open()
        values = [number % 1000 + k for k in range(self._draw.randrange(1, 12))]
        leave_at = self._draw.randrange(len(values)) if self._draw.random() < 0.2 else None
        request: Any = protos.ModelInferRequest(model_name="repeat", id=str(number))
        request.parameters["triton_enable_empty_final_response"].bool_param = True
        request.inputs.add(name="INPUT0", datatype="INT32", shape=[len(values)])
        request.raw_input_contents.append(np.array(values, np.int32).tobytes())
        said: list[int] = []
        kept_open: queue.Queue[bytes] = queue.Queue()
        kept_open.put(request.SerializeToString())
        call = self._stream(_until_empty(kept_open), timeout=PATIENCE_S)
        try:
            for content in call:
                answer: Any = _Streamed.FromString(content)
                response = answer.infer_response
                if answer.error_message:
                    failure = Failure("stream", answer.error_message)
                    call.cancel()
                    return self._failed(number, failure)
                if response.raw_output_contents:
                    said.append(int(np.frombuffer(response.raw_output_contents[0], np.int32)[0]))
                if leave_at is not None and len(said) > leave_at:
                    call.cancel()
                    self._ledger.enter(number, Outcome.CANCELLED)
                    return None
                if response.parameters["triton_final_response"].bool_param:
                    kept_open.put(b"")
        except grpc.RpcError as error:
            kept_open.put(b"")
            return self._ended([number], error)
        self._enter(number, said == values, "repeat", said)
        return None

    def _call(self, number: int, content: bytes, model: str, values: list[int]) -> Failure | None:
        return self._outcome(number, self._unary.future(content, timeout=PATIENCE_S), model, values)

    def _outcome(
        self, number: int, call: Any, model: str, values: list[int], *, late: bool = False
    ) -> Failure | None:
        try:
            answer: Any = protos.ModelInferResponse.FromString(call.result())
        except grpc.FutureCancelledError:
            self._ledger.enter(number, Outcome.CANCELLED)
            return None
        except grpc.RpcError as error:
            failure = _failure(error)
            if late and failure.code == "DEADLINE_EXCEEDED":
                self._ledger.enter(number, Outcome.ERROR, failure.code)
                return None
            return self._failed(number, failure)
        said = np.frombuffer(answer.raw_output_contents[0], np.float32).tolist()
        self._enter(number, answer.id == str(number) and said == values, model, said)
        return None

    def _refused(self, number: int, content: bytes, codes: tuple[str, ...]) -> Failure | None:
        try:
            self._unary(content, timeout=PATIENCE_S)
        except grpc.RpcError as error:
            failure = _failure(error)
            if failure.code in codes and failure.text:
                self._ledger.enter(number, Outcome.ERROR, failure.code)
                return None
            return self._failed(number, failure)
        self._ledger.enter(number, Outcome.WRONG, f"answered, though it is {content[:100]!r}")
        return None

    def _streamed_answer(self, number: int, answer: Any, *, wrong: bool) -> None:
        response = answer.infer_response
        if answer.error_message:
            failure = Failure("stream", answer.error_message)
            if wrong:
                self._ledger.enter(number, Outcome.ERROR, "stream")
            else:
                self._failed(number, failure)
            return
        said = np.frombuffer(response.raw_output_contents[0], np.float32).tolist()
        right = not wrong and response.id == str(number) and said == values_of(number)
        self._enter(number, right, "identity", said)

    def _ended(self, waiting: list[int], error: grpc.RpcError) -> Failure:
        failure = _failure(error)
        for number in waiting:
            self._failed(number, failure)
        return failure

    def _failed(self, number: int, failure: Failure) -> Failure:
        if failure.code == "unsent":
            self._ledger.enter(number, Outcome.UNSENT)
        elif self._allowed(failure):
            self._ledger.enter(number, Outcome.ERROR, failure.code)
        else:
            self._ledger.enter(number, Outcome.WRONG, f"gRPC {failure}")
        return failure

    def _enter(self, number: int, right: bool, model: str, said: object) -> None:
        outcome = Outcome.RIGHT if right else Outcome.WRONG
        self._ledger.enter(number, outcome, f"{model} said {str(said)[:200]}", model)


def _until_empty(contents: queue.Queue[bytes]) -> Iterator[bytes]:
    while content := contents.get():
        yield content


def _failure(error: Any) -> Failure:
    """The library's own words say that no connection could be made, or that the call's number is above the
    last one that the server has begun, as it told in GOAWAY (RFC 9113, section 6.8)."""
    code, text = error.code().name, error.details() or ""
    words = ("onnect to remote host", "Connection refused", "GOAWAY received; Error code: 0")
    unsent = code == "UNAVAILABLE" and any(each in text for each in words)
    return Failure("unsent" if unsent else code, text)


def infer_message(
    model: str, number: int, values: list[int] | None = None, *, tensor: str = "INPUT0", **changes: Any
) -> bytes:
    given = np.array(values_of(number) if values is None else values, np.float32)
    request: Any = protos.ModelInferRequest(model_name=model, id=str(number))
    request.inputs.add(**({"name": tensor, "datatype": "FP32", "shape": [1, given.size]} | changes))
    request.raw_input_contents.append(given.tobytes())
    return bytes(request.SerializeToString())


_WRONG = [
    infer_message("identity", 1, tensor="INPUT7"),
    infer_message("identity", 1, datatype="INT32"),
    infer_message("identity", 1, datatype="FP31"),
    infer_message("identity", 1, shape=[1, 77]),
    infer_message("identity", 1, shape=[1, -2]),
    infer_message("identity", 1, shape=[1 << 33, 1 << 33]),
    infer_message("nobody", 1),
    infer_message("identity", 1)[:-3],
    b"\xff" * 40,
]
