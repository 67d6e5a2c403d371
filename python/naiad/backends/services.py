"""What a server offers to the code of its models: calls to other models, and control over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from naiad.errors import NaiadError

GivenTensor = tuple[str, str, Any]
"""Name, wire datatype, numpy array."""


class CallingBatch(Protocol):
    """The batch that a model works on while it calls another one."""

    @property
    def instance(self) -> int:
        """The number by which the core knows the instance; it waits for the call. 0: nobody waits."""

    def cancelled(self) -> bool:
        """Whether nobody waits for any request of the batch any more. The calling thread."""


@dataclass(slots=True)
class ModelCall:
    """A request that a model makes."""

    model: str
    version: str = ""
    """"": the highest that serves."""
    inputs: Sequence[GivenTensor] = ()
    outputs: Sequence[str] = ()
    """Those wanted; none: all."""
    request_id: str = ""
    parameters: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    correlation_id: int | str = 0
    sequence_start: bool = False
    sequence_end: bool = False
    timeout_us: int = 0
    trace_number: int = 0
    """Of the trace of the request for which this one is made; 0: it is not traced with one."""
    batch: CallingBatch | None = None


@dataclass(slots=True)
class ModelAnswer:
    """One response to a call: outputs, or an error."""

    outputs: Sequence[GivenTensor] = ()
    """Arrays are read-only where others may see their memory."""
    parameters: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    error: NaiadError | None = None


class AnswerStream(Iterator[ModelAnswer], Protocol):
    """The responses to a call, each as soon as it is there; an end that brings no outputs is an empty one.
    One thread at a time. What a model does not read makes the called model wait.
    """

    def cancel(self) -> None:
        """Takes the call back. Responses that are there already still come."""


class ModelServices(Protocol):
    """Any thread of a model's. Refused calls raise errors of ``naiad.errors``; a call that failed later has
    an answer with an error.
    """

    def call(self, call: ModelCall) -> ModelAnswer:
        """Blocks until the answer is there, without the GIL. Unsupported for a decoupled model."""

    async def call_async(self, call: ModelCall) -> ModelAnswer:
        """The same for the running event loop."""

    def stream(self, call: ModelCall) -> AnswerStream:
        """A call that has any number of responses."""

    def load(self, name: str, config: str, files: Mapping[str, bytes]) -> None:
        """Loads a model, or loads it again; blocks. ``config``: JSON in place of config.pbtxt, or ""."""

    def unload(self, name: str, unload_dependents: bool) -> None:
        """Unloads a model; blocks until it has ended."""

    def is_ready(self, name: str, version: str) -> bool:
        """Whether requests to it are served."""
