"""When files of TLS are read again, and what is said of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

import pytest

from naiad.certificates import CertificateWatch
from naiad.errors import InvalidArgument
from naiad.logs import log

NEVER_S = 3600.0


class Files:
    """What comes of each reading, in turn; the last one again and again."""

    def __init__(self, *outcomes: bool | str) -> None:
        self._outcomes = list(outcomes)
        self.read = 0

    def reload(self) -> bool:
        self.read += 1
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(outcome, str):
            raise InvalidArgument(outcome)
        return outcome


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The lines of the log."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.levelname} {record.getMessage()}")

    keep, level = Keep(), log.level
    log.addHandler(keep)
    log.setLevel(logging.INFO)
    yield lines
    log.removeHandler(keep)
    log.setLevel(level)


def watched(
    files: dict[str, Files], look_s: float, use: Callable[[CertificateWatch], Awaitable[None]]
) -> None:
    async def run() -> None:
        watch = CertificateWatch({name: each.reload for name, each in files.items()}, look_s)
        watch.start()
        await use(watch)
        await watch.stop()

    asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_asked_it_says_what_came_of_it(said: list[str]) -> None:
    files = Files(True, False, "a broken file", "a broken file", True)

    async def use(watch: CertificateWatch) -> None:
        for count in range(1, 6):
            watch.ask()
            await until(lambda count=count: len(said) == count)

    watched({"HTTPService": files}, NEVER_S, use)
    assert said == [
        "INFO HTTPService has a new certificate",
        "INFO HTTPService keeps its certificate: its files have not changed",
        "ERROR HTTPService keeps its certificate: a broken file",
        "ERROR HTTPService keeps its certificate: a broken file",
        "INFO HTTPService has a new certificate",
    ]


def test_now_and_then_it_looks_and_says_what_is_new(said: list[str]) -> None:
    files = Files(False, "one", "one", "one", "two", False, "two", True, False)
    watched({"s": files}, 0.0, lambda watch: until(lambda: files.read >= 12))
    assert said == [
        "ERROR s keeps its certificate: one",
        "ERROR s keeps its certificate: two",
        "ERROR s keeps its certificate: two",
        "INFO s has a new certificate",
    ]


def test_one_service_does_not_keep_the_other_from_its_certificate(said: list[str]) -> None:
    files = {"a": Files("broken"), "b": Files(True, False)}

    async def use(watch: CertificateWatch) -> None:
        watch.ask()
        await until(lambda: len(said) == 2)

    watched(files, NEVER_S, use)
    assert said == ["ERROR a keeps its certificate: broken", "INFO b has a new certificate"]


def test_without_tls_there_is_nothing_to_look_at(said: list[str]) -> None:
    async def use(watch: CertificateWatch) -> None:
        watch.ask()

    watched({}, 0.0, use)
    assert said == []
