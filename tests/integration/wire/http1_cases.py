"""Request smuggling over HTTP/1.1 (RFC 9112, section 11.2): first requests that two readers might end at
different bytes, or that hide a second one in their body. The second one must never be answered.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

PATIENCE_S = 5.0
SECOND = b"GET /v2/models/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
"""Its answer would name the model that it asks for."""
LAST = b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass(frozen=True)
class Http1Case:
    """``content`` is the first request. It is ``refused`` with a status of 400 or more and the end of the
    connection, whatever is behind it; else the second one is a part of it, and LAST is answered.
    """

    what: str
    content: bytes
    refused: bool = True
    strict: bool = False
    """The RFC lets a server take the first one too, and then the second is a request of its own."""


@dataclass(frozen=True)
class Said:
    """All that came back on a connection."""

    statuses: list[int]
    content: bytes
    closed: bool


def post(fields: bytes, body: bytes = b"", *, version: bytes = b"HTTP/1.1") -> bytes:
    return b"POST /v2/models/identity/infer " + version + b"\r\nHost: a\r\n" + fields + b"\r\n" + body


def length(*values: str) -> bytes:
    return b"".join(f"Content-Length: {value}\r\n".encode("latin-1") for value in values)


def coding(*values: str) -> bytes:
    return b"".join(f"Transfer-Encoding: {value}\r\n".encode("latin-1") for value in values)


def in_chunks(body: bytes) -> bytes:
    """A request whose chunks are given as they are."""
    return post(coding("chunked"), body)


NO_CHUNKS = b"0\r\n\r\n"
LINE = b"GET /v2/health/live HTTP/1.1\r\n"

LENGTHS = [
    Http1Case("chunked, then a length", post(coding("chunked") + length("5"), NO_CHUNKS)),
    Http1Case("a length of one request, chunked to the other",
              post(length(str(len(NO_CHUNKS + SECOND))) + coding("chunked"), NO_CHUNKS + SECOND)),
    Http1Case("two equal lengths", post(length("0", "0")), strict=True),
    Http1Case("a list of lengths", post(length("0, 0")), strict=True),
    Http1Case("a length with a sign", post(length("+0"))),
    Http1Case("a length in hexadecimal", post(length("0x0"))),
    Http1Case("a length with a space", post(length("0 0"))),
    Http1Case("a length with a comma", post(length("0,"))),
    Http1Case("a length in quotes", post(length('"0"'))),
    Http1Case("no length in the field", post(length(""))),
    Http1Case("a length of 2^64", post(length(str(1 << 64)))),
    Http1Case("a length with NUL", post(length("0\0"))),
    Http1Case("a space before the colon", post(b"Content-Length : 0\r\n")),
    Http1Case("a tab before the colon", post(b"Content-Length\t: 0\r\n")),
    Http1Case("a length on a line of its own", post(b"Content-Length:\r\n 0\r\n")),
]  # fmt: skip

CODINGS = [
    Http1Case("chunked in two fields", post(coding("chunked", "chunked"), NO_CHUNKS)),
    Http1Case("chunked twice", post(coding("chunked, chunked"), NO_CHUNKS)),
    Http1Case("chunked is not the last", post(coding("chunked, identity"), NO_CHUNKS)),
    Http1Case("identity", post(coding("identity") + length("0"))),
    Http1Case("xchunked", post(coding("xchunked"), NO_CHUNKS)),
    Http1Case("chunked;q=1", post(coding("chunked;q=1"), NO_CHUNKS)),
    Http1Case("a comma behind chunked", post(coding("chunked,"), NO_CHUNKS), strict=True),
    Http1Case("a vertical tab before chunked", post(coding("\x0bchunked"), NO_CHUNKS)),
    Http1Case("NUL behind chunked", post(coding("chunked\0"), NO_CHUNKS)),
    Http1Case("a coding with a space before the colon", post(b"Transfer-Encoding : chunked\r\n", NO_CHUNKS)),
    Http1Case("a coding on a line of its own", post(b"Transfer-Encoding:\r\n chunked\r\n", NO_CHUNKS)),
    Http1Case("a coding behind a bare CR", post(b"X: y\rTransfer-Encoding: chunked\r\n", NO_CHUNKS)),
    Http1Case("a coding behind a bare LF", post(b"X: y\nTransfer-Encoding: chunked\r\n", NO_CHUNKS)),
    Http1Case("chunked in HTTP/1.0", post(coding("chunked"), NO_CHUNKS, version=b"HTTP/1.0")),
]  # fmt: skip

CHUNKS = [
    Http1Case("a chunk's size ends with LF", in_chunks(b"0\n\r\n")),
    Http1Case("the last line is LF", in_chunks(b"0\r\n\n")),
    Http1Case("an extension ends with LF", in_chunks(b"3;a\nabc\r\n" + NO_CHUNKS)),
    Http1Case("a size 0x0", in_chunks(b"0x0\r\n\r\n")),
    Http1Case("a size with a sign", in_chunks(b"+0\r\n\r\n")),
    Http1Case("a size with a space behind", in_chunks(b"0 \r\n\r\n")),
    Http1Case("a size with a space before", in_chunks(b" 0\r\n\r\n")),
    Http1Case("no size", in_chunks(b"\r\n\r\n")),
    Http1Case("a size of 17 digits", in_chunks(b"00000000000000003\r\nabc\r\n" + NO_CHUNKS), strict=True),
    Http1Case("a chunk longer than its size", in_chunks(b"3\r\nabcd\r\n" + NO_CHUNKS)),
    Http1Case("a chunk without a line end", in_chunks(b"3\r\nabc" + NO_CHUNKS)),
    Http1Case("a trailer that ends with LF", in_chunks(b"0\r\nX: y\n\r\n")),
    Http1Case("a trailer in two lines", in_chunks(b"0\r\nX: y\r\n z\r\n\r\n"), strict=True),
]  # fmt: skip

LINES = [
    Http1Case("two spaces in the request line",
              b"GET  /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n", strict=True),
    Http1Case("more behind the version", b"GET /v2/health/live HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    Http1Case("lines that end with LF", b"GET /v2/health/live HTTP/1.1\nHost: a\n\n"),
    Http1Case("lines that end with CR", b"GET /v2/health/live HTTP/1.1\rHost: a\r\r"),
    Http1Case("two hosts", LINE + b"Host: a\r\nHost: b\r\n\r\n"),
    Http1Case("another host in the target",
              b"GET http://b/v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n", strict=True),
    Http1Case("NUL in the target", b"GET /v2\0/health/live HTTP/1.1\r\nHost: a\r\n\r\n"),
    Http1Case("no version", b"GET /v2/health/live\r\nHost: a\r\n\r\n"),
    Http1Case("a name with a space", LINE + b"Host: a\r\nX y: z\r\n\r\n"),
    Http1Case("CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", strict=True),
    Http1Case("an expectation that is unknown", post(b"Expect: 200-ok\r\n" + length("0")), strict=True),
    Http1Case("a length far beyond the limit", post(length("123456789012"))),
]  # fmt: skip


def hidden(what: str, first: bytes, fields: bytes = b"") -> Http1Case:
    """A request of a known length with a second one as its body."""
    head = first + b"Host: a\r\n" + fields + length(str(len(SECOND))) + b"\r\n"
    return Http1Case(what, head + SECOND, refused=False)


HIDDEN = [
    hidden("in the body of GET", LINE),
    hidden("in the body of HEAD", b"HEAD /v2/health/live HTTP/1.1\r\n"),
    hidden("in the body of DELETE", b"DELETE /v2/health/live HTTP/1.1\r\n"),
    hidden("in the body for a model that is unknown", b"POST /v2/models/none/infer HTTP/1.1\r\n"),
    hidden("in the body for a path that is unknown", b"POST /none HTTP/1.1\r\n"),
    hidden("in a body that is no JSON", b"POST /v2/models/identity/infer HTTP/1.1\r\n"),
    hidden("in a body that is no gzip", b"POST /v2/models/identity/infer HTTP/1.1\r\n",
           b"Content-Encoding: gzip\r\n"),
    hidden("in a body of an unknown coding", b"POST /v2/models/identity/infer HTTP/1.1\r\n",
           b"Content-Encoding: br\r\n"),
    hidden("with a name like that of a coding", LINE, b"Transfer_Encoding: chunked\r\n"),
    Http1Case("in a chunk", in_chunks(f"{len(SECOND):x}\r\n".encode() + SECOND + b"\r\n" + NO_CHUNKS),
              refused=False),
    Http1Case("in a trailer", in_chunks(b"0\r\nX: " + SECOND.split(b"\r\n")[0] + b"\r\n\r\n"), refused=False),
]  # fmt: skip

CASES = [*LENGTHS, *CODINGS, *CHUNKS, *LINES, *HIDDEN]


def run(address: str, case: Http1Case, patience_s: float = PATIENCE_S) -> Said:
    """Sends the case, a second request where it is to be refused, and LAST; reads until the server closes."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=patience_s) as client:
        content, closed = b"", False
        try:
            client.sendall(case.content + (SECOND if case.refused else b"") + LAST)
            while got := client.recv(1 << 16):
                content += got
            closed = True
        except (BrokenPipeError, ConnectionResetError):
            closed = True
        except TimeoutError:
            pass
    return Said([int(status) for status in _STATUS.findall(content)], content, closed)


def right(case: Http1Case, said: Said) -> bool:
    """Nothing of a second request was answered, and the first as it should be."""
    if b"smuggled" in said.content or not said.closed:
        return False
    if case.refused:
        return len(said.statuses) <= 1 and all(status >= 400 for status in said.statuses)
    return len(said.statuses) == 2 and said.statuses[1] == 200
