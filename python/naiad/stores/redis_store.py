"""Answers that are kept in Redis, for all servers that use it."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from naiad.engine import StoreQueue
from naiad.errors import Unavailable, Unsupported
from naiad.settings import RedisSettings

_log = logging.getLogger("naiad.stores")

_SECRET = "naiad:secret"
_SECRET_BYTES = 16
_ENTRY = "naiad:answer:"

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_LOG_EVERY_S = 30.0


class RedisStore:
    """Threads that do what waits in a StoreQueue: all look-ups that are there with one MGET, then what is to
    be kept. While Redis fails there are pauses, in which everything is a miss.

    What is kept is hashed and signed under a secret that the first server draws and that lies in Redis too:
    who can not read there can neither make two requests meet nor make an entry.
    """

    def __init__(self, settings: RedisSettings) -> None:
        """Connects and starts the threads. Raises Unavailable when Redis does not answer, Unsupported without
        its client library.
        """
        self._settings = settings
        self._client, self._errors = _connect(settings)
        self._secret = self._shared_secret()
        self.queue = StoreQueue(self._secret)
        self._lock = threading.Lock()
        self._failures = 0
        self._pause_s = _FIRST_PAUSE_S
        self._failing = False
        self._logged_at_s = 0.0
        self._threads = [
            threading.Thread(target=self._serve, name=f"naiad-redis-{i}", daemon=True)
            for i in range(settings.connections)
        ]
        for thread in self._threads:
            thread.start()

    def failures(self) -> int:
        """Times that Redis did not do what it was asked for. Any thread."""
        return self._failures

    def close(self) -> None:
        """Takes nothing more; waits for what is under way. Behind the engine's close(). Idempotent."""
        self.queue.close()
        for thread in self._threads:
            thread.join()
        self._client.close()

    def _shared_secret(self) -> bytes:
        try:
            self._client.set(_SECRET, os.urandom(_SECRET_BYTES), nx=True)
            secret: Any = self._client.get(_SECRET)
        except self._errors as error:
            raise Unavailable(f"the response cache can not use Redis at {self._where}: {error}") from None
        if not isinstance(secret, bytes) or len(secret) != _SECRET_BYTES:
            raise Unavailable(
                f"the response cache can not use Redis at {self._where}: its '{_SECRET}' is not naiad's"
            )
        return secret

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def _serve(self) -> None:
        while (work := self.queue.take()) is not None:
            look_ups, entries = work
            if look_ups:
                self.queue.answer(self._find(look_ups))
            if entries:
                self._keep(entries)

    def _find(self, look_ups: list[tuple[int, bytes]]) -> list[tuple[int, bytes | None]]:
        tickets = [ticket for ticket, _ in look_ups]
        try:
            found: Any = self._client.mget([_ENTRY + key.hex() for _, key in look_ups])
        except self._errors as error:
            self._failed(error)
            found = [None] * len(tickets)
        else:
            self._succeeded()
        return list(zip(tickets, found, strict=True))

    def _keep(self, entries: list[tuple[bytes, bytes]]) -> None:
        try:
            # No transaction: each entry stands for itself.
            with self._client.pipeline(transaction=False) as pipeline:
                # Where it was evicted, servers that start later are to find it again.
                pipeline.set(_SECRET, self._secret, nx=True)
                for key, entry in entries:
                    pipeline.set(_ENTRY + key.hex(), entry, ex=self._settings.ttl_s or None)
                pipeline.execute()
        except self._errors as error:
            self._failed(error)
        else:
            self._succeeded()

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self._failures += 1
            self._failing = True
            pause_s = self._pause_s
            self._pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            now_s = time.monotonic()
            is_due = self._failures == 1 or now_s - self._logged_at_s >= _LOG_EVERY_S
            if is_due:
                self._logged_at_s = now_s
        self.queue.pause(pause_s)
        if is_due:
            _log.warning(
                "response cache: Redis at %s fails, its answers are misses: %s (%d failures so far)",
                self._where, error, self._failures,
            )  # fmt: skip

    def _succeeded(self) -> None:
        if not self._failing:
            return
        with self._lock:
            self._failing = False
            self._pause_s = _FIRST_PAUSE_S
        _log.info("response cache: Redis at %s answers again", self._where)


def _connect(settings: RedisSettings) -> tuple[Any, tuple[type[Exception], ...]]:
    """A client, and what it raises when Redis fails."""
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise Unsupported(
            "the response cache in Redis needs the package 'redis': pip install naiad[redis]"
        ) from None
    tls: dict[str, Any] = {}
    if settings.tls:
        tls = {
            "ssl": True,
            "ssl_certfile": settings.certificate,
            "ssl_keyfile": settings.key,
            "ssl_ca_certs": settings.roots,
        }
    client = redis.Redis(
        host=settings.host,
        port=settings.port,
        db=settings.db,
        username=settings.user or None,
        password=settings.password or None,
        socket_connect_timeout=settings.connect_timeout_s,
        socket_timeout=settings.socket_timeout_s,
        # Once, for a connection that the other end has closed meanwhile; what fails then is a miss.
        retry=Retry(NoBackoff(), 1),
        **tls,
    )
    return client, (redis.RedisError, OSError)
