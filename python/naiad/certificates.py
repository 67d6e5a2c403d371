"""Renewed certificates are taken while the server runs, and no connection is dropped for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from naiad.errors import NaiadError
from naiad.logs import log

LOOK_S = 60.0
"""How often it is looked whether files have changed."""


class CertificateWatch:
    """Has the I/O threads read their files of TLS again: now and then, and when asked to.

    ``reloads`` are by the name of the service; each says whether its files had changed, or raises NaiadError
    and leaves all as it was. Connections that are open go on. One event loop.
    """

    def __init__(self, reloads: Mapping[str, Callable[[], bool]], look_s: float = LOOK_S) -> None:
        self._reloads = reloads
        self._look_s = look_s
        self._asked = asyncio.Event()
        self._refusals: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look, where there is something to look at."""
        if self._reloads:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def ask(self) -> None:
        """Look now, and say in the log what came of it."""
        self._asked.set()

    async def stop(self) -> None:
        """Looks no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._look_s)
            asked = self._asked.is_set()
            self._asked.clear()
            for service, reload in self._reloads.items():
                await self._look(service, reload, asked)

    async def _look(self, service: str, reload: Callable[[], bool], asked: bool) -> None:
        try:
            changed = await asyncio.to_thread(reload)
        except NaiadError as error:
            # A file that stays of no use is told once.
            if asked or self._refusals.get(service) != str(error):
                log.error("%s keeps its certificate: %s", service, error)
            self._refusals[service] = str(error)
            return
        self._refusals.pop(service, None)
        if changed:
            log.info("%s has a new certificate", service)
        elif asked:
            log.info("%s keeps its certificate: its files have not changed", service)
