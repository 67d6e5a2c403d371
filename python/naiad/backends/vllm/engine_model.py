"""One engine and the requests that it works on: what a worker of the vllm backend runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvloop

from naiad.backends.python.coroutines import Coroutines
from naiad.backends.python.failure import encodable
from naiad.backends.python.inference_request import ReceivedRequest
from naiad.backends.python.response_sender import COMPLETE_FINAL, InferenceResponseSender
from naiad.backends.vllm.contract import GENERATE
from naiad.backends.vllm.direct_outputs import DirectOutputs
from naiad.backends.vllm.framework import Framework
from naiad.backends.vllm.generation import Answers, read_generation, read_images
from naiad.backends.vllm.metrics import EngineMetrics
from naiad.backends.vllm.pooling import pooled_response, read_pooling
from naiad.backends.vllm.sampling import SamplingReader
from naiad.errors import Cancelled, InvalidArgument, NaiadError, Unavailable

_log = logging.getLogger("naiad.backends.vllm")

_LOOK_EVERY_S = 0.05
"""How soon a client that has gone, or a dead engine, is noticed."""
_REPORT_EVERY_S = 0.5
_LAST_ANSWERS_S = 2.0
_DIED_STATUS = 70


@dataclass(frozen=True)
class EngineModel:
    """What the requests of one model need besides its engine."""

    name: str
    task: str
    adapters: dict[str, str] | None
    """LoRA adapters by name; None: not enabled."""
    sampling: SamplingReader | None
    """Of a model that generates."""
    framework: Framework
    metrics: EngineMetrics | None = None


class EngineRunner:
    """A model object for ``PythonModelInstance``: every request is a coroutine on one event loop, and the
    engine forms its batches of them.

    An engine whose processes have died can not be started again within its process: the process ends, for the
    server to start another one.
    """

    def __init__(
        self, model: EngineModel, engine: Any, instance: str, *, leave: Callable[[int], object] = os._exit
    ) -> None:
        """``engine`` has loaded its model. ``leave`` ends the process. Raises what the engine raises."""
        self._model = model
        self._engine = engine
        self._leave = leave
        self._running: dict[asyncio.Task[Any], InferenceResponseSender] = {}
        self._num_requests = 0
        self._metrics = model.metrics
        self._is_stopping = False
        self._made_adapters: dict[str, Any] = {}
        self._coroutines = Coroutines(instance, uvloop.new_event_loop())  # what vLLM's own server runs on
        try:
            self._coroutines.run(self._begin())
        except BaseException:
            self._coroutines.close()
            raise
        self._coroutines.start(self._watch(), self._watch_failed)

    def execute(self, requests: list[ReceivedRequest]) -> None:
        """Begins to answer them; never blocks. The thread of the instance."""
        for request in requests:
            sender = request.get_response_sender()
            self._coroutines.start(self._serve(request, sender), partial(self._failed, sender))

    def finalize(self) -> None:
        """Ends the engine; what still runs fails. The thread that has started the engine; blocks."""
        self._coroutines.run(self._cancel_running())
        self._coroutines.close()
        self._engine.shutdown()

    async def _begin(self) -> None:
        supported = await self._engine.get_supported_tasks()
        if self._model.task not in supported:
            raise InvalidArgument(
                f"model '{self._model.name}': its task is '{self._model.task}', but the engine supports "
                f'{", ".join(supported)}: model.json must say which with "task"'
            )
        # What the engine has tried itself with.
        await self._engine.reset_mm_cache()

    async def _serve(self, request: ReceivedRequest, sender: InferenceResponseSender) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._is_stopping:
            _fail(sender, Unavailable(f"model '{self._model.name}' is being unloaded"))
            return
        self._running[task] = sender
        try:
            await self._answer(request, sender)
        except asyncio.CancelledError:
            if not sender.is_cancelled():
                _fail(sender, Unavailable(f"model '{self._model.name}' is being unloaded"))
                raise
            _fail(sender, Cancelled("Request was cancelled"))
        except NaiadError as error:
            _fail(sender, error)
        except self._model.framework.dead_error:
            _fail(sender, self._died())
        except self._model.framework.refusal as error:
            _fail(sender, Unavailable(f"model '{self._model.name}': {error}"))
        except self._model.framework.client_errors as error:
            _fail(sender, InvalidArgument(f"model '{self._model.name}': {error}"))
        finally:
            del self._running[task]

    async def _answer(self, request: ReceivedRequest, sender: InferenceResponseSender) -> None:
        self._num_requests += 1
        number = str(self._num_requests)
        if self._model.task != GENERATE:
            await self._pool(request, sender, number)
            return
        assert self._model.sampling is not None
        wanted = read_generation(request)
        sampling = self._model.sampling.read(wanted.parameters, stream=wanted.stream)
        adapter = self._adapter(sampling.adapter)
        images = await asyncio.to_thread(read_images, wanted.images) if wanted.images else ()
        prompt = await self._model.framework.prompt(
            self._engine, wanted.text, images, add_special_tokens=sampling.add_special_tokens
        )
        answers = Answers(wanted, sampling.parameters.n)
        collector = await self._engine.add_request(
            number, prompt, sampling.parameters, prompt_text=wanted.text, lora_request=adapter
        )

        def send(output: Any) -> None:
            sender.send(answers.response(output), flags=COMPLETE_FINAL if output.finished else 0)

        try:
            await DirectOutputs(collector, send, sender._is_full).wait()
        except self._model.framework.dead_error:
            raise
        except BaseException:
            await self._engine.abort(collector.request_id, internal=True)
            raise

    async def _pool(self, request: ReceivedRequest, sender: InferenceResponseSender, number: str) -> None:
        task = self._model.task
        wanted = read_pooling(request, task, self._model.framework)
        prompt = await self._model.framework.prompt(self._engine, wanted.text)
        outputs = self._engine.encode(prompt, wanted.parameters, number)
        # A generator that is not left by its end aborts its request when it is closed.
        async with contextlib.aclosing(outputs) as given:
            async for output in given:
                flags = COMPLETE_FINAL if output.finished else 0
                sender.send(pooled_response(wanted, task, output), flags=flags)

    def _adapter(self, name: str | None) -> Any | None:
        """Raises InvalidArgument in the words of Triton."""
        if name is None:
            return None
        adapters = self._model.adapters
        if adapters is None:
            raise InvalidArgument("LoRA feature is not enabled.")
        if name not in adapters:
            raise InvalidArgument(f"LoRA {name} is not supported, we currently support {list(adapters)}")
        made = self._made_adapters.get(name)
        if made is None:
            number = list(adapters).index(name) + 1
            made = self._made_adapters[name] = self._model.framework.adapter_type(
                name, number, adapters[name]
            )
        return made

    async def _watch(self) -> None:
        """Takes requests of clients that have gone back from the engine, and ends with it."""
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if self._engine.errored:
                await self._end()
            for task, sender in list(self._running.items()):
                if sender.is_cancelled() and not task.cancelling():
                    task.cancel()
            looks += 1
            if self._metrics is not None and looks * _LOOK_EVERY_S >= _REPORT_EVERY_S:
                looks = 0
                await self._report(self._metrics)

    async def _report(self, metrics: EngineMetrics) -> None:
        try:
            await asyncio.to_thread(metrics.report)
        except NaiadError as error:
            _log.error("model '%s': vLLM's metrics are reported no more: %s", self._model.name, error)
            self._metrics = None

    async def _end(self) -> None:
        _log.error("model '%s': its engine has died; its worker ends for another one", self._model.name)
        # The engine tells its requests; whom it does not reach is told here.
        if self._running:
            await asyncio.wait(list(self._running), timeout=_LAST_ANSWERS_S)
        for sender in self._running.values():
            _fail(sender, self._died())
        self._leave(_DIED_STATUS)

    async def _cancel_running(self) -> None:
        self._is_stopping = True
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _died(self) -> Unavailable:
        return Unavailable(f"model '{self._model.name}': its engine has died and is started again")

    def _failed(self, sender: InferenceResponseSender, error: BaseException) -> None:
        """What nobody has foreseen: the fault of the engine, not of the request."""
        cause = error.__cause__ or error  # what vLLM wraps
        _log.error("model '%s': a request failed", self._model.name, exc_info=error)
        text = f"model '{self._model.name}': the engine failed: {type(cause).__name__}: {cause}"
        sender._fail("INTERNAL", text)

    def _watch_failed(self, error: BaseException) -> None:
        _log.error("model '%s': its worker ends", self._model.name, exc_info=error)
        self._leave(_DIED_STATUS)


def _fail(sender: InferenceResponseSender, error: NaiadError) -> None:
    sender._fail(error.code, encodable(str(error)))
