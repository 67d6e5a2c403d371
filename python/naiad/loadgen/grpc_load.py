"""Load over gRPC: serialised requests out, bytes of answers in."""

from __future__ import annotations

import asyncio
import time
from itertools import cycle
from typing import Any

import grpc
from grpc import aio

from naiad.loadgen.pace import due_times
from naiad.loadgen.recorder import Recorder
from naiad.loadgen.scenario import Scenario

METHOD = "/inference.GRPCInferenceService/ModelInfer"
_PER_CHANNEL = 16
"""Requests that share a connection."""
_MOST_MESSAGE_BYTES = 1 << 30


class GrpcLoad:
    """Runs a scenario until it is cancelled."""

    def __init__(self, scenario: Scenario, recorder: Recorder) -> None:
        self._scenario = scenario
        self._recorder = recorder
        self._requests = cycle(scenario.requests)

    async def run(self) -> None:
        """Raises OSError when the server is not reached at the start."""
        scenario = self._scenario
        count = max(1, -(-scenario.concurrency // _PER_CHANNEL)) if scenario.rate <= 0 else 4
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", _MOST_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MOST_MESSAGE_BYTES),
        ]
        channels = [
            aio.insecure_channel(f"{scenario.host}:{scenario.port}", options=options) for _ in range(count)
        ]
        try:
            try:
                await asyncio.wait_for(channels[0].channel_ready(), 10)
            except TimeoutError:
                raise OSError(f"no gRPC server at {scenario.host}:{scenario.port}") from None
            calls: list[Any] = [channel.unary_unary(METHOD) for channel in channels]
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tick())
                if scenario.rate > 0:
                    tasks.create_task(self._keep_pace(calls, tasks))
                else:
                    for index in range(scenario.concurrency):
                        tasks.create_task(self._again_and_again(calls[index % count]))
        finally:
            for channel in channels:
                await channel.close()

    async def _again_and_again(self, call: Any) -> None:
        while True:
            await self._one(call, time.monotonic())

    async def _one(self, call: Any, since_s: float) -> None:
        try:
            await call(next(self._requests), timeout=self._scenario.timeout_s)
        except grpc.RpcError as error:
            status = error.code() if isinstance(error, grpc.Call) else "failed"
            details = error.details() if isinstance(error, grpc.Call) else str(error)
            name = getattr(status, "name", status)
            self._recorder.failure(f"{name}: {details}", time.monotonic())
            if name == "UNAVAILABLE":
                await asyncio.sleep(0.05)
        else:
            now_s = time.monotonic()
            self._recorder.answer(now_s - since_s, now_s)

    async def _keep_pace(self, calls: list[Any], tasks: asyncio.TaskGroup) -> None:
        scenario = self._scenario
        room = asyncio.Semaphore(scenario.concurrency)
        turn = cycle(calls)

        async def send(since_s: float) -> None:
            try:
                await self._one(next(turn), since_s)
            finally:
                room.release()

        async def wait(since_s: float) -> None:
            await room.acquire()
            await send(since_s)

        for due_s in due_times(scenario.rate, scenario.distribution, scenario.seed, time.monotonic()):
            wait_s = due_s - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            if room.locked():
                self._recorder.late()
                tasks.create_task(wait(time.monotonic()))
            else:
                await room.acquire()
                tasks.create_task(send(time.monotonic()))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            self._recorder.tick(time.monotonic())
