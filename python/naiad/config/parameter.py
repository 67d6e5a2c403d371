"""One of a configuration's ``parameters``: its value, and how it is refused."""

from __future__ import annotations

from typing import Any

from naiad.errors import ConfigError


def value_of(message: Any, key: str) -> str | None:
    return str(message.parameters[key].string_value) if key in message.parameters else None


def check_number(message: Any, key: str, most: int, what: str = "a number") -> None:
    """Raises ConfigError for a value that is no number from 1 to ``most``."""
    value = value_of(message, key) or ""
    if not value.isascii() or not value.isdecimal() or not 0 < int(value[:20]) <= most:
        raise wrong(message, key, f"must be {what} from 1 to {most}, got '{value[:40]}'")


def refuse_where(message: Any, key: str, *kinds: tuple[str, bool]) -> None:
    """Raises ConfigError for the first kind of models that applies."""
    for kind, applies in kinds:
        if applies:
            raise wrong(message, key, f"can not be used with {kind}")


def wrong(message: Any, key: str, what: str) -> ConfigError:
    return ConfigError(f"parameter '{key}' {what} for {message.name}", field=f'parameters["{key}"]')
