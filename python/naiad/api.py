"""The in-process API: models behind the server's queue and batcher, without a network.

Any thread may use a ``Server`` and its ``Model`` objects, several at a time; requests of several threads or
tasks are joined to batches as those of network clients are. Failures are the classes of ``naiad.errors``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from naiad.composition import build_core
from naiad.engine import ParameterValue, Result, Tensor, infer_many
from naiad.errors import InvalidArgument, NaiadError, Stopping
from naiad.handlers.callbacks import CallbackThread
from naiad.handlers.control import ControlPlane
from naiad.handlers.loop_requests import LoopRequests
from naiad.handlers.response_streams import ResponseStream
from naiad.settings import ControlMode, CoreSettings, RepositorySettings, SchedulingSettings, ServerSettings

RepositoryPath = str | os.PathLike[str]


class InferenceResult(Mapping[str, NDArray[Any]]):
    """The outputs of one request: a mapping of name to numpy array.

    Arrays are read-only views of the tensors, without a copy; BYTES tensors are object arrays of ``bytes``,
    and BF16 ones UINT16 arrays of the bits. ``tensor(name)`` is for other frameworks, by DLPack.
    """

    __slots__ = ("_outputs", "_result")

    def __init__(self, result: Result) -> None:
        self._result = result
        self._outputs = result.outputs

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._outputs[name].numpy()

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}: {tensor.datatype}{list(tensor.shape)}" for name, tensor in self._outputs.items()
        )
        return f"InferenceResult({shown})"

    def tensor(self, name: str) -> Tensor:
        """The output as a tensor with ``__dlpack__``: ``torch.from_dlpack(result.tensor("y"))``. KeyError."""
        return self._outputs[name]

    @property
    def request_id(self) -> str:
        return self._result.id

    @property
    def parameters(self) -> dict[str, ParameterValue]:
        """What the model sent along with its outputs."""
        return self._result.parameters


class Model:
    """A model of a server, by name: whatever version serves when it is used."""

    __slots__ = ("_server", "_version", "name")

    def __init__(self, server: Server, name: str, version: str) -> None:
        self.name = name
        self._server = server
        self._version = version

    def infer(
        self,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] | None = None,
        request_id: str = "",
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> InferenceResult:
        """Runs one request and waits for its answer, without the GIL.

        ``inputs``: input name -> numpy array, row-major CPU tensor with ``__dlpack__``, or other buffer, of
        the datatype and shape in ``metadata``; for BYTES, object arrays of ``bytes`` or ``str``. What is
        C-contiguous is not copied: leave it alone until the answer is there. ``outputs``: those wanted;
        None for all.
        """
        return InferenceResult(
            self._server._core.engine.infer(
                self.name,
                self._version,
                dict(inputs),
                outputs=outputs or (),
                request_id=request_id,
                parameters=parameters,
            )
        )

    def infer_many(
        self, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[str] | None = None
    ) -> list[InferenceResult]:
        """One request for each of ``inputs``, all queued before any is waited for, so that they share
        batches; answers in the same order. Raises the first failure, when all have ended.
        """
        answers = infer_many(
            self._server._core.engine,
            self.name,
            self._version,
            [dict(one) for one in inputs],
            outputs=outputs or (),
        )
        results = []
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
            results.append(InferenceResult(answer))
        return results

    def submit(
        self,
        inputs: Mapping[str, Any],
        done: Callable[[InferenceResult | NaiadError], object],
        outputs: Sequence[str] | None = None,
    ) -> None:
        """``infer`` that does not wait: ``done`` is called once with the result, or with the failure, on a
        thread of the server's that does nothing else; it should be short. Raises at once what refuses the
        request. What ``done`` raises is logged.
        """

        def show(outcome: Result | NaiadError) -> None:
            done(InferenceResult(outcome) if isinstance(outcome, Result) else outcome)

        self._server._callbacks().submit(self.name, self._version, dict(inputs), outputs or (), show)

    async def ainfer(
        self,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] | None = None,
        request_id: str = "",
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> InferenceResult:
        """``infer`` for coroutines. One that is cancelled takes its request back, if no batch has it yet."""
        result = await self._server._requests().infer(
            self.name,
            self._version,
            dict(inputs),
            outputs=outputs or (),
            request_id=request_id,
            parameters=parameters,
        )
        return InferenceResult(result)

    def stream(
        self,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] | None = None,
        request_id: str = "",
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> Iterator[InferenceResult]:
        """The responses of a decoupled model to one request, each as soon as it is there; one of any other.

        Submits the request at once, and raises what refuses it. A failure is raised behind the responses
        before it. Left early (``break``, ``close()``), the request is cancelled.
        """
        stream = self._stream(inputs, outputs, request_id, parameters)
        return (InferenceResult(result) for result in stream.results())

    async def astream(
        self,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] | None = None,
        request_id: str = "",
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> AsyncGenerator[InferenceResult, None]:
        """``stream`` for coroutines."""
        stream = self._stream(inputs, outputs, request_id, parameters)
        async with contextlib.aclosing(stream.aresults()) as results:
            async for result in results:
                yield InferenceResult(result)

    def _stream(
        self,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] | None,
        request_id: str,
        parameters: Mapping[str, ParameterValue] | None,
    ) -> ResponseStream:
        return ResponseStream(
            self._server._core.engine,
            self.name,
            self._version,
            dict(inputs),
            outputs=outputs or (),
            request_id=request_id,
            parameters=parameters,
        )

    @property
    def ready(self) -> bool:
        """Whether requests are served. Raises NotFound when the model or the version is gone."""
        return self._server._core.repository.is_ready(self.name, self._version)

    @property
    def metadata(self) -> dict[str, Any]:
        """Name, versions, platform; inputs and outputs with name, datatype and shape (-1: any size)."""
        self._server._bring(self.name)
        return self._server._control.model_metadata(self.name, self._version)

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration, with what was completed: the JSON of ``GET /v2/models/{name}/config``."""
        self._server._bring(self.name)
        return self._server._control.model_config(self.name, self._version).to_json()

    def statistics(self) -> dict[str, Any]:
        """Counts and durations in nanoseconds since loading: one entry of ``GET /v2/models/{name}/stats``."""
        served = self._server._core.repository.find(self.name, self._version)
        found: list[dict[str, Any]] = self._server._control.statistics(self.name, str(served.version))[
            "model_stats"
        ]
        return found[0]

    def __repr__(self) -> str:
        version = f", version={self._version}" if self._version else ""
        return f"Model('{self.name}'{version})"


