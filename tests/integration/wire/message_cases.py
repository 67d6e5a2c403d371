"""RFC 9113, section 8: what a request may say; RFC 7541: how header blocks say it."""

from __future__ import annotations

from .cases import (
    ALIVE,
    Case,
    connection_error,
    ended,
    grpc_status,
    http_status,
    malformed,
    served,
    stream_error,
)
from .connection_cases import LIVE, OPEN, PROTOCOL
from .frame_cases import PUSH_PROMISE
from .frames import Code, Fields, call, data, headers, literal, live, message, reset

COMPRESSION = connection_error(Code.COMPRESSION)
MALFORMED = [malformed(), http_status(1, "400")]
END = data(1, message(), end=True)


def bad_call(section: str, what: str, fields: Fields | bytes) -> Case:
    """A call whose fields are malformed; its message follows."""
    return Case(section, what, [live(1, fields)], MALFORMED)


def raw_call(section: str, what: str, name: bytes, value: bytes) -> Case:
    """A call with a field that no encoder would write."""
    return bad_call(section, what, LIVE + literal(name, value))


def trailers(fields: Fields, *, end: bool = True) -> bytes:
    """A call with its message, and a second block."""
    return OPEN + data(1, message()) + headers(1, fields, end=end)


# A message with an unknown flag, in a call that goes on.
EARLY = OPEN + data(1, message(bytes(9), flag=7))

MESSAGES = [
    Case("8.1", "trailers", [trailers([("x-after", "1")])], [served()]),
    Case("8.1", "empty trailers", [trailers([])], [served()]),
    Case("8.1", "trailers that do not end the call", [trailers([("x-after", "1")], end=False)],
         [malformed()]),
    Case("8.1", "DATA behind trailers", [trailers([("x-after", "1")]) + data(1, b"x")],
         [stream_error(1, Code.STREAM_CLOSED)]),
    Case("8.1", "a second block in place of the message", [OPEN + headers(1)], [malformed()]),
    # An answer may be complete before its call (test_early_answer), but need not.
    Case("8.1", "an answer before the end of the call", [EARLY],
         [ALIVE, grpc_status(1, 13), stream_error(1, Code.NO_ERROR)]),
    Case("8.4", "PUSH_PROMISE", [PUSH_PROMISE], [PROTOCOL]),
]  # fmt: skip

FIELDS = [
    raw_call("8.2.1", "a name with a capital letter", b"X-Test", b"1"),
    raw_call("8.2.1", "a name with a space", b"x test", b"1"),
    raw_call("8.2.1", "a name with a colon", b"x:test", b"1"),
    raw_call("8.2.1", "an empty name", b"", b"1"),
    raw_call("8.2.1", "a name with NUL", b"x\0", b"1"),
    raw_call("8.2.1", "a name beyond ASCII", b"x\xe4", b"1"),
    raw_call("8.2.1", "a value with NUL", b"x-test", b"a\0b"),
    raw_call("8.2.1", "a value with LF", b"x-test", b"a\nb"),
    raw_call("8.2.1", "a value with CR", b"x-test", b"a\rb: c"),
    raw_call("8.2.1", "a value that begins with a space", b"x-test", b" a"),
    raw_call("8.2.1", "a value that ends with a tab", b"x-test", b"a\t"),
    Case("8.2.1", "a value beyond ASCII", [live(1, LIVE + literal(b"x-test", b"a\xe4"))], [served()]),
    Case("8.2.1", "an empty value", [live(1, call(add=[("x-test", "")]))], [served()]),
    bad_call("8.2.2", "connection: keep-alive", call(add=[("connection", "keep-alive")])),
    bad_call("8.2.2", "keep-alive", call(add=[("keep-alive", "5")])),
    bad_call("8.2.2", "proxy-connection", call(add=[("proxy-connection", "keep-alive")])),
    bad_call("8.2.2", "transfer-encoding: chunked", call(add=[("transfer-encoding", "chunked")])),
    bad_call("8.2.2", "upgrade: h2c", call(add=[("upgrade", "h2c")])),
    bad_call("8.2.2", "te: gzip", call(te="gzip")),
    bad_call("8.2.2", "te: trailers, deflate", call(te="trailers, deflate")),
    Case(
        "8.2.3", "cookies in pieces", [live(1, call(add=[("cookie", "a=b"), ("cookie", "c=d")]))], [served()]
    ),
]

