"""What a request to load a model says: the parameters of both protocols, as the repository takes them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from naiad.errors import InvalidArgument

_FILE = "file:"


def read_load_parameters(name: str, parameters: Mapping[str, Any]) -> tuple[str | None, dict[str, bytes]]:
    """The configuration as JSON, if one is given, and files by their paths in the model's directory.

    ``config`` is JSON text; ``file:<version>/<path>`` is bytes (gRPC), or base64 text (HTTP).

    Raises InvalidArgument for anything else, and for files without a configuration.
    """
    config: str | None = None
    files: dict[str, bytes] = {}
    for key, value in parameters.items():
        if key == "config":
            if not isinstance(value, str):
                raise InvalidArgument("load parameter 'config' should be a string: the configuration as JSON")
            config = value
        elif key.startswith(_FILE):
            files[key.removeprefix(_FILE)] = _content(name, key, value)
        else:
            raise InvalidArgument(f"load of '{name}': unrecognized parameter '{key}'")
    if files and config is None:
        raise InvalidArgument(f"load of '{name}': files are given without a 'config', which they need")
    return config, files


def _content(name: str, key: str, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise InvalidArgument(f"load of '{name}': parameter '{key}' should be the file's bytes in base64")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument(f"load of '{name}': parameter '{key}' is not base64") from None
