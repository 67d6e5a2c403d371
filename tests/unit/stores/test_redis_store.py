"""The threads between the core and Redis, on a Redis that is a dict."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from naiad.errors import Unavailable, Unsupported
from naiad.settings import RedisSettings
from naiad.stores import redis_store
from naiad.stores.redis_store import RedisStore

SETTINGS = RedisSettings("somewhere", connections=1)


class FakeRedis:
    """What is used of redis.Redis."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.times_to_live: dict[str, int | None] = {}
        self.failure: Exception | None = None
        self.closed = False

    def set(self, name: str, value: bytes, *, nx: bool = False, ex: int | None = None) -> None:
        if self.failure is not None:
            raise self.failure
        if not (nx and name in self.data):
            self.data[name] = value
            self.times_to_live[name] = ex

    def get(self, name: str) -> bytes | None:
        return self.data.get(name)

    def mget(self, names: list[str]) -> list[bytes | None]:
        if self.failure is not None:
            raise self.failure
        return [self.data.get(name) for name in names]

    def pipeline(self, *, transaction: bool) -> FakePipeline:
        assert not transaction
        return FakePipeline(self)

    def close(self) -> None:
        self.closed = True


class FakePipeline:
    def __init__(self, redis: FakeRedis) -> None:
        self.redis = redis
        self.waiting: list[Callable[[], None]] = []

    def __enter__(self) -> FakePipeline:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def set(self, name: str, value: bytes, **how: Any) -> None:
        self.waiting.append(lambda: self.redis.set(name, value, **how))

    def execute(self) -> None:
        for each in self.waiting:
            each()


class FakeQueue:
    """A StoreQueue whose work is given by the test."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self.work: list[Any] = []
        self.found: list[Any] = []
        self.pauses: list[float] = []
        self.changed = threading.Condition()
        self.closed = False

    def take(self) -> Any:
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self.work)
            return self.work.pop(0) if self.work else None

    def answer(self, found: list[tuple[int, bytes | None]]) -> None:
        self.found += found

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def give(self, look_ups: list[tuple[int, bytes]], entries: list[tuple[bytes, bytes]]) -> None:
        with self.changed:
            self.work.append((look_ups, entries))
            self.changed.notify_all()


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRedis]:
    fake = FakeRedis()
    monkeypatch.setattr(redis_store, "_connect", lambda settings: (fake, (ConnectionError,)))
    monkeypatch.setattr(redis_store, "StoreQueue", FakeQueue)
    yield fake


def run(store: RedisStore, *work: tuple[list[tuple[int, bytes]], list[tuple[bytes, bytes]]]) -> FakeQueue:
    """Gives the work, and waits until it is done."""
    queue: Any = store.queue
    for look_ups, entries in work:
        queue.give(look_ups, entries)
    store.close()
    return queue  # type: ignore[no-any-return]


def test_what_one_keeps_another_one_finds(redis: FakeRedis) -> None:
    first, second = RedisStore(SETTINGS), RedisStore(RedisSettings("there", connections=1, ttl_s=60))
    assert first.queue.secret == second.queue.secret == redis.data["naiad:secret"]  # type: ignore[attr-defined]
    run(first, ([], [(b"\x01" * 16, b"one")]))
    run(second, ([], [(b"\x02" * 16, b"two")]))
    third = run(RedisStore(SETTINGS), ([(7, b"\x01" * 16), (8, b"\x03" * 16), (9, b"\x02" * 16)], []))
    assert third.found == [(7, b"one"), (8, None), (9, b"two")]
    assert redis.times_to_live["naiad:answer:" + "01" * 16] is None
    assert redis.times_to_live["naiad:answer:" + "02" * 16] == 60
    assert redis.closed


def test_a_failure_is_a_miss_and_a_pause_that_gets_longer(
    redis: FakeRedis, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisStore(SETTINGS)
    redis.failure = ConnectionError("gone")
    queue = run(store, *[([(i, b"k")], []) for i in range(7)], ([], [(b"k", b"v")]))
    assert queue.found == [(i, None) for i in range(7)]
    assert queue.pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert store.failures() == 8
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        "response cache: Redis at somewhere:6379 fails, its answers are misses: gone (1 failures so far)"
    ]


def test_after_a_failure_that_is_over_the_pauses_are_short_again(redis: FakeRedis) -> None:
    store = RedisStore(SETTINGS)
    queue: Any = store.queue
    redis.failure = ConnectionError("gone")
    queue.give([(1, b"k")], [])
    while not queue.found:
        pass
    redis.failure = None
    queue.give([(2, b"k")], [])
    while len(queue.found) < 2:
        pass
    redis.failure = ConnectionError("gone")
    run(store, ([(3, b"k")], []))
    assert queue.pauses == [1, 1]


def test_a_redis_that_does_not_answer_is_told_at_the_start(redis: FakeRedis) -> None:
    redis.failure = ConnectionError("refused")
    with pytest.raises(Unavailable, match="the response cache can not use Redis at somewhere:6379: refused"):
        RedisStore(SETTINGS)
    redis.failure = None
    redis.data["naiad:secret"] = b"short"
    with pytest.raises(Unavailable, match="its 'naiad:secret' is not naiad's"):
        RedisStore(SETTINGS)


def test_without_the_client_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    with pytest.raises(Unsupported, match=r"pip install naiad\[redis\]"):
        RedisStore(SETTINGS)
