"""Stand-ins of the core for the tests of the backends."""

from __future__ import annotations

from typing import Any

import numpy as np

from naiad.errors import InvalidArgument


class FakeRequest:
    """A RequestView that remembers how it was answered."""

    def __init__(
        self,
        inputs: dict[str, Any] | None = None,
        *,
        requested_outputs: list[str] | None = None,
        known_outputs: tuple[str, ...] = ("Y", "Z"),
        **attributes: Any,
    ) -> None:
        self._inputs = [
            (name, *value) if isinstance(value, tuple) else (name, "FP32", value)
            for name, value in (inputs or {}).items()
        ]
        for _, _, array in self._inputs:
            array.flags.writeable = False
        self._known_outputs = known_outputs
        self.requested_outputs = requested_outputs or []
        self.id = attributes.get("id", "")
        self.sequence_id = attributes.get("sequence_id", 0)
        self.sequence_name = attributes.get("sequence_name", "")
        self.sequence_start = attributes.get("sequence_start", False)
        self.sequence_end = attributes.get("sequence_end", False)
        self.timeout_us = attributes.get("timeout_us", 0)
        self.parameters = attributes.get("parameters", {})
        self.trace_number = attributes.get("trace_number", 0)
        self.trace_parent = attributes.get("trace_parent", "")
        self.trace_state = attributes.get("trace_state", "")
        self.cancelled = attributes.get("cancelled", False)
        self.can_reschedule = attributes.get("can_reschedule", False)
        self.reads = 0
        self.outputs: dict[str, tuple[str, np.ndarray[Any, Any]]] = {}
        self.answer_parameters: dict[str, Any] = {}
        self.failure: tuple[str, str] | None = None
        self.sender: FakeSender | None = None

    def inputs(self) -> list[tuple[str, str, Any]]:
        self.reads += 1
        return list(self._inputs)

    def output(self, name: str, datatype: str, array: Any) -> None:
        if name not in self._known_outputs:
            raise InvalidArgument(f"unknown output {name}")
        if datatype == "INT8":
            raise InvalidArgument("the configuration says otherwise")
        self.outputs[name] = (datatype, array)

    def parameter(self, name: str, value: Any) -> None:
        self.answer_parameters[name] = value

    def fail(self, code: str, message: str) -> None:
        self.failure = (code, message)

    def keep(self) -> FakeSender:
        assert self.sender is None
        self.sender = FakeSender()
        return self.sender


class FakeSender:
    """A ResponseSender of the core that remembers what it was given."""

    def __init__(self) -> None:
        self.cancelled = False
        self.is_full = False
        self.given: list[Any] = []
        """Of each call: ({name: values}, parameters) or (code, message), and whether it was the last."""
        self.ended = False

    def send(self, outputs: list[tuple[str, str, Any]], parameters: Any, *, last: bool) -> None:
        self._give(({name: array.tolist() for name, _, array in outputs}, parameters), last)

    def fail(self, code: str, message: str, *, last: bool) -> None:
        self._give((code, message), last)

    def finish(self) -> None:
        self._give(None, True)

    def _give(self, what: Any, last: bool) -> None:
        if self.ended:
            raise InvalidArgument("Unable to send response. Response sender has been closed.")
        self.ended = last
        self.given.append((what, last))
