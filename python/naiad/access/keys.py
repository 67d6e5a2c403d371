"""API keys: read from a file or from the environment, and read again while the server runs."""

from __future__ import annotations

import hashlib
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from naiad.access.scopes import permissions_of
from naiad.engine import KeyRing
from naiad.errors import InvalidArgument
from naiad.logs import log

MAX_KEYS = 1000
"""Each key that a client shows is compared with all of them."""
_MAX_FILE_BYTES = 1 << 20
_MIN_KEY_CHARACTERS = 16
_MAX_KEY_CHARACTERS = 512
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = re.compile(r"[\x21-\x7e]+")
_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class Key:
    """A key that is good. What a client has to show is not kept, only its SHA-256."""

    name: str
    scopes: tuple[str, ...]
    digest: bytes

    def __str__(self) -> str:
        return f"{self.name} ({','.join(self.scopes)})"


def parse_keys(text: str, source: str) -> list[Key]:
    """The keys of a text: on each line a name, scopes with commas between them, and the key or its digest.

    ``source`` names the text in errors. Raises InvalidArgument, which tells the line and never what is in it.
    """
    keys: list[Key] = []
    names: set[str] = set()
    digests: set[bytes] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = f"{source}:{number}"
        words = line.split()
        if len(words) != 3:
            raise InvalidArgument(
                f"{place}: expected '<name> <scope>[,<scope>] <key>', got {len(words)} words"
            )
        key = _parse_key(place, *words)
        if key.name in names:
            raise InvalidArgument(f"{place}: there is another key of that name")
        if key.digest in digests:
            raise InvalidArgument(f"{place}: another name has the same key")
        names.add(key.name)
        digests.add(key.digest)
        keys.append(key)
    if not keys:
        raise InvalidArgument(f"{source}: there is no key in it")
    if len(keys) > MAX_KEYS:
        raise InvalidArgument(f"{source}: expected at most {MAX_KEYS} keys, got {len(keys)}")
    return keys


def _parse_key(place: str, name: str, scopes: str, secret: str) -> Key:
    if not _NAME.fullmatch(name):
        raise InvalidArgument(f"{place}: the name should be at most 64 letters, digits, '.', '_' and '-'")
    wanted = tuple(scopes.split(","))
    try:
        permissions_of(wanted)
    except InvalidArgument as error:
        raise InvalidArgument(f"{place}: {error}") from None
    if match := _DIGEST.fullmatch(secret):
        return Key(name, wanted, bytes.fromhex(match[1]))
    if secret.startswith("sha256:"):
        raise InvalidArgument(f"{place}: a digest should be 'sha256:' and 64 hexadecimal digits")
    if not _KEY.fullmatch(secret) or not _MIN_KEY_CHARACTERS <= len(secret) <= _MAX_KEY_CHARACTERS:
        raise InvalidArgument(
            f"{place}: a key should have {_MIN_KEY_CHARACTERS} to {_MAX_KEY_CHARACTERS}"
            " characters, printable ASCII alone"
        )
    return Key(name, wanted, hashlib.sha256(secret.encode()).digest())


class Keys:
    """The keys of a server, in the ring that its gates look at. Any thread, one at a time."""

    def __init__(self, file: Path | None, text: str) -> None:
        """``text``: keys beside those of the file. Raises InvalidArgument when they cannot be used."""
        self._file = file
        self._text = text
        self.ring = KeyRing()
        self._keys: list[Key] = []
        self._take(self._read())

    def reload(self) -> bool:
        """Reads the file again. False, the reason is in the log: it is of no use, and nothing changes."""
        try:
            keys = self._read()
        except InvalidArgument as error:
            log.error("API keys are as they were: %s", error)
            return False
        self._take(keys)
        return True

    def _read(self) -> list[Key]:
        text = "" if self._file is None else self._read_file(self._file)
        # One text, so that no name is there twice.
        source = "the environment" if self._file is None else str(self._file)
        if self._file is not None and self._text:
            # The lines of the environment are counted behind those of the file.
            text, source = f"{text.rstrip()}\n{self._text}", f"{self._file} and the environment"
        return parse_keys(text or self._text, source)

    def _read_file(self, file: Path) -> str:
        try:
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):
                raise InvalidArgument(f"{file}: it is not a regular file")
            if status.st_size > _MAX_FILE_BYTES:
                raise InvalidArgument(f"{file}: it has more than {_MAX_FILE_BYTES} bytes")
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise InvalidArgument(f"{file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InvalidArgument(f"{file}: it is not UTF-8") from None
        if status.st_mode & stat.S_IRWXO and re.search(r"(?m)^\s*[^#\s]+\s+\S+\s+(?!sha256:)\S", text):
            log.warning("%s holds keys and every user of this machine may open it", file)
        return text

    def _take(self, keys: list[Key]) -> None:
        before, now = {str(key): key.digest for key in self._keys}, {str(key): key.digest for key in keys}
        self.ring.replace([(key.name, key.digest, permissions_of(key.scopes)) for key in keys])
        self._keys = keys
        new = [name for name, digest in now.items() if before.get(name) != digest]
        gone = [name for name in before if name not in now]
        log.info(
            "%d API keys are good%s%s",
            len(keys),
            f"; new: {', '.join(new)}" if new else "",
            f"; gone: {', '.join(gone)}" if gone else "",
        )
