"""A request that somebody makes on the page: run within the process, its responses one line each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from naiad.engine import Engine, TraceWatch
from naiad.errors import InvalidArgument, NaiadError
from naiad.handlers.response_streams import ResponseStream
from naiad.tracing.record import TraceSpan, read_record
from naiad.ui.origin import PAGE_FIELDS
from naiad.ui.tensors import read_inputs, show_output

Json = dict[str, Any]

_TRACE_WAIT_S = 1.0
_STAGES = (
    ("QUEUE_START", "queued_us"),
    ("COMPUTE_START", "compute_us"),
    ("COMPUTE_INPUT_END", "inputs_ready_us"),
    ("COMPUTE_OUTPUT_START", "outputs_ready_us"),
    ("COMPUTE_END", "computed_us"),
    ("REQUEST_END", "end_us"),
)


class Trials:
    """Runs them. The event loop's thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.num_in_flight = 0
        """Requests that are being answered."""

    async def answer(
        self, request: web.BaseRequest, model: str, version: str, given: Mapping[str, Any]
    ) -> web.StreamResponse:
        """Lines of JSON: ``{"outputs", "parameters", "ms"}`` for each response, then ``{"end", "ms",
        "spans"}``, or ``{"error"}`` when the model fails behind the first response. What fails before it is
        raised. A client that goes takes the request back.
        """
        self.num_in_flight += 1
        try:
            return await self._answer(request, model, version, given)
        finally:
            self.num_in_flight -= 1

    async def _answer(
        self, request: web.BaseRequest, model: str, version: str, given: Mapping[str, Any]
    ) -> web.StreamResponse:
        unknown = given.keys() - {"inputs", "parameters"}
        if unknown:
            raise InvalidArgument(f"unknown field '{sorted(unknown)[0]}', expected 'inputs' and 'parameters'")
        parameters = given.get("parameters", {})
        if not isinstance(parameters, dict):
            raise InvalidArgument("'parameters' should be an object")
        inputs = await asyncio.to_thread(read_inputs, given.get("inputs"))
        begun = time.monotonic()
        watch = TraceWatch()
        stream = ResponseStream(
            self._engine, model, version, inputs, parameters=parameters or None, watch=watch
        )
        response = web.StreamResponse(headers=PAGE_FIELDS | {"Cache-Control": "no-store"})
        response.content_type = "application/x-ndjson"
        async with contextlib.aclosing(stream.aresults()) as results:
            first = await anext(results, None)
            await response.prepare(request)
            try:
                while first is not None:
                    outputs = [show_output(tensor) for tensor in first.outputs.values()]
                    ms = _ms(begun)
                    await _line(response, {"outputs": outputs, "parameters": first.parameters, "ms": ms})
                    first = await anext(results, None)
            except NaiadError as error:
                await _line(response, {"error": error.message})
                await response.write_eof()
                return response
        ms = _ms(begun)
        # What is left of the request goes with its last response.
        del first, stream, results
        noted = await asyncio.to_thread(watch.take, _TRACE_WAIT_S)
        spans = [] if noted is None else _spans(read_record(noted).spans)
        await _line(response, {"end": True, "ms": ms, "spans": spans})
        await response.write_eof()
        return response


async def _line(response: web.StreamResponse, value: Json) -> None:
    await response.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")


def _ms(begun: float) -> float:
    return round((time.monotonic() - begun) * 1000, 3)


def _spans(spans: tuple[TraceSpan, ...]) -> list[Json]:
    """Of the request and those it led to: microseconds from its begin. Stages not passed are not there."""
    if not spans:
        return []
    starts = [dict(span.marks).get("REQUEST_START", span.marks[0][1]) for span in spans if span.marks]
    zero = min(starts, default=0)
    shown = []
    for span in spans:
        marks = dict(span.marks)
        times = {key: round((marks[mark] - zero) / 1000, 1) for mark, key in _STAGES if mark in marks}
        begin = marks.get("REQUEST_START", zero)
        shown.append(
            {
                "id": span.id,
                "parent": span.parent_id,
                "model": span.model_name,
                "version": str(span.model_version),
                "start_us": round((begin - zero) / 1000, 1),
            }
            | times
        )
    return shown
