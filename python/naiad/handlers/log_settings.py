"""The logging extension: what is logged, changed while the server runs. The event loop's thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from naiad.errors import InvalidArgument, Unsupported
from naiad.settings import LogSettings

_MAX_VERBOSE = 2**31 - 1
_SWITCHES = {"log_info": "info", "log_warning": "warning", "log_error": "error"}


class LogControl:
    """The settings of the log as clients see and change them."""

    def __init__(
        self, settings: LogSettings, apply: Callable[[LogSettings], None] = lambda settings: None
    ) -> None:
        """``apply`` makes settings act; what it raises leaves the ones before in place."""
        self._settings = settings
        self._apply = apply

    def shown(self) -> dict[str, bool | int | str]:
        """By Triton's names."""
        settings = self._settings
        return {
            "log_file": "" if settings.file is None else str(settings.file),
            "log_info": settings.info,
            "log_warning": settings.warning,
            "log_error": settings.error,
            "log_verbose_level": settings.verbose,
            "log_format": settings.format,
        }

    def update(self, values: Mapping[str, Any]) -> None:
        """Changes what is named, all of it or, when one value is refused, nothing; None: as it is.

        Raises InvalidArgument, Unsupported for the file: who may reach the port may not choose where the
        server writes.
        """
        changes: dict[str, Any] = {}
        for name, value in values.items():
            if name == "log_file":
                if value is not None:
                    raise Unsupported("log file location can not be updated through network protocol")
            elif name in _SWITCHES:
                if value is not None:
                    changes[_SWITCHES[name]] = _switch(name, value)
            elif name == "log_verbose_level":
                if value is not None:
                    changes["verbose"] = _level(name, value)
            elif name == "log_format":
                if value is not None:
                    changes["format"] = _form(name, value)
            else:
                raise InvalidArgument(f"unknown log setting '{name}'")
        if changes:
            settings = replace(self._settings, **changes)
            self._apply(settings)
            self._settings = settings


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument(f"expect boolean for '{name}'")
    return value


def _level(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_VERBOSE:
        raise InvalidArgument(f"expect int32 for '{name}', from 0 to {_MAX_VERBOSE}")
    return value


def _form(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(f"expect string for '{name}'")
    if value not in ("default", "ISO8601", "json"):
        raise InvalidArgument(f"invalid argument for {name}, got: {value}")
    return value
