"""Requests over HTTP, written by hand: what a library would retry or hide must be seen here."""

from __future__ import annotations

import json
import random
import socket
import struct
from dataclasses import dataclass

import numpy as np

from .book import Failure, Ledger, Outcome
from .models import values_of
from .verdict import Allowed

PATIENCE_S = 60.0
_RESET = struct.pack("ii", 1, 0)
_TCP_CLOSE = 7


@dataclass(frozen=True)
class Answer:
    status: int
    fields: dict[str, str]
    body: bytes


class GoneError(Exception):
    """The connection ended without a whole answer."""


class UnreadError(GoneError):
    """... and was reset: the server had closed it before it read the request, and has not begun that.
    HTTP/1.1 has no other word for this (RFC 9112, section 9.5)."""


class HttpConnection:
    """One request at a time, on one connection that is made anew when the server has said it ends."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._socket: socket.socket | None = None

    def open(self) -> socket.socket:
        """Raises ConnectionRefusedError. One that the server has closed meanwhile is not used again."""
        if self._socket is not None and self._is_closed(self._socket):
            self.close()
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=PATIENCE_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    @staticmethod
    def _is_closed(connection: socket.socket) -> bool:
        connection.setblocking(False)
        try:
            return connection.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            connection.settimeout(PATIENCE_S)

    def close(self, *, reset: bool = False) -> None:
        if self._socket is not None:
            if reset:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._socket.close()
            self._socket = None

    def ask(self, request: bytes) -> Answer:
        """Raises ConnectionRefusedError or UnreadError when it did not reach the server, GoneError when it
        did and no answer came."""
        connection = self.open()
        try:
            connection.sendall(request)
            answer = read_answer(connection)
        except (OSError, GoneError) as error:
            kind = UnreadError if _was_reset(connection, error) else GoneError
            self.close()
            raise kind(f"{type(error).__name__}: {error}") from error
        if answer.fields.get("connection") == "close":
            self.close()
        return answer


def _was_reset(connection: socket.socket, error: Exception) -> bool:
    """A close alone leaves the socket waiting for its own (CLOSE_WAIT)."""
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return True
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE


def read_answer(connection: socket.socket, rest: bytes = b"") -> Answer:
    """The next answer. One that is not whole is a GoneError; so are bytes behind it."""
    while (end := rest.find(b"\r\n\r\n")) < 0:
        rest += _receive(connection)
    lines = rest[:end].decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    body = rest[end + 4 :]
    length = int(fields["content-length"])
    while len(body) < length:
        body += _receive(connection)
    if len(body) > length:
        raise GoneError("more than one answer")
    return Answer(int(lines[0].split(" ")[1]), fields, body)


def _receive(connection: socket.socket) -> bytes:
    got = connection.recv(1 << 16)
    if not got:
        raise GoneError("the server closed")
    return got


def post(path: str, body: bytes, *fields: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: ledger", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


class HttpAsker:
    """The kinds of requests of one client over HTTP. Each method sends one and enters what came of it."""

    def __init__(self, address: str, ledger: Ledger, draw: random.Random, allowed: Allowed) -> None:
        self._connection = HttpConnection(address)
        self._ledger = ledger
        self._draw = draw
        self._allowed = allowed

    def close(self) -> None:
        self._connection.close()

    def infer_json(self) -> Failure | None:
        """The identity model, in JSON both ways."""
        number = self._ledger.open()
        values = values_of(number)
        answer = self._ask(number, json_request("identity", number, values))
        if answer is None or isinstance(answer, Failure):
            return answer
        said = json.loads(answer.body)
        right = said.get("id") == str(number) and said["outputs"][0]["data"] == values
        return self._enter(number, right, "identity", answer.body)

    def infer_binary(self) -> Failure | None:
        """Sums and differences, as bytes both ways."""
        number = self._ledger.open()
        a = np.arange(16, dtype=np.int32) + number % 1_000_000
        b = np.full(16, number % 7, np.int32)
        answer = self._ask(number, binary_request(number, a, b))
        if answer is None or isinstance(answer, Failure):
            return answer
        length = int(answer.fields.get("inference-header-content-length", "0"))
        said = np.frombuffer(answer.body[length:], np.int32)
        right = np.array_equal(said, np.concatenate([a + b, a - b]))
        return self._enter(number, right and f'"id":"{number}"'.encode() in answer.body[:length], "sums")

    def infer_worker(self) -> Failure | None:
        """A model in a process of its own."""
        number = self._ledger.open()
        values = values_of(number)
        answer = self._ask(number, json_request("worker", number, values))
        if answer is None or isinstance(answer, Failure):
            return answer
        said = json.loads(answer.body)
        right = said["outputs"][0]["data"] == [value + 1 for value in values]
        return self._enter(number, right, "worker", answer.body)

    def wrong(self) -> Failure | None:
        """What must be refused, with a status of the client's fault and a sentence."""
        number = self._ledger.open()
        return self._refused(number, self._draw.choice(_WRONG), range(400, 500))

    def failing(self) -> Failure | None:
        """What the model answers with an error of that request."""
        number = self._ledger.open()
        return self._refused(number, json_request("worker", number, [-1]), range(500, 501))

    def cut_off(self) -> Failure | None:
        """Goes away, somewhere in its request or before the answer."""
        number = self._ledger.open()
        request = json_request("worker", number, values_of(number))
        try:
            connection = self._connection.open()
            connection.sendall(request[: self._draw.randrange(1, 2 * len(request))])
        except ConnectionRefusedError:
            return self._unsent(number)
        except OSError:
            pass
        self._connection.close(reset=self._draw.random() < 0.5)
        self._ledger.enter(number, Outcome.CANCELLED)
        return None

    def _refused(self, number: int, request: bytes, statuses: range) -> Failure | None:
        answer = self._ask(number, request, wanted=statuses)
        if isinstance(answer, Answer):
            self._ledger.enter(number, Outcome.WRONG, f"{answer.status} for {request[:300]!r}")
        return answer if isinstance(answer, Failure) else None

    def _ask(self, number: int, request: bytes, wanted: range = range(0)) -> Answer | Failure | None:
        """The answer when it is a 200; None when an error was entered that was to come; a Failure when it
        was entered, too, and is one of the server's state."""
        try:
            answer = self._connection.ask(request)
        except (ConnectionRefusedError, UnreadError):
            return self._unsent(number)
        except GoneError as error:
            failure = Failure("gone", str(error))
        else:
            if answer.status == 200:
                return answer
            failure = Failure(str(answer.status), _error_of(answer.body))
            if answer.status in wanted and failure.text:
                self._ledger.enter(number, Outcome.ERROR, failure.code)
                return None
        if self._allowed(failure):
            self._ledger.enter(number, Outcome.ERROR, failure.code)
        else:
            self._ledger.enter(number, Outcome.WRONG, f"HTTP {failure}")
        return failure

    def _unsent(self, number: int) -> Failure:
        self._ledger.enter(number, Outcome.UNSENT)
        return Failure("unsent")

    def _enter(self, number: int, right: bool, model: str, body: bytes = b"") -> None:
        outcome = Outcome.RIGHT if right else Outcome.WRONG
        self._ledger.enter(number, outcome, f"{model} said {body[:200]!r}", model)


