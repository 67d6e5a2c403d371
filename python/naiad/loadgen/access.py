"""How a server is reached beyond its address: header fields, TLS."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from naiad.errors import InvalidArgument

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e\t]*")
_OWN_FIELDS = frozenset(
    {
        "connection", "content-encoding", "content-length", "content-type", "host",
        "inference-header-content-length", "te", "transfer-encoding", "user-agent",
    }
)  # fmt: skip
"""Those that say how the body is to be read, and by whom the connection is used."""


@dataclass(frozen=True)
class Tls:
    """What a client trusts, and what it shows. Paths; "" is not given."""

    ca_file: str = ""
    """PEM; the system's authorities where it is not given."""
    cert_file: str = ""
    key_file: str = ""
    """Also in ``cert_file``, where it is not given."""
    verify: bool = True
    """Whether the server's certificate has to be good."""

    def context(self, alpn: str) -> ssl.SSLContext:
        """``alpn``: ``h2`` or ``http/1.1``. Raises InvalidArgument."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except OSError as error:
            raise InvalidArgument(f"--ssl-ca-file '{self.ca_file}' can not be read: {_why(error)}") from None
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols([alpn])
        if self.key_file and not self.cert_file:
            raise InvalidArgument("--ssl-key-file needs --ssl-cert-file")
        if self.cert_file:
            try:
                context.load_cert_chain(self.cert_file, self.key_file or None)
            except OSError as error:
                files = f"--ssl-cert-file '{self.cert_file}'"
                files += f" with --ssl-key-file '{self.key_file}'" if self.key_file else ""
                raise InvalidArgument(f"{files} can not be used: {_why(error)}") from None
        return context


@dataclass(frozen=True)
class Access:
    """The same for all requests to a server."""

    headers: tuple[tuple[str, str], ...] = ()
    """Fields of HTTP, metadata of gRPC."""
    tls: Tls | None = None
    """None: plain text."""

    def context(self, alpn: str) -> ssl.SSLContext | None:
        """None: plain text. Raises InvalidArgument."""
        return None if self.tls is None else self.tls.context(alpn)

    @classmethod
    def of_tree(cls, tree: dict[str, Any]) -> Access:
        """What ``dataclasses.asdict`` and JSON made of one."""
        tls = tree["tls"]
        return cls(
            tuple((name, value) for name, value in tree["headers"]), None if tls is None else Tls(**tls)
        )


def read_headers(entries: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """``NAME:VALUE``. Raises InvalidArgument, which does not show the value: it may be a key."""
    headers = []
    for entry in entries:
        name, colon, value = entry.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not _NAME.fullmatch(name):
            raise InvalidArgument("--header should be NAME:VALUE, as in 'Authorization: Bearer KEY'")
        if not _VALUE.fullmatch(value):
            raise InvalidArgument(f"--header {name}: the value should be printable ASCII")
        if name.lower() in _OWN_FIELDS or name.lower().startswith("grpc-"):
            raise InvalidArgument(f"--header {name}: the client writes this field itself")
        headers.append((name, value))
    return tuple(headers)


def _why(error: OSError) -> str:
    return error.strerror or str(error)