PSEUDO = [
    bad_call("8.3", "an unknown pseudo-header", [(":test", "1"), *call()]),
    bad_call("8.3", "a pseudo-header of responses", [(":status", "200"), *call()]),
    Case("8.3", "a pseudo-header in trailers", [trailers([(":method", "POST")])], [malformed()]),
    bad_call("8.3", "a pseudo-header behind a field", [("x-test", "1"), *call()]),
    bad_call("8.3.1", "no :method", call(drop=[":method"])),
    bad_call("8.3.1", "no :scheme", call(drop=[":scheme"])),
    bad_call("8.3.1", "no :path", call(drop=[":path"])),
    bad_call("8.3.1", "no pseudo-header at all", [("te", "trailers"), ("content-type", "application/grpc")]),
    bad_call("8.3.1", "an empty :path", call(path="")),
    bad_call("8.3.1", "a :path without /", call(path="inference.GRPCInferenceService/ServerLive")),
    bad_call("8.3.1", "two :method", [(":method", "POST"), *call()]),
    bad_call("8.3.1", "two :scheme", [(":scheme", "http"), *call()]),
    bad_call("8.3.1", "two :path", [(":path", "/"), *call()]),
    bad_call("8.3.1", "two :authority", [(":authority", "naiad"), *call()]),
    bad_call("8.3.1", "a :method with a space", [(":method", "PO ST"), *call(drop=[":method"])]),
    Case("8.3.1", "host in place of :authority",
         [live(1, call(drop=[":authority"], add=[("host", "naiad")]))],
         [served()]),
    # What an http URI always has; a client may leave it out of a request that it has translated from another.
    Case("8.3.1", "neither :authority nor host", [live(1, call(drop=[":authority"]))],
         [served(), *MALFORMED]),
    Case("8.3.1", ":scheme https over plain TCP", [live(1, call(scheme="https"))], [served()]),
    bad_call("8.5", "CONNECT with :path and :scheme", [(":method", "CONNECT"), *call(drop=[":method"])]),
    Case("8.5", "CONNECT", [headers(1, [(":method", "CONNECT"), (":authority", "naiad:80")])],
         [*MALFORMED, http_status(1, "405", "501"), grpc_status(1, 12)]),
]  # fmt: skip

LENGTHS = [
    Case("8.1.1", "content-length, right", [live(1, call(add=[("content-length", "5")]))], [served()]),
    bad_call("8.1.1", "content-length longer than DATA", call(add=[("content-length", "6")])),
    bad_call("8.1.1", "content-length shorter than DATA", call(add=[("content-length", "4")])),
    Case("8.1.1", "content-length of several frames is wrong",
         [headers(1, call(add=[("content-length", "4")])) + data(1, message()[:3])
         + data(1, message()[3:], end=True)],
         MALFORMED),
    Case("8.1.1", "content-length without DATA",
         [headers(1, call(add=[("content-length", "5")]), end=True)], MALFORMED),
    bad_call("8.1.1", "content-length: 5x", call(add=[("content-length", "5x")])),
    bad_call("8.1.1", "content-length: -1", call(add=[("content-length", "-1")])),
    bad_call("8.1.1", "content-length: 2^64", call(add=[("content-length", str(1 << 64))])),
    bad_call("8.1.1", "two content-lengths", call(add=[("content-length", "5"), ("content-length", "6")])),
]  # fmt: skip


def packed(section: str, what: str, content: bytes) -> Case:
    """A block that cannot be decoded."""
    return Case(section, what, [live(1, content)], [COMPRESSION])


def fine(section: str, what: str, content: bytes) -> Case:
    """A block that can."""
    return Case(section, what, [live(1, content)], [served()])


