"""Reading the fields of a request: each is taken by name with its type and bounds, what is left refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from naiad.openai.errors import ApiError, invalid, unsupported

Json = dict[str, Any]
_T = TypeVar("_T")


class Fields:
    """The fields of one JSON object; ``null`` is as good as absent. ``place`` is what errors name first."""

    def __init__(self, values: Mapping[str, Any], place: str = "") -> None:
        self._left = {name: value for name, value in values.items() if value is not None}
        self._place = place

    def path(self, name: str) -> str:
        """The name of a field as the client finds it."""
        return f"{self._place}.{name}" if self._place else name

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def any(self, name: str) -> Any:
        """The value, whatever it is; None when it is absent."""
        return self._left.pop(name, None)

    def peek(self, name: str) -> Any:
        """The value, which stays for who takes it."""
        return self._left.get(name)

    def required(self, name: str) -> Any:
        """The value, whatever it is."""
        if name not in self._left:
            raise ApiError(
                400,
                f"missing required parameter: '{self.path(name)}'",
                param=self.path(name),
                code="missing_required_parameter",
            )
        return self._left.pop(name)

    def string(self, name: str) -> str | None:
        return self._typed(name, str, "a string")

    def boolean(self, name: str, default: bool = False) -> bool:
        value = self._typed(name, bool, "a boolean")
        return default if value is None else bool(value)

    def integer(self, name: str, least: int | None = None, most: int | None = None) -> int | None:
        value = self.any(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(self.path(name), f"'{self.path(name)}' should be an integer")
        self._bound(name, value, least, most)
        return value

    def number(self, name: str, least: float | None = None, most: float | None = None) -> float | None:
        value = self.any(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise invalid(self.path(name), f"'{self.path(name)}' should be a number")
        self._bound(name, value, least, most)
        return value

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        value = self.string(name)
        if value is not None and value not in choices:
            raise invalid(self.path(name), f"'{self.path(name)}' should be one of {', '.join(choices)}")
        return value

    def items(self, name: str) -> list[Any] | None:
        return self._typed(name, list, "an array")

    def required_items(self, name: str) -> list[Any]:
        value = self.required(name)
        if not isinstance(value, list):
            raise invalid(self.path(name), f"'{self.path(name)}' should be an array")
        return value

    def object(self, name: str) -> Json | None:
        return self._typed(name, dict, "an object")

    def ignore(self, *names: str) -> None:
        """Fields that say nothing about the answer."""
        for name in names:
            self._left.pop(name, None)

    def only(self, name: str, *values: Any) -> None:
        """A field that has these values and no other here."""
        value = self.any(name)
        # true is not 1 here.
        if value is not None and not any(value == other and type(value) is type(other) for other in values):
            raise unsupported(self.path(name), f"is supported with {_listed(values)} only")

    def refuse(self, *names: str) -> None:
        """Fields that exist at OpenAI's and do not act here."""
        for name in names:
            if name in self._left:
                raise unsupported(self.path(name), "is not supported by this version")

    def finish(self) -> None:
        """Refuses what nobody has taken."""
        for name in self._left:
            raise ApiError(
                400,
                f"unrecognized request argument: '{self.path(name)}'",
                param=self.path(name),
                code="unknown_parameter",
            )

    def _typed(self, name: str, kind: type[_T], words: str) -> _T | None:
        value = self.any(name)
        if value is not None and not isinstance(value, kind):
            raise invalid(self.path(name), f"'{self.path(name)}' should be {words}")
        return value

    def _bound(self, name: str, value: float, least: float | None, most: float | None) -> None:
        # Not (a <= value): NaN, which Python's JSON reads, lies nowhere.
        if (least is not None and not value >= least) or (most is not None and not value <= most):
            raise invalid(self.path(name), f"'{self.path(name)}' should be {_range(least, most)}")


def _range(least: float | None, most: float | None) -> str:
    if most is None:
        return f"at least {least}"
    return f"at most {most}" if least is None else f"from {least} to {most}"


def _listed(values: tuple[Any, ...]) -> str:
    return " or ".join(str(value).lower() if isinstance(value, bool) else repr(value) for value in values)
