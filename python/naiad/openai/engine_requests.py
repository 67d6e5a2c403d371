"""Requests of this API to models of the engine. One event loop's."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from naiad.engine import Engine
from naiad.handlers.loop_requests import LoopRequests
from naiad.handlers.response_streams import ResponseStream

Arrays = dict[str, NDArray[Any]]
"""Output name to array; BYTES are object arrays of ``bytes``."""


class ModelRequests(Protocol):
    """What answers requests."""

    def stream(self, model: str, inputs: Mapping[str, Any]) -> AsyncGenerator[Arrays, None]:
        """Every response to one request. Left early, the request is cancelled."""
        ...

    async def infer(self, model: str, inputs: Mapping[str, Any], output: str) -> NDArray[Any]:
        """One output of the one response to a request."""
        ...


class EngineRequests:
    """Submits to the engine itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._single = LoopRequests(engine)

    def open(self) -> None:
        """Listens for answers on the running event loop."""
        self._single.open()

    def close(self) -> None:
        """Stops listening; who still waits is told so."""
        self._single.close()

    async def stream(self, model: str, inputs: Mapping[str, Any]) -> AsyncGenerator[Arrays, None]:
        """As ``ModelRequests`` says. Raises what refuses the request when it is first asked."""
        stream = ResponseStream(self._engine, model, "", inputs)
        async with contextlib.aclosing(stream.aresults()) as results:
            async for result in results:
                yield {name: tensor.numpy() for name, tensor in result.outputs.items()}

    async def infer(self, model: str, inputs: Mapping[str, Any], output: str) -> NDArray[Any]:
        """As ``ModelRequests`` says."""
        result = await self._single.infer(model, "", inputs, outputs=(output,))
        return result.outputs[output].numpy()
