"""``--trace-config``, as Triton has it: ``[MODE,]SETTING=VALUE``, any number of times."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from naiad.cli.values import refuse
from naiad.settings import TraceSettings

_refuse = partial(refuse, flag="--trace-config")
_ON_WORDS = ("true", "on", "min", "max", "timestamps")
_OFF_WORDS = ("false", "off")
_BATCH = {
    "bsp_max_queue_size": "bsp_max_queue_size",
    "bsp_schedule_delay": "bsp_schedule_delay_ms",
    "bsp_max_export_batch_size": "bsp_max_export_batch_size",
}
_MAX_UINT32 = 2**32 - 1
_MAX_INT32 = 2**31 - 1


def trace_settings(entries: Sequence[str]) -> TraceSettings:
    """The settings of a server. Later entries win; levels add up, and OFF is stronger than all. Whatever has
    no meaning, or none in the mode that is chosen, is refused by name.
    """
    settings = _from_environment(TraceSettings())
    given: dict[str, str] = {}
    is_off = False
    for entry in entries:
        mode, setting, value = _parts(entry)
        if mode:
            given.setdefault(mode, entry)
            settings = _of_mode(settings, mode, setting, value)
        elif setting == "level":
            word = value.lower()
            if word in _OFF_WORDS:
                is_off = True
            elif word in _ON_WORDS:
                settings = replace(settings, timestamps=True)
            elif word == "tensors":
                settings = replace(settings, tensors=True)
            else:
                _refuse(f"invalid value for trace level option: {value}")
        elif setting == "mode":
            settings = replace(settings, mode=_mode(value))
        elif setting == "rate":
            settings = replace(settings, rate=_number(setting, value, 0, _MAX_UINT32))
        elif setting == "count":
            settings = replace(settings, count=_number(setting, value, -1, _MAX_INT32))
        else:
            _refuse(f"unknown setting '{setting}'")
    if is_off:
        settings = replace(settings, timestamps=False, tensors=False)
    for mode, entry in given.items():
        if mode != settings.mode:
            _refuse(f"'{entry}' has no effect in mode {settings.mode}")
    return _checked(settings)


def _checked(settings: TraceSettings) -> TraceSettings:
    if settings.mode == "opentelemetry":
        if settings.tensors:
            _refuse("level TENSORS is not supported in mode opentelemetry")
        if settings.bsp_max_export_batch_size > settings.bsp_max_queue_size:
            _refuse("bsp_max_export_batch_size must not be larger than bsp_max_queue_size")
    elif settings.timestamps or settings.tensors:
        if settings.file is None:
            _refuse("a level needs a trace file: triton,file=FILE")
        if settings.rate == 0:
            _refuse("rate must be non-zero in mode triton")
    return settings


def _parts(entry: str) -> tuple[str, str, str]:
    head, equals, value = entry.partition("=")
    mode, comma, setting = head.partition(",")
    if not comma:
        mode, setting = "", head
    elif not mode:
        _refuse(f"no trace mode specified in '{entry}'")
    if not equals or not setting or not value:
        _refuse(f"'{entry}' should be [<mode>,]<setting>=<value>")
    return (_mode(mode) if mode else ""), setting, value


def _of_mode(settings: TraceSettings, mode: str, setting: str, value: str) -> TraceSettings:
    if mode == "triton" and setting == "file":
        return replace(settings, file=Path(value))
    if mode == "triton" and setting == "log-frequency":
        return replace(settings, log_frequency=_number(setting, value, 0, _MAX_UINT32))
    if mode == "opentelemetry" and setting == "url":
        return replace(settings, url=value)
    if mode == "opentelemetry" and setting == "resource":
        key, equals, text = value.partition("=")
        if not equals or not key:
            _refuse(f"resource should be <key>=<value>, got '{value}'")
        return replace(settings, resource=(*settings.resource, (key, text)))
    if mode == "opentelemetry" and setting in _BATCH:
        return _with_batch(settings, setting, value)
    return _refuse(f"unknown setting '{setting}' of mode {mode}")


def _from_environment(settings: TraceSettings) -> TraceSettings:
    for setting in _BATCH:
        # The names that OpenTelemetry gives them.
        value = os.environ.get(f"OTEL_{setting.upper()}")
        if value:
            settings = _with_batch(settings, setting, value)
    return settings


def _with_batch(settings: TraceSettings, setting: str, value: str) -> TraceSettings:
    changes: dict[str, Any] = {_BATCH[setting]: _number(setting, value, 1, _MAX_INT32)}
    return replace(settings, **changes)


def _mode(word: str) -> Literal["triton", "opentelemetry"]:
    lower = word.lower()
    if lower == "triton":
        return "triton"
    if lower == "opentelemetry":
        return "opentelemetry"
    return _refuse(f"invalid value for trace mode option: {word}; there are triton and opentelemetry")


def _number(setting: str, value: str, low: int, high: int) -> int:
    try:
        number = int(value) if len(value) <= 20 else None
    except ValueError:
        number = None
    if number is None or not low <= number <= high:
        _refuse(f"{setting} should be a number from {low} to {high}, got '{value[:64]}'")
    return number
