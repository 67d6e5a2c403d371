"""The files of the page. They are read when somebody first asks, and lie in the package."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from naiad.ui.origin import PAGE_FIELDS

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    tag: str


class Pages:
    """Answers with files by name. The event loop's thread."""

    def __init__(self) -> None:
        self._files: dict[str, _File] | None = None

    def answer(self, request: web.BaseRequest, name: str) -> web.Response | None:
        """The file of that name, or that it has not changed; None: there is none."""
        if self._files is None:
            self._files = {
                path.name: _read(path) for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES
            }
        file = self._files.get(name)
        if file is None:
            return None
        fields = PAGE_FIELDS | {"ETag": file.tag, "Cache-Control": "no-cache"}
        if file.tag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=fields)
        return web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=fields)


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, _TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:16]}"')
