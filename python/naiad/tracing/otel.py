"""Traces of mode ``opentelemetry``: exported as spans by OpenTelemetry's SDK over OTLP/HTTP.

A trace is a span ``InferRequest`` from the first byte to the last, in it one for each model, and in those
``compute`` for each execution. Events have the names of Triton's marks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from naiad.errors import Unsupported
from naiad.settings import TraceSettings
from naiad.tracing.record import TraceRecord, TraceSpan

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState
except ImportError as error:
    raise Unsupported(
        f"trace mode opentelemetry needs the packages of the extra 'otel': pip install naiad[otel] ({error})"
    ) from error

_SCOPE = InstrumentationScope("triton-server")
_SERVICE = "triton-inference-server"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_OF_MODEL = frozenset({"REQUEST_START", "QUEUE_START", "REQUEST_END"})
_OF_COMPUTE = frozenset({"COMPUTE_START", "COMPUTE_INPUT_END", "COMPUTE_OUTPUT_START", "COMPUTE_END"})

_Marks = Sequence[tuple[str, int]]


class SpanExport:
    """Gives traces to a batch span processor, which exports them by a thread of its own."""

    def __init__(self, settings: TraceSettings) -> None:
        self._resource = Resource.create({SERVICE_NAME: _SERVICE, **dict(settings.resource)})
        self._ids = RandomIdGenerator()
        self._processor = BatchSpanProcessor(
            OTLPSpanExporter(endpoint=settings.url),
            max_queue_size=settings.bsp_max_queue_size,
            schedule_delay_millis=settings.bsp_schedule_delay_ms,
            max_export_batch_size=settings.bsp_max_export_batch_size,
        )

    def begin(self, number: int, log_frequency: int, is_counted: bool) -> None:
        """Settings make no difference to how spans are exported."""

    def complete(self, number: int) -> None:
        """As begin()."""

    def end(self, number: int) -> None:
        """As begin()."""

    def add(self, number: int, record: TraceRecord) -> None:
        """A trace."""
        for span in self._spans(record):
            self._processor.on_end(span)

    def close(self) -> None:
        """Exports what is left."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _spans(self, record: TraceRecord) -> Iterable[ReadableSpan]:
        # Spans are on the wall clock, marks on the steady one.
        offset_ns = time.time_ns() - time.monotonic_ns()
        state = TraceState.from_header([record.state]) if record.state else TraceState()

        def context(span_id: int, is_remote: bool = False) -> SpanContext:
            flags = TraceFlags(record.parent_flags) if is_remote else _SAMPLED
            return SpanContext(record.trace_id, span_id, is_remote, flags, state)

        def span(
            name: str,
            span_id: int,
            parent: SpanContext | None,
            marks: _Marks,
            kind: SpanKind,
            attributes: dict[str, str | int] | None = None,
        ) -> ReadableSpan:
            times = [at_ns + offset_ns for _, at_ns in marks]
            return ReadableSpan(
                name=name,
                context=context(span_id),
                parent=parent,
                resource=self._resource,
                attributes=attributes or {},
                events=[Event(mark, timestamp=at_ns + offset_ns) for mark, at_ns in marks],
                kind=kind,
                start_time=min(times),
                end_time=max(times),
                instrumentation_scope=_SCOPE,
            )

        root = context(record.span_id)
        places = {each.id: context(each.span_id) for each in record.spans}
        every_mark = [mark for each in record.spans for mark in each.marks]
        if not every_mark:
            return
        edge = [
            mark
            for each in record.spans
            if each.parent_id == 0
            for mark in each.marks
            if mark[0] not in _OF_MODEL | _OF_COMPUTE
        ]
        client = context(record.parent_span_id, is_remote=True) if record.parent_span_id else None
        whole = span("InferRequest", record.span_id, client, edge or every_mark, SpanKind.SERVER)
        yield whole
        for each in record.spans:
            place = places[each.id]
            marks = [mark for mark in each.marks if mark[0] in _OF_MODEL]
            if marks:
                parent = places.get(each.parent_id, root)
                yield span(each.model_name, each.span_id, parent, marks, SpanKind.INTERNAL, _attributes(each))
            for execution in _executions(each.marks):
                yield span("compute", self._ids.generate_span_id(), place, execution, SpanKind.INTERNAL)


def _attributes(span: TraceSpan) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "triton.model_name": span.model_name,
        "triton.model_version": span.model_version,
        "triton.trace_id": span.id,
        "triton.trace_parent_id": span.parent_id,
    }
    if span.request_id:
        attributes["triton.request_id"] = span.request_id
    return attributes


def _executions(marks: _Marks) -> list[_Marks]:
    """The marks of each execution, of which a request of an iterative model has several."""
    executions: list[list[tuple[str, int]]] = []
    for mark in marks:
        if mark[0] == "COMPUTE_START":
            executions.append([])
        if mark[0] in _OF_COMPUTE and executions:
            executions[-1].append(mark)
    return [*executions]
