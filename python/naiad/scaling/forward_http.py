"""HTTP from a proxy of Ray Serve to the server of a replica, by bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

_Fields = list[tuple[bytes, bytes]]
_HOP = frozenset(
    {
        b"connection", b"content-length", b"host", b"keep-alive", b"proxy-connection", b"te", b"trailer",
        b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
"""Fields that are about one connection, which is another one here."""
_OWN_FIELDS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
"""aiohttp would add these."""


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """An answer whose length was known."""

    status: int
    fields: _Fields
    body: bytes


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """One that comes in parts; ``parts`` has to be read to its end, or closed."""

    status: int
    fields: _Fields
    parts: AsyncIterator[bytes]


class HttpForwarder:
    """Sends requests to one server over connections that stay open. One event loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            skip_auto_headers=_OWN_FIELDS,
            # A field of the server that aiohttp finds too long would be lost on the way.
            max_field_size=1 << 16,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(
        self, method: str, target: str, fields: Iterable[tuple[bytes, bytes]] = (), body: bytes = b""
    ) -> WholeAnswer | StreamedAnswer:
        """``target``: path and query as the client wrote them. Whoever is cancelled takes the request back.
        Raises aiohttp.ClientError when the server is gone.
        """
        assert self._session is not None
        sent = CIMultiDict(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in fields
            if name.lower() not in _HOP
        )
        response = await self._session.request(
            method,
            URL(self._url + target, encoded=True),
            data=body or None,
            headers=sent,
            allow_redirects=False,
        )
        back = [(name, value) for name, value in response.raw_headers if name.lower() not in _HOP]
        if response.content_length is None and response.status not in (204, 304) and method != "HEAD":
            return StreamedAnswer(response.status, back, _parts(response))
        async with response:
            return WholeAnswer(response.status, back, await response.read())


async def _parts(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    # A response that is left before its end closes its connection, which cancels the request.
    try:
        async for part in response.content.iter_any():
            yield part
    finally:
        response.close()