def _error_of(body: bytes) -> str:
    """The sentence of an error; "" when it has none, which is no typed error."""
    try:
        said = json.loads(body)
    except ValueError:
        return ""
    return str(said.get("error", "")) if isinstance(said, dict) else ""


def json_request(model: str, number: int, values: list[int]) -> bytes:
    tensor = {"name": "INPUT0", "shape": [1, len(values)], "datatype": "FP32", "data": values}
    return post(f"/v2/models/{model}/infer", json.dumps({"id": str(number), "inputs": [tensor]}).encode())


def binary_request(number: int, a: np.ndarray, b: np.ndarray) -> bytes:
    tensors = [
        {"name": name, "shape": [1, 16], "datatype": "INT32", "parameters": {"binary_data_size": 64}}
        for name in ("INPUT0", "INPUT1")
    ]
    head = json.dumps(
        {"id": str(number), "inputs": tensors, "parameters": {"binary_data_output": True}}
    ).encode()
    body = head + a.tobytes() + b.tobytes()
    return post("/v2/models/sums/infer", body, f"Inference-Header-Content-Length: {len(head)}")


def _identity(**changes: object) -> bytes:
    tensor = {"name": "INPUT0", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]} | changes
    return post("/v2/models/identity/infer", json.dumps({"inputs": [tensor]}).encode())


_BEYOND_FP32 = b'{"inputs":[{"name":"INPUT0","shape":[1,1],"datatype":"FP32","data":[1e400]}]}'
_WRONG = [
    _identity(name="INPUT7"),
    _identity(datatype="INT32"),
    _identity(datatype="FP31"),
    _identity(shape=[1, 3]),
    _identity(shape=[9, 1], data=[0] * 9, name="INPUT1"),
    _identity(shape=[1, -2]),
    _identity(shape=[1 << 33, 1 << 33]),
    _identity(data=["a", "b"]),
    _identity(parameters={"binary_data_size": 1 << 40}),
    post("/v2/models/identity/infer", b'{"inputs":[{"name":"INPUT0"'),
    post("/v2/models/identity/infer", b"[" * 1000),
    post("/v2/models/identity/infer", b""),
    post("/v2/models/nobody/infer", b"{}"),
    post("/v2/models/identity/versions/7/infer", b"{}"),
    post("/v2/models/identity/infer", b"{}", "Inference-Header-Content-Length: 99999999999"),
    post("/v2/models/identity/infer", _BEYOND_FP32),
    post("/v2/nowhere", b"{}"),
]
