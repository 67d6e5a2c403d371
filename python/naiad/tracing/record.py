"""What the core has noted of a client's request, and of the requests that it led to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from naiad.engine import TraceRecord as Noted
    from naiad.engine import TraceSpan as NotedSpan


@dataclass(frozen=True, slots=True)
class TracedTensor:
    """A tensor as it was."""

    is_input: bool
    at_ns: int
    name: str
    datatype: str
    """The wire name."""
    shape: tuple[int, ...]
    data: bytes
    """Little-endian, row-major."""


@dataclass(frozen=True, slots=True)
class TraceSpan:
    """One request."""

    id: int
    parent_id: int
    """0: the client's own."""
    span_id: int
    """In the W3C's trace context; 0: there is none."""
    model_name: str
    model_version: int
    request_id: str
    marks: tuple[tuple[str, int], ...]
    """Triton's names and steady nanoseconds, in the order of time."""
    tensors: tuple[TracedTensor, ...]


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """A client's request first, then those that it led to in the order in which they began."""

    spans: tuple[TraceSpan, ...]
    trace_id: int
    """Of the trace context, 128 bits; 0: there is none."""
    span_id: int
    """What spans all others."""
    parent_span_id: int
    """The client's; 0: the trace began here."""
    parent_flags: int
    state: str
    """The header field "tracestate" as it came."""


def read_record(noted: Noted) -> TraceRecord:
    """From the form in which the core gives it."""
    return TraceRecord(
        spans=tuple(sorted((_read_span(span) for span in noted["spans"]), key=lambda span: span.id)),
        trace_id=int.from_bytes(noted["trace_id"], "big"),
        span_id=noted["span_id"],
        parent_span_id=noted["parent_span_id"],
        parent_flags=noted["parent_flags"],
        state=noted["state"],
    )


def _read_span(span: NotedSpan) -> TraceSpan:
    return TraceSpan(
        id=span["id"],
        parent_id=span["parent_id"],
        span_id=span["span_id"],
        model_name=span["model_name"],
        model_version=span["model_version"],
        request_id=span["request_id"],
        marks=tuple(sorted(span["marks"], key=lambda mark: mark[1])),
        tensors=tuple(
            TracedTensor(is_input, at_ns, name, datatype, tuple(shape), data)
            for is_input, at_ns, name, datatype, shape, data in span["tensors"]
        ),
    )
