"""Clients of all kinds at once, driven by one seed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from types import TracebackType

from .book import Failure, Ledger
from .grpc_asker import GrpcAsker
from .http_asker import HttpAsker
from .verdict import Allowed, nothing

# How often each kind comes among others.
HTTP_MIX = {
    "infer_json": 5,
    "infer_binary": 4,
    "infer_worker": 3,
    "wrong": 2,
    "failing": 1,
    "cut_off": 1,
}
GRPC_MIX = {
    "infer": 5,
    "infer_worker": 3,
    "wrong": 2,
    "failing": 1,
    "cancelled": 1,
    "hurried": 1,
    "streamed": 2,
    "repeated": 1,
}
# What ends of itself, one way alone: for faults in which a client must not go first.
STEADY_HTTP = {"infer_json": 4, "infer_binary": 3, "infer_worker": 3}
STEADY_GRPC = {"infer": 4, "infer_worker": 3, "streamed": 2}


class Traffic:
    """``clients`` threads, half of them over each protocol. A client ends when so many requests have been
    opened, when it is told to, or behind a failure of which ``last`` says so."""

    def __init__(
        self,
        http: str,
        grpc: str,
        *,
        seed: int,
        clients: int = 8,
        requests: int | None = None,
        allowed: Allowed = nothing,
        last: Callable[[Failure], bool] = nothing,
        http_mix: dict[str, int] = HTTP_MIX,
        grpc_mix: dict[str, int] = GRPC_MIX,
    ) -> None:
        self.ledger = Ledger()
        self._requests = requests
        self._last = last
        self._told = threading.Event()
        self._crashed: list[BaseException] = []
        self._threads = []
        for client in range(clients):
            draw = random.Random(f"{seed} {client}")
            if client % 2 == 0:
                mix, asker = http_mix, HttpAsker(http, self.ledger, draw, allowed)
            else:
                mix, asker = grpc_mix, GrpcAsker(grpc, self.ledger, draw, allowed)
            self._threads.append(threading.Thread(target=self._run, args=(asker, mix, draw)))

    def _run(self, asker: HttpAsker | GrpcAsker, mix: dict[str, int], draw: random.Random) -> None:
        kinds = [getattr(asker, name) for name in mix]
        weights = list(mix.values())
        try:
            while not self._told.is_set() and (self._requests is None or self.ledger.size < self._requests):
                failure = draw.choices(kinds, weights)[0]()
                if failure is not None and self._last(failure):
                    return
        except BaseException as error:
            self._crashed.append(error)
            raise
        finally:
            asker.close()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self, every_s: float | None = None, look: Callable[[], None] = lambda: None) -> None:
        """Until all clients have ended; ``look`` is called meanwhile. Raises what broke a client."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(every_s)
                look()
        if self._crashed:
            raise self._crashed[0]

    def stop(self) -> None:
        self._told.set()
        self.wait()

    def __enter__(self) -> Traffic:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def until(self, count: int, patience_s: float = 60) -> None:
        """Blocks until so many have been opened."""
        end = time.monotonic() + patience_s
        while self.ledger.size < count:
            assert time.monotonic() < end, f"only {self.ledger.size} of {count} were opened"
            time.sleep(0.005)
