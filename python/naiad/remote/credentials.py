"""How stores are opened: Triton's file of credentials, then the environment variables that it reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from naiad.errors import InvalidArgument
from naiad.remote.address import Address

FILE_VARIABLE = "TRITON_CLOUD_CREDENTIAL_PATH"

_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 60
_ATTEMPTS = 3


class Credentials:
    """What is known of secrets. Immutable; says nothing of them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Raises InvalidArgument for a file that can not be read or is not of Triton's form:
        ``{"s3": {"": {...}, "s3://bucket": {...}}, "gs": {"": "FILE"}, "as": {"": {...}}}``.
        """
        self._environment = dict(environment)
        self._file: dict[str, dict[str, Any]] = {}
        name = environment.get(FILE_VARIABLE)
        if name:
            self._file = _read(Path(name))

    def options(self, address: Address) -> dict[str, Any]:
        """Arguments for the file system of the address. Raises InvalidArgument."""
        given = self._of(address)
        if address.kind == "s3":
            return self._s3(address, _object(address, given))
        if address.kind == "gs":
            if given is not None and not isinstance(given, str):
                raise _wrong("gs", "the name of a file")
            # None: what the library finds, also the environment variable.
            return {"token": given or self._environment.get("GOOGLE_APPLICATION_CREDENTIALS")}
        if address.kind == "as":
            return self._azure(address, _object(address, given))
        return {}

    def _of(self, address: Address) -> Any:
        """What the file has for the longest beginning of the address; None when it has nothing."""
        entries = self._file.get(address.kind, {})
        fitting = [key for key in entries if _begins(address.text, key)]
        return entries[max(fitting, key=len)] if fitting else None

    def _s3(self, address: Address, given: Mapping[str, str]) -> dict[str, Any]:
        options: dict[str, Any] = {
            "key": given.get("key_id") or None,
            "secret": given.get("secret_key") or None,
            "token": given.get("session_token") or None,
            "profile": given.get("profile") or self._environment.get("AWS_PROFILE") or None,
            "endpoint_url": address.endpoint or None,
            "config_kwargs": {
                "connect_timeout": _CONNECT_TIMEOUT_S,
                "read_timeout": _READ_TIMEOUT_S,
                "retries": {"max_attempts": _ATTEMPTS},
            },
        }
        region = given.get("region") or self._environment.get("AWS_DEFAULT_REGION")
        if region or address.endpoint:
            options["client_kwargs"] = {"region_name": region or "us-east-1"}
        return options

    def _azure(self, address: Address, given: Mapping[str, str]) -> dict[str, Any]:
        account, key = given.get("account_str"), given.get("account_key")
        if not given:
            account = self._environment.get("AZURE_STORAGE_ACCOUNT")
            key = self._environment.get("AZURE_STORAGE_KEY")
        # Without a key: what the machine is allowed to (anon=False), as a managed identity.
        return {"account_name": account or address.account, "account_key": key or None, "anon": False}


def _begins(address: str, key: str) -> bool:
    wanted = key.rstrip("/")
    return wanted == "" or address == wanted or address.startswith(f"{wanted}/")


def _object(address: Address, given: Any) -> Mapping[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise _wrong(address.kind, "an object of strings")
    return given


def _wrong(kind: str, expected: str) -> InvalidArgument:
    return InvalidArgument(f"{FILE_VARIABLE}: an entry of '{kind}' should be {expected}")


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidArgument(f"{FILE_VARIABLE}: the file can not be read: {error.strerror}") from None
    except ValueError:
        raise InvalidArgument(f"{FILE_VARIABLE}: the file is not JSON") from None
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        raise InvalidArgument(f"{FILE_VARIABLE}: the file should hold an object of objects")
    return content