class Server:
    """Models of one or more repositories, loaded into this process. No port is opened.

    Ends with ``close`` or the ``with`` block, or else with the program.
    """

    def __init__(
        self,
        model_repository: RepositoryPath | Sequence[RepositoryPath],
        *,
        control_mode: ControlMode = "none",
        load_models: Sequence[str] = (),
        exit_on_error: bool = True,
        auto_complete: bool = True,
        backend_config: Mapping[str, Mapping[str, str]] | None = None,
        load_threads: int = 4,
        memory_limit_bytes: int = 0,
        pool_bytes: int = 0,
        cache_bytes: int = 0,
    ) -> None:
        """Loads the models; blocks until they serve.

        ``control_mode``: "none" loads all, "explicit" the ``load_models`` (``["*"]``: all), "ondemand" these
        and every other model with its first request. ``memory_limit_bytes``: of main memory, that models may
        take together, headroom included; 0: as much as they want.
        ``exit_on_error``: raise InvalidArgument when a model cannot be loaded; if not, the others are served.
        ``backend_config``: backend name -> option -> value, those under "" are for all. ``pool_bytes``: bound
        of the memory for tensors; 0 takes a share of the machine's. ``cache_bytes``: bound of the answers
        that are kept for models with ``response_cache``; 0: none are.
        """
        given = [model_repository] if isinstance(model_repository, (str, os.PathLike)) else model_repository
        paths = tuple(Path(path) for path in given)
        if not paths:
            raise InvalidArgument("Server: no model repository is given")
        self._settings = ServerSettings(
            repository=RepositorySettings(
                model_repositories=paths,
                control_mode=control_mode,
                load_models=tuple(load_models),
                exit_on_error=exit_on_error,
                auto_complete=auto_complete,
                backend_config=dict(backend_config or {}),
                load_threads=load_threads,
                memory_limit_bytes=memory_limit_bytes,
            ),
            core=CoreSettings(pool_bytes=pool_bytes),
            scheduling=SchedulingSettings(cache_bytes=cache_bytes),
        )
        self._planes: dict[asyncio.AbstractEventLoop, LoopRequests] = {}
        self._planes_lock = threading.Lock()
        self._callback_thread: CallbackThread | None = None
        self._closed = False
        self._core = build_core(self._settings)
        # The threads of models in Python must end before the interpreter does.
        weakref.finalize(self, self._core.close)
        self._control = ControlPlane(self._core.repository, self._settings)
        try:
            self._core.load_models()
            self._core.keep_up()
        except BaseException:
            self.close()
            raise

    def model(self, name: str, version: int | str | None = None) -> Model:
        """A model that is served; ``version`` None is the highest at each request. One that is loaded on
        demand is loaded now. NotFound, NotReady, Unavailable.
        """
        wanted = "" if version is None else str(version)
        self._bring(name)
        self._core.repository.find(name, wanted)
        return Model(self, name, wanted)

    def _bring(self, name: str) -> None:
        if self._control.must_bring(name):
            self._control.bring(name)

    def models(self) -> list[Model]:
        """All that are served, by name."""
        names = dict.fromkeys(served.name for served in self._core.repository.loaded())
        return [Model(self, name, "") for name in names]

    def load(self, name: str, config: str | None = None) -> None:
        """Loads a model, or loads it again if its files changed, without dropping a request; blocks until
        then.

        ``config``: a configuration as JSON in place of config.pbtxt. Raises InvalidArgument with the reason;
        what served before serves on.
        """
        self._core.repository.load(name, config)

    def unload(self, name: str) -> None:
        """Finishes the requests that a model has, and ends it; blocks until then."""
        self._core.repository.unload(name)

    def close(self) -> None:
        """Finishes the requests there are and ends the models; blocks until then. Idempotent."""
        self._closed = True
        self._core.end_models()
        with self._planes_lock:
            planes, self._planes = self._planes, {}
            callbacks, self._callback_thread = self._callback_thread, None
        for loop, plane in planes.items():
            _close_plane(loop, plane)
        if callbacks is not None:
            callbacks.close()
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _callbacks(self) -> CallbackThread:
        with self._planes_lock:
            if self._closed:
                raise Stopping("the server is closed")
            if self._callback_thread is None:
                self._callback_thread = CallbackThread(self._core.engine)
            return self._callback_thread

    def _requests(self) -> LoopRequests:
        """The running event loop's own. The loop's thread."""
        loop = asyncio.get_running_loop()
        plane = self._planes.get(loop)
        return plane if plane is not None else self._open_plane(loop)

    def _open_plane(self, loop: asyncio.AbstractEventLoop) -> LoopRequests:
        if self._closed:
            raise Stopping("the server is closed")
        plane = LoopRequests(self._core.engine)
        plane.open()
        with self._planes_lock:
            # A loop that was closed will not come back: asyncio.run makes a new one each time.
            for old in [other for other in self._planes if other.is_closed()]:
                del self._planes[old]
            self._planes[loop] = plane
        return plane


def _close_plane(loop: asyncio.AbstractEventLoop, plane: LoopRequests) -> None:
    if loop.is_closed():
        return
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is loop or not loop.is_running():
        plane.close()
    else:
        loop.call_soon_threadsafe(plane.close)
