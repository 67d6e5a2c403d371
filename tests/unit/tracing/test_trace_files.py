"""Traces in Triton's JSON form, and the files that they go into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naiad.tracing.file_writer import FileWriter
from naiad.tracing.record import TracedTensor, TraceRecord, TraceSpan
from naiad.tracing.trace_file import TraceFile
from naiad.tracing.triton_json import tensor_text, write_record


def span(number: int, parent: int = 0, **more: Any) -> TraceSpan:
    values: dict[str, Any] = {
        "id": number,
        "parent_id": parent,
        "span_id": 0,
        "model_name": "m",
        "model_version": 2,
        "request_id": "",
        "marks": (("REQUEST_START", 20), ("REQUEST_END", 30)),
        "tensors": (),
    }
    return TraceSpan(**values | more)


def record(*spans: TraceSpan) -> TraceRecord:
    return TraceRecord(spans, 0, 0, 0, 0, "")


def ids(path: Path) -> list[int]:
    return [item["id"] for item in json.loads(path.read_text()) if "model_name" in item]


def test_the_form() -> None:
    tensor = TracedTensor(True, 25, "A", "INT32", (1, 2), np.array([3, -4], "<i4").tobytes())
    output = TracedTensor(False, 28, "B", "BYTES", (1,), b"\x02\0\0\0\xc3\xa9")
    first = span(
        1,
        request_id='r"1',
        marks=(("HTTP_RECV_START", 10), ("REQUEST_START", 20), ("REQUEST_END", 30)),
        tensors=(tensor, output),
    )
    assert json.loads("[" + write_record(record(first, span(2, parent=1, marks=()))) + "]") == [
        {"id": 1, "timestamps": [{"name": "HTTP_RECV_START", "ns": 10}]},
        {"id": 1, "model_name": "m", "model_version": 2, "request_id": 'r"1'},
        {"id": 1, "timestamps": [{"name": "REQUEST_START", "ns": 20}]},
        {
            "id": 1,
            "activity": "TENSOR_QUEUE_INPUT",
            "tensor": {"name": "A", "data": "3,-4", "shape": "1,2", "dtype": "INT32"},
        },
        {
            "id": 1,
            "activity": "TENSOR_BACKEND_OUTPUT",
            "tensor": {"name": "B", "data": '"é"', "shape": "1", "dtype": "BYTES"},
        },
        {"id": 1, "timestamps": [{"name": "REQUEST_END", "ns": 30}]},
        {"id": 2, "model_name": "m", "model_version": 2, "parent_id": 1},
    ]


@pytest.mark.parametrize(
    ("datatype", "data", "text"),
    [
        ("BOOL", b"\1\0", "1,0"),
        ("UINT8", b"\xff", "255"),
        ("INT64", b"\xff" * 8, "-1"),
        ("FP16", np.array([1.5], "<f2").tobytes(), "1.5"),
        ("BF16", b"\xc0\x3f", "1.5"),
        ("FP32", np.array([1, 0.1], "<f4").tobytes(), "1,0.1"),
        ("FP64", np.array([1e300], "<f8").tobytes(), "1e+300"),
        ("BYTES", b"\1\0\0\0a\0\0\0\0", '"a",""'),
        ("INT32", b"", ""),
    ],
)
def test_elements(datatype: str, data: bytes, text: str) -> None:
    assert tensor_text(datatype, data) == text


def writer(tmp_path: Path, log_frequency: int = 0, is_counted: bool = False) -> FileWriter:
    made = FileWriter(TraceFile(tmp_path / "t"))
    made.begin(1, log_frequency, is_counted)
    return made


def test_all_go_into_the_file_as_they_come(tmp_path: Path) -> None:
    made = writer(tmp_path)
    made.add(1, record(span(1)))
    assert '"id":1' in (tmp_path / "t").read_text()
    made.begin(2, 0, False)
    made.end(1)
    made.add(2, record(span(2)))
    made.close()
    made.close()
    assert ids(tmp_path / "t") == [1, 2] and len(list(tmp_path.iterdir())) == 1


def test_so_many_go_together_into_numbered_files(tmp_path: Path) -> None:
    made = writer(tmp_path, log_frequency=2)
    for number in range(1, 6):
        made.add(1, record(span(number)))
    assert ids(tmp_path / "t.0") == [1, 2] and ids(tmp_path / "t.1") == [3, 4]
    made.end(1)
    assert ids(tmp_path / "t.2") == [5]
    made.close()
    assert not (tmp_path / "t").exists()


def test_a_count_that_is_reached_is_written(tmp_path: Path) -> None:
    made = writer(tmp_path, is_counted=True)
    made.add(1, record(span(1)))
    made.add(1, record(span(2)))
    assert not list(tmp_path.iterdir())
    made.complete(1)
    assert ids(tmp_path / "t.0") == [1, 2]
    made.end(1)
    made.begin(2, 0, True)
    made.add(2, record(span(3)))
    made.close()
    assert ids(tmp_path / "t") == [3]


def test_what_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = FileWriter(TraceFile(tmp_path / "none" / "t"))
    made.begin(1, 0, False)
    with caplog.at_level("ERROR", "naiad"):
        for number in range(3):
            made.add(1, record(span(number)))
    made.close()
    assert [each.message for each in caplog.records] == [
        "failed creating trace file: No such file or directory"
    ]
