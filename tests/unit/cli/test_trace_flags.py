"""``--trace-config`` and the flags that it took the place of."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from naiad.cli.trace_flags import trace_settings
from naiad.cli.triton_flags import prepare
from naiad.settings import TraceSettings


@pytest.mark.parametrize(
    ("entries", "settings"),
    [
        ([], TraceSettings()),
        (["level=off"], TraceSettings()),
        (
            ["triton,file=/t", "level=TIMESTAMPS", "level=TENSORS", "rate=3", "count=4"],
            TraceSettings(timestamps=True, tensors=True, rate=3, count=4, file=Path("/t")),
        ),
        (["triton,file=/t", "level=min", "level=OFF"], TraceSettings(file=Path("/t"))),
        (["rate=1", "rate=2", "triton,log-frequency=5"], TraceSettings(rate=2, log_frequency=5)),
        (
            ["mode=OpenTelemetry", "rate=0", "level=max", "opentelemetry,url=http://h/v1/traces"],
            TraceSettings(mode="opentelemetry", rate=0, timestamps=True, url="http://h/v1/traces"),
        ),
        (
            ["opentelemetry,resource=a=b=c", "opentelemetry,resource=d=", "mode=opentelemetry",
             "opentelemetry,bsp_max_queue_size=600", "opentelemetry,bsp_schedule_delay=7"],
            TraceSettings(mode="opentelemetry", resource=(("a", "b=c"), ("d", "")),
                          bsp_max_queue_size=600, bsp_schedule_delay_ms=7),
        ),
    ],
)  # fmt: skip
def test_settings(entries: list[str], settings: TraceSettings) -> None:
    assert trace_settings(entries) == settings


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (["level"], r"'level' should be \[<mode>,\]<setting>=<value>"),
        (["level="], "should be"),
        ([",level=OFF"], "no trace mode specified"),
        (["level=most"], "invalid value for trace level option: most"),
        (["mode=jaeger"], "invalid value for trace mode option: jaeger"),
        (["jaeger,url=x"], "invalid value for trace mode option: jaeger"),
        (["speed=1"], "unknown setting 'speed'"),
        (["triton,url=x"], "unknown setting 'url' of mode triton"),
        (["rate=-1"], "rate should be a number from 0 to 4294967295, got '-1'"),
        (["count=-2"], "count should be a number from -1"),
        (["triton,log-frequency=x"], "log-frequency should be a number"),
        (["level=TIMESTAMPS"], "a level needs a trace file"),
        (["triton,file=/t", "level=TIMESTAMPS", "rate=0"], "rate must be non-zero"),
        (["opentelemetry,url=x"], "'opentelemetry,url=x' has no effect in mode triton"),
        (["mode=opentelemetry", "triton,file=x"], "has no effect in mode opentelemetry"),
        (["mode=opentelemetry", "level=TENSORS"], "TENSORS is not supported in mode opentelemetry"),
        (["mode=opentelemetry", "opentelemetry,resource=x"], "resource should be <key>=<value>"),
        (["mode=opentelemetry", "opentelemetry,bsp_max_queue_size=5"], "must not be larger"),
    ],
)
def test_refusals(entries: list[str], words: str) -> None:
    with pytest.raises(typer.BadParameter, match=words):
        trace_settings(entries)


def test_batches_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "9")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1000")
    settings = trace_settings(["mode=opentelemetry", "opentelemetry,bsp_max_queue_size=900"])
    assert (settings.bsp_schedule_delay_ms, settings.bsp_max_queue_size) == (9, 900)


def test_deprecated_flags_still_act(capsys: pytest.CaptureFixture[str]) -> None:
    prepared = prepare(
        ["serve", "--http-port=1", "--trace-config=rate=5", "--trace-file", "/t", "--trace-rate=7",
         "--trace-level=TIMESTAMPS", "--trace-count", "3", "--trace-log-frequency=2"]
    )  # fmt: skip
    assert prepared[1:] == [
        "--trace-config=triton,file=/t",
        "--trace-config=rate=7",
        "--trace-config=level=TIMESTAMPS",
        "--trace-config=count=3",
        "--trace-config=triton,log-frequency=2",
        "--http-port=1",
        "--trace-config=rate=5",
    ]
    entries = [each.removeprefix("--trace-config=") for each in prepared if "trace-config" in each]
    assert trace_settings(entries) == TraceSettings(
        timestamps=True, rate=5, count=3, file=Path("/t"), log_frequency=2
    )
    assert "--trace-file is deprecated, use --trace-config triton,file=" in capsys.readouterr().err
