"""The trace extension: what is traced, for all models and for each, changed while the server runs.

Three layers, as with Triton: what the server was started with, changes for all models, changes for one. A
field that a layer does not name is that of the layer below. The event loop's thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from naiad.errors import InvalidArgument, Unsupported
from naiad.settings import TraceSettings

if TYPE_CHECKING:
    from naiad.engine import Tracer

ALL_MODELS = ""
Values = Mapping[str, list[str]]
"""By name of a setting; no values: the layer does not name it any more."""

_MAX_UINT32 = 2**32 - 1
_MAX_INT32 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Setting:
    timestamps: bool
    tensors: bool
    rate: int
    count: int
    log_frequency: int

    @property
    def is_on(self) -> bool:
        return self.timestamps or self.tensors


@dataclass(slots=True)
class _Layer:
    changes: dict[str, Any] = field(default_factory=dict)
    """Of ``_Setting``, by name."""


class TraceControl:
    """The trace settings as clients see and change them."""

    def __init__(
        self, settings: TraceSettings, tracer: Tracer, begin: Callable[[int, int, bool], None]
    ) -> None:
        """``begin(number, log_frequency, is_counted)`` is told of each setting before it acts."""
        self._settings = settings
        self._tracer = tracer
        self._begin = begin
        self._last_number = 0
        self._start = _Setting(
            settings.timestamps, settings.tensors, settings.rate, settings.count, settings.log_frequency
        )
        self._layers: dict[str, _Layer] = {ALL_MODELS: _Layer()}
        self._act(ALL_MODELS, self._start)

    def shown(self, model: str = ALL_MODELS) -> dict[str, str | list[str]]:
        """By Triton's names; ``trace_count`` is what is left of it."""
        name = model if model in self._layers else ALL_MODELS
        setting = self._effective(name, self._layers)
        settings = self._settings
        levels = [
            word for word, on in (("TIMESTAMPS", setting.timestamps), ("TENSORS", setting.tensors)) if on
        ]
        shown: dict[str, str | list[str]] = {
            "trace_level": levels or ["OFF"],
            "trace_rate": str(setting.rate),
            "trace_count": str(self._tracer.count_left(name)),
        }
        if settings.mode == "triton":
            shown["log_frequency"] = str(setting.log_frequency)
            shown["trace_file"] = "" if settings.file is None else str(settings.file)
            return shown | {"trace_mode": "triton"}
        shown["trace_mode"] = "opentelemetry"
        shown["url"] = settings.url
        if settings.resource:
            shown["resource"] = ",".join(f"{key}={value}" for key, value in settings.resource)
        shown["bsp_max_queue_size"] = str(settings.bsp_max_queue_size)
        shown["bsp_schedule_delay"] = str(settings.bsp_schedule_delay_ms)
        shown["bsp_max_export_batch_size"] = str(settings.bsp_max_export_batch_size)
        return shown

    def update(self, values: Values, model: str = ALL_MODELS) -> None:
        """Changes what is named, all of it or, when one value is refused, nothing.

        Raises InvalidArgument, Unsupported for what is given at the start alone: who may reach the port may
        not choose where the server writes.
        """
        changes = {name: self._read(name, given, model) for name, given in values.items()}
        layers = {name: _Layer(dict(layer.changes)) for name, layer in self._layers.items()}
        changed = layers.setdefault(model, _Layer()).changes
        for name, fields in changes.items():
            if fields is None:
                for each in _FIELDS[name]:
                    changed.pop(each, None)
            else:
                changed.update(fields)
        # What was named before goes on where it stands; what is named now begins anew.
        for name, layer in layers.items():
            if "count" in layer.changes and not (name == model and changes.get("trace_count")):
                layer.changes["count"] = self._tracer.count_left(name)
        touched = [name for name in layers if model in (ALL_MODELS, name)]
        for name in touched:
            self._check(self._effective(name, layers))
        self._layers = layers
        for name in touched:
            if name != ALL_MODELS and not layers[name].changes:
                del layers[name]
                self._tracer.clear(name)
            else:
                self._act(name, self._effective(name, layers))

    def _effective(self, name: str, layers: Mapping[str, _Layer]) -> _Setting:
        setting = replace(self._start, **layers[ALL_MODELS].changes)
        return setting if name == ALL_MODELS else replace(setting, **layers[name].changes)

    def _act(self, name: str, setting: _Setting) -> None:
        self._last_number += 1
        self._begin(self._last_number, setting.log_frequency, setting.count >= 0)
        self._tracer.set(
            name,
            number=self._last_number,
            timestamps=setting.timestamps,
            tensors=setting.tensors,
            rate=setting.rate,
            count=setting.count,
            has_context=self._settings.mode == "opentelemetry",
        )

    def _check(self, setting: _Setting) -> None:
        if not setting.is_on:
            return
        reason = ""
        if self._settings.mode == "triton":
            if setting.rate == 0:
                reason = "sample rate must be non-zero"
            elif self._settings.file is None:
                reason = "trace file name is not given"
        elif setting.tensors:
            reason = "tensors are not traced in mode opentelemetry"
        if reason:
            raise InvalidArgument(f"Attempting to set invalid trace setting :{reason}")

    def _read(self, name: str, given: list[str], model: str) -> dict[str, Any] | None:
        """The fields that a setting names; None: it is not named any more."""
        if name == "trace_file":
            raise Unsupported("trace file location can not be updated through network protocol")
        if name == "log_frequency" and self._settings.mode != "triton":
            raise Unsupported("log_frequency is not supported in mode opentelemetry")
        if name not in _FIELDS:
            shown = self.shown(model).get(name)
            if shown is None:
                raise InvalidArgument(f"unknown trace setting '{name}'")
            if given != [shown]:
                raise Unsupported(f"{name} can not be updated through network protocol")
            return {}
        if not given:
            return None
        if name == "trace_level":
            return _levels(given)
        if len(given) != 1:
            raise InvalidArgument(f"expect only 1 value for '{name}'")
        low, high = (-1, _MAX_INT32) if name == "trace_count" else (0, _MAX_UINT32)
        (attribute,) = _FIELDS[name]
        return {attribute: _number(name, given[0], low, high)}


_FIELDS: dict[str, tuple[str, ...]] = {
    "trace_level": ("timestamps", "tensors"),
    "trace_rate": ("rate",),
    "trace_count": ("count",),
    "log_frequency": ("log_frequency",),
}


def _levels(given: list[str]) -> dict[str, Any]:
    for word in given:
        if word not in ("OFF", "TIMESTAMPS", "TENSORS"):
            raise InvalidArgument(f"unknown trace level '{word}'")
    if "OFF" in given and len(given) > 1:
        raise InvalidArgument("Expect only one trace level 'OFF' is specified")
    return {"timestamps": "TIMESTAMPS" in given, "tensors": "TENSORS" in given}


def _number(name: str, text: str, low: int, high: int) -> int:
    # The bound keeps a number of a million digits out of int().
    if re.fullmatch(r"[+-]?[0-9]{1,20}", text) is None:
        shown = text if len(text) <= 64 else text[:64] + "..."
        raise InvalidArgument(f"Unable to parse '{name}', got: {shown}")
    value = int(text)
    if name == "trace_count" and value < low:
        raise InvalidArgument(f"Unable to parse '{name}'. Expecting value >= {low}, got: {text}")
    if not low <= value <= high:
        raise InvalidArgument(
            f"Unable to parse '{name}', value is out of range [ {low}, {high} ], got: {text}"
        )
    return value
