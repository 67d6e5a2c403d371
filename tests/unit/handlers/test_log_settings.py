"""The logging extension, apart from where lines go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from naiad.errors import InvalidArgument, NaiadError, Unavailable, Unsupported
from naiad.handlers.log_settings import LogControl
from naiad.settings import LogSettings


def test_what_is_shown() -> None:
    assert LogControl(LogSettings(verbose=2, warning=False, file=Path("/l"))).shown() == {
        "log_file": "/l",
        "log_info": True,
        "log_warning": False,
        "log_error": True,
        "log_verbose_level": 2,
        "log_format": "default",
    }
    assert LogControl(LogSettings()).shown()["log_file"] == ""


def test_changes_act_at_once() -> None:
    applied: list[LogSettings] = []
    control = LogControl(LogSettings(), applied.append)
    control.update({"log_info": False, "log_verbose_level": 1, "log_error": None})
    control.update({"log_format": "ISO8601", "log_file": None})
    control.update({})
    assert applied == [
        LogSettings(info=False, verbose=1),
        LogSettings(info=False, verbose=1, format="ISO8601"),
    ]
    assert control.shown()["log_format"] == "ISO8601"


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ({"log_info": "yes"}, InvalidArgument, "expect boolean for 'log_info'"),
        ({"log_warning": 1}, InvalidArgument, "expect boolean for 'log_warning'"),
        ({"log_error": []}, InvalidArgument, "expect boolean for 'log_error'"),
        ({"log_verbose_level": -1}, InvalidArgument, "expect int32 for 'log_verbose_level'"),
        ({"log_verbose_level": True}, InvalidArgument, "expect int32 for 'log_verbose_level'"),
        ({"log_verbose_level": 1.0}, InvalidArgument, "expect int32 for 'log_verbose_level'"),
        ({"log_verbose_level": 2**31}, InvalidArgument, "expect int32 for 'log_verbose_level'"),
        ({"log_format": "xml"}, InvalidArgument, "invalid argument for log_format, got: xml"),
        ({"log_format": 1}, InvalidArgument, "expect string for 'log_format'"),
        ({"log_file": ""}, Unsupported, "log file location can not be updated through network protocol"),
        ({"log_everything": True}, InvalidArgument, "unknown log setting 'log_everything'"),
    ],
)
def test_a_bad_value_changes_nothing(values: dict[str, Any], kind: type[NaiadError], words: str) -> None:
    applied: list[LogSettings] = []
    control = LogControl(LogSettings(), applied.append)
    before = control.shown()
    with pytest.raises(kind) as refused:
        control.update({"log_info": False, **values} if "log_info" not in values else values)
    assert words in refused.value.message
    assert not applied and control.shown() == before


def test_what_cannot_act_is_not_shown() -> None:
    def fail(settings: LogSettings) -> None:
        raise Unavailable("the log file cannot be written: it is gone")

    control = LogControl(LogSettings(), fail)
    with pytest.raises(Unavailable):
        control.update({"log_info": False})
    assert control.shown()["log_info"] is True
