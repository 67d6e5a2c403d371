"""One call that blocks, reached as the load is: by the same header fields, with the same TLS."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from naiad.loadgen.access import Access
from naiad.loadgen.http2 import OK
from naiad.loadgen.http2_messages import MessageStream


class CallFailed(Exception):
    """The server's status and words."""


def unary(host: str, port: int, access: Access, path: str, message: bytes, timeout_s: float) -> bytes:
    """The serialised answer. Raises OSError where no server answers, CallFailed for a status but OK."""
    outcomes: list[str] = []
    answers: list[bytes] = []
    context = access.context("h2")
    with ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection((host, port), timeout_s))
        if context is not None:
            connection = stack.enter_context(context.wrap_socket(connection, server_hostname=host))
        stream = MessageStream(
            f"{host}:{port}",
            path,
            connection.sendall,
            lambda _, outcome: outcomes.append(outcome),
            lambda _, answer: answers.append(answer),
            scheme="http" if context is None else "https",
            metadata=access.headers,
        )
        stream.call(message)
        while not outcomes:
            data = connection.recv(1 << 16)
            if not data:
                raise ConnectionError("the connection was closed")
            stream.receive(data)
    if outcomes[0] != OK:
        raise CallFailed(outcomes[0])
    if len(answers) != 1:
        raise CallFailed(f"{len(answers)} messages where one was due")
    return answers[0]