X_TEST = b"\x06x-test"
# A call without its content type, of which nothing goes into the dynamic table; and that, which does.
PLAIN = (
    b"\x83\x86"
    + literal(b":path", b"/inference.GRPCInferenceService/ServerLive")
    + literal(b":authority", b"naiad")
    + literal(b"te", b"trailers")
)
CONTENT_TYPE = b"\x40\x0ccontent-type\x10application/grpc"
NEWEST = b"\xbe"

HPACK = [
    packed("7541 2.3.3", "an index beyond both tables", LIVE + b"\xff\x80\x01"),
    packed("7541 2.3.3", "a name's index beyond both tables", LIVE + b"\x7f\x80\x01\x01a"),
    packed("7541 2.3.3", "an index into the empty dynamic table", PLAIN + NEWEST),
    packed("7541 4.2", "a table size at the end of a block", LIVE + b"\x20"),
    packed("7541 4.2", "a table size between fields", LIVE[:1] + b"\x20" + LIVE[1:]),
    packed("7541 6.3", "a table size above the setting", b"\x3f\xff\xff\x7f" + LIVE),
    fine("7541 6.3", "table sizes 0 and 4096", b"\x20\x3f\xe1\x1f" + LIVE),
    packed("7541 5.1", "an integer beyond 2^32", LIVE + b"\xff" + b"\xff" * 9 + b"\x7f"),
    packed("7541 5.1", "an integer without an end", LIVE + b"\xff" + b"\x80" * 200),
    packed("7541 5.2", "a string longer than the block", LIVE + b"\x00\x7f\xff\x7fx-test"),
    packed("7541 5.2", "padding of more than 7 bits", LIVE + b"\x00" + X_TEST + b"\x82\x1f\xff"),
    packed("7541 5.2", "padding of zeros", LIVE + b"\x00" + X_TEST + b"\x81\x18"),
    packed("7541 5.2", "the end symbol of the code", LIVE + b"\x00" + X_TEST + b"\x84\xff\xff\xff\xff"),
    packed("7541 6.1", "index 0", LIVE + b"\x80"),
    fine("7541 6.1", "the last static index", LIVE + b"\xbd"),
    fine("7541 6.2.1", "a field larger than the table", LIVE + b"\x40" + X_TEST + b"\x7f\xa1\x1f"
         + b"a" * 4128),
    fine("7541 6.2.2", "a literal without indexing", LIVE + b"\x00" + X_TEST + b"\x01a"),
    fine("7541 6.2.3", "a literal never indexed", LIVE + b"\x10" + X_TEST + b"\x01a"),
    fine("7541 5.2", "a value in Huffman code", LIVE + b"\x00" + X_TEST + b"\x81\x1f"),
    fine("7541 5.2", "an empty value in Huffman code", LIVE + b"\x00" + X_TEST + b"\x80"),
    Case("7541 2.3.2", "a field of an earlier call, by its index",
         [live(1, PLAIN + CONTENT_TYPE), ended(1), live(3, PLAIN + NEWEST)], [served(3)]),
    Case("7541 2.3.2", "a field of trailers, by its index",
         [OPEN + data(1, message()) + headers(1, CONTENT_TYPE, end=True) + live(3, PLAIN + NEWEST)],
         [served(3)]),
    Case("7541 2.3.2", "a field of a call that was malformed, by its index",
         [live(1, PLAIN + literal(b"upgrade", b"h2c") + CONTENT_TYPE) + live(3, PLAIN + NEWEST)],
         [served(3), PROTOCOL]),
    Case("7541 2.3.2", "a field of a call that was reset, by its index",
         [headers(1, PLAIN + CONTENT_TYPE) + reset(1) + headers(3, PLAIN + NEWEST)
         + data(3, message(), end=True)],
         [served(3)]),
    Case("7541 4.4", "a field that was pushed out, by its index",
         [live(1, PLAIN + CONTENT_TYPE), ended(1), live(3, b"\x20\x3f\xe1\x1f" + PLAIN + NEWEST)],
         [COMPRESSION]),
]  # fmt: skip

CASES = [*MESSAGES, *FIELDS, *PSEUDO, *LENGTHS, *HPACK]
