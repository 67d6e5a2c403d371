"""Reading protobuf messages that clients sent."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError


def parse(kind: Any, message: bytes) -> Any:
    """``message`` as an instance of ``kind``; None when it is not one."""
    try:
        return kind.FromString(message)
    except DecodeError:
        return None
