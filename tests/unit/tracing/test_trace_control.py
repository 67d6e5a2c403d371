"""The trace extension, apart from the core that decides of each request."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from naiad.errors import InvalidArgument, NaiadError, Unsupported
from naiad.settings import TraceSettings
from naiad.tracing.control import TraceControl

TO_FILE = TraceSettings(timestamps=True, rate=1, file=Path("/t.json"))
TO_COLLECTOR = TraceSettings(mode="opentelemetry", resource=(("a", "b"),))


@dataclass
class FakeTracer:
    """Keeps what it is told; ``left`` is what requests have left of a count."""

    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    def set(self, model: str, **setting: Any) -> None:
        self.settings[model] = setting
        self.left[model] = setting["count"]

    def clear(self, model: str) -> None:
        del self.settings[model]

    def count_left(self, model: str) -> int:
        return self.left.get(model, self.left[""])


class Control(TraceControl):
    def __init__(self, settings: TraceSettings) -> None:
        self.tracer = FakeTracer()
        self.begun: list[tuple[int, int, bool]] = []
        super().__init__(settings, self.tracer, lambda *begun: self.begun.append(begun))

    def acts(self, model: str = "") -> dict[str, Any]:
        return self.tracer.settings[model]


def test_what_is_shown() -> None:
    assert Control(TraceSettings()).shown() == {
        "trace_level": ["OFF"],
        "trace_rate": "1000",
        "trace_count": "-1",
        "log_frequency": "0",
        "trace_file": "",
        "trace_mode": "triton",
    }
    assert Control(TO_COLLECTOR).shown("any") == {
        "trace_level": ["OFF"],
        "trace_rate": "1000",
        "trace_count": "-1",
        "trace_mode": "opentelemetry",
        "url": "http://localhost:4318/v1/traces",
        "resource": "a=b",
        "bsp_max_queue_size": "2048",
        "bsp_schedule_delay": "5000",
        "bsp_max_export_batch_size": "512",
    }


def test_changes_act_at_once() -> None:
    control = Control(TO_FILE)
    assert control.begun == [(1, 0, False)]
    control.update({"trace_level": ["TENSORS", "TIMESTAMPS"], "trace_count": ["5"], "log_frequency": ["2"]})
    assert control.acts() == {
        "number": 2,
        "timestamps": True,
        "tensors": True,
        "rate": 1,
        "count": 5,
        "has_context": False,
    }
    assert control.begun[-1] == (2, 2, True)
    assert control.shown()["trace_level"] == ["TIMESTAMPS", "TENSORS"]


def test_a_model_goes_by_what_is_said_of_all_but_for_its_own() -> None:
    control = Control(TO_FILE)
    control.update({"trace_rate": ["3"]}, "m")
    assert control.shown("m")["trace_rate"] == "3" and control.shown("other")["trace_rate"] == "1"
    control.update({"trace_rate": ["7"], "log_frequency": ["9"]})
    assert (control.shown("m")["trace_rate"], control.shown("m")["log_frequency"]) == ("3", "9")
    assert control.acts("m")["rate"] == 3
    control.update({"trace_rate": []}, "m")
    assert control.shown("m")["trace_rate"] == "7" and "m" not in control.tracer.settings


def test_no_value_goes_back_to_the_layer_below() -> None:
    control = Control(TO_FILE)
    before = control.shown()
    control.update(
        {"trace_rate": ["5"], "trace_level": ["OFF"], "trace_count": ["2"], "log_frequency": ["4"]}
    )
    control.update({"trace_rate": [], "trace_level": [], "trace_count": [], "log_frequency": []})
    assert control.shown() == before and control.acts()["timestamps"] is True


def test_a_count_goes_on_where_it_stands() -> None:
    control = Control(TO_FILE)
    control.update({"trace_count": ["5"]})
    control.tracer.left[""] = 3
    assert control.shown()["trace_count"] == "3"
    control.update({"trace_rate": ["2"]})
    assert control.acts()["count"] == 3
    control.update({"trace_count": ["5"]})
    assert control.acts()["count"] == 5


def test_what_does_not_change_may_be_said_too() -> None:
    control = Control(TO_FILE)
    control.update({"trace_mode": ["triton"], "trace_rate": ["2"]})
    assert control.acts()["rate"] == 2


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ({"trace_rate": ["x"]}, InvalidArgument, "Unable to parse 'trace_rate', got: x"),
        ({"trace_rate": [""]}, InvalidArgument, "Unable to parse 'trace_rate', got: "),
        ({"trace_rate": ["7x"]}, InvalidArgument, "Unable to parse 'trace_rate', got: 7x"),
        ({"trace_rate": ["9" * 5000]}, InvalidArgument, "Unable to parse 'trace_rate', got: 999"),
        (
            {"trace_rate": ["-3"]},
            InvalidArgument,
            "'trace_rate', value is out of range [ 0, 4294967295 ], got: -3",
        ),
        ({"trace_rate": ["4294967296"]}, InvalidArgument, "value is out of range [ 0, 4294967295 ]"),
        ({"trace_rate": ["0"]}, InvalidArgument, "invalid trace setting :sample rate must be non-zero"),
        ({"trace_rate": ["1", "2"]}, InvalidArgument, "expect only 1 value for 'trace_rate'"),
        ({"trace_count": ["-2"]}, InvalidArgument, "'trace_count'. Expecting value >= -1, got: -2"),
        ({"trace_count": ["2147483648"]}, InvalidArgument, "out of range [ -1, 2147483647 ]"),
        ({"log_frequency": ["-1"]}, InvalidArgument, "'log_frequency', value is out of range"),
        ({"trace_level": ["OFF", "TENSORS"]}, InvalidArgument, "only one trace level 'OFF' is specified"),
        ({"trace_level": ["MIN"]}, InvalidArgument, "unknown trace level 'MIN'"),
        ({"trace_file": ["x"]}, Unsupported, "trace file location can not be updated through network"),
        ({"trace_file": []}, Unsupported, "trace file location can not be updated through network"),
        ({"trace_mode": ["opentelemetry"]}, Unsupported, "trace_mode can not be updated"),
        ({"everything": ["1"]}, InvalidArgument, "unknown trace setting 'everything'"),
    ],
)
def test_a_bad_value_changes_nothing(
    values: dict[str, list[str]], kind: type[NaiadError], words: str
) -> None:
    control = Control(TO_FILE)
    before = control.shown()
    for model in ("", "m"):
        with pytest.raises(kind) as refused:
            control.update({"trace_level": ["TENSORS"], **values}, model)
        assert words in refused.value.message
    assert control.shown() == before and control.shown("m") == before and len(control.begun) == 1


def test_what_cannot_act_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="trace file name is not given"):
        Control(TraceSettings()).update({"trace_level": ["TIMESTAMPS"]})
    with pytest.raises(InvalidArgument, match="tensors are not traced"):
        Control(TO_COLLECTOR).update({"trace_level": ["TENSORS"]})
    with pytest.raises(Unsupported, match="log_frequency"):
        Control(TO_COLLECTOR).update({"log_frequency": ["1"]})


def test_a_change_for_all_that_a_model_could_not_follow_is_refused() -> None:
    control = Control(TO_FILE)
    control.update({"trace_level": ["TIMESTAMPS"]}, "m")
    with pytest.raises(InvalidArgument, match="sample rate"):
        control.update({"trace_level": ["OFF"], "trace_rate": ["0"]})
    assert control.shown()["trace_level"] == ["TIMESTAMPS"]


def test_to_a_collector_a_rate_of_0_traces_what_clients_trace() -> None:
    control = Control(TO_COLLECTOR)
    control.update({"trace_level": ["TIMESTAMPS"], "trace_rate": ["0"]})
    assert control.acts()["rate"] == 0 and control.acts()["has_context"] is True
