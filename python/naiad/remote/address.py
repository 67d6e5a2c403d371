"""Addresses of model repositories elsewhere, in Triton's forms."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from naiad.errors import InvalidArgument

Kind = Literal["s3", "gs", "as", "http"]

_S3_SERVER = re.compile(r"(https?://)?([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?/(.+)\Z")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}\Z")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a repository lies."""

    text: str
    """As it was given, without a slash at the end."""
    kind: Kind
    path: str
    """Bucket (or container) and folder; of HTTP the whole address."""
    endpoint: str = ""
    """S3: the server, if it is not Amazon's."""
    account: str = ""
    """Azure."""


def parse_address(text: str) -> Address:
    """``s3://BUCKET/PATH``, ``s3://HOST:PORT/BUCKET/PATH``, ``s3://https://HOST[:PORT]/BUCKET/PATH``,
    ``gs://BUCKET/PATH``, ``as://ACCOUNT/CONTAINER/PATH``, ``http://...``, ``https://...``.

    As with Triton, an S3 server that is named without a scheme is asked by HTTP. Raises InvalidArgument.
    """
    scheme, _, rest = text.rstrip("/").partition("://")
    if scheme in ("http", "https") and rest:
        if "@" in rest.partition("/")[0]:
            raise InvalidArgument("model repository: an address can not hold a user or a password")
        return Address(text.rstrip("/"), "http", text.rstrip("/"))
    if scheme == "s3":
        return _s3(text.rstrip("/"), rest)
    if scheme == "gs":
        return Address(text.rstrip("/"), "gs", _checked(text, rest))
    if scheme == "as":
        account, _, path = rest.partition("/")
        name = account.partition(".")[0]
        if not _BUCKET.match(name):
            raise InvalidArgument(f"model repository '{text}' should be as://ACCOUNT/CONTAINER/PATH")
        return Address(text.rstrip("/"), "as", _checked(text, path), account=name)
    raise InvalidArgument(
        f"model repository '{text}' should be a directory, or begin with s3://, gs://, as://, http:// or https://"
    )


def _s3(text: str, rest: str) -> Address:
    match = _S3_SERVER.match(rest)
    if match and (match[1] or match[3]):
        endpoint = (match[1] or "http://") + match[2] + (match[3] or "")
        return Address(text, "s3", _checked(text, match[4]), endpoint)
    return Address(text, "s3", _checked(text, rest))


def _checked(text: str, path: str) -> str:
    bucket, *folders = path.split("/")
    if not _BUCKET.match(bucket) or any(part in ("", ".", "..") for part in folders):
        raise InvalidArgument(f"model repository '{text}' names no bucket, or a folder that there can not be")
    return path
