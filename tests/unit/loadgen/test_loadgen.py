"""The parts of the load generator."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from naiad import protos
from naiad.cli.bench import read_range, results_table
from naiad.errors import InvalidArgument
from naiad.loadgen.inputs import InputSpec, from_file, made_up, read_shapes
from naiad.loadgen.measure import Level
from naiad.loadgen.pace import due_times
from naiad.loadgen.recorder import Recorder
from naiad.loadgen.report import COLUMNS, row_of, to_csv
from naiad.loadgen.scenario import Scenario
from naiad.loadgen.target import ServerTime, target_of
from naiad.loadgen.windows import Window, is_stable, one_after_another, together
from naiad.loadgen.wire import grpc_request, http_request

IMAGE = InputSpec("x", "FP32", (3, -1))
WORDS = InputSpec("w", "BYTES", (2,))


def window(*latencies: float, seconds: float = 1.0) -> Window:
    made = Window(seconds=seconds)
    for latency in latencies:
        made.latency.add(latency)
    return made


def test_percentiles_are_close() -> None:
    made = window(*(index / 1000 for index in range(1, 101)))
    for percent in (1, 50, 90, 99, 100):
        assert made.percentile_s(percent) == pytest.approx(percent / 1000, rel=0.005)
    assert made.mean_s == pytest.approx(0.0505)
    assert Window().percentile_s(50) == 0 and Window().per_second == 0


def test_windows_add_up() -> None:
    one, two = window(0.1, 0.2), window(0.3)
    one.errors["503"] += 1
    assert together([one, two]).per_second == 3
    assert one_after_another([one, two]).per_second == 1.5
    read = Window.from_json(one.to_json())
    assert read == one


def test_alike_is_within_a_share_of_the_average() -> None:
    assert is_stable([window(*[0.1] * n) for n in (100, 105, 96)], 0.1)
    assert not is_stable([window(*[0.1] * n) for n in (100, 150, 96)], 0.1)
    assert not is_stable([window(*[latency] * 100) for latency in (0.1, 0.2, 0.1)], 0.1)
    assert not is_stable([Window(seconds=1)] * 3, 0.1)


def test_what_comes_before_the_first_window_counts_for_nothing() -> None:
    told: list[Window] = []
    recorder = Recorder(10.0, 1.0, told.append)
    recorder.answer(0.5, 9.9)
    recorder.tick(10.0)
    recorder.answer(0.5, 10.5)
    recorder.failure("503", 10.6)
    recorder.answer(0.5, 11.2)
    (first,) = told
    assert (first.answers, first.errors["503"], first.seconds) == (1, 1, pytest.approx(1.2))


def test_times_of_an_open_loop() -> None:
    constant = list(itertools.islice(due_times(100, "constant", 0, 5.0), 3))
    assert constant == pytest.approx([5.01, 5.02, 5.03])
    times = list(itertools.islice(due_times(100, "poisson", 1, 0.0), 10_000))
    assert times[-1] == pytest.approx(100, rel=0.05)
    assert times == list(itertools.islice(due_times(100, "poisson", 1, 0.0), 10_000))


def test_made_up_inputs() -> None:
    x, w = made_up([IMAGE, WORDS], {"x": (3, 2)}, 4, zeros=False, seed=0)
    assert x.shape == (4, 3, 2) and len(x.data) == 4 * 3 * 2 * 4
    assert w.shape == (4, 2) and w.data[:4] == (9).to_bytes(4, "little")
    (zero,) = made_up([IMAGE], {"x": (3, 2)}, 0, zeros=True, seed=0)
    assert zero.shape == (3, 2) and not any(zero.data)
    assert made_up([InputSpec("o", "FP32", (1,), optional=True)], {}, 1, zeros=True, seed=0) == []
    for datatype, size in (("BF16", 2), ("FP16", 2), ("INT64", 8), ("BOOL", 1), ("UINT8", 1)):
        (made,) = made_up([InputSpec("a", datatype, (5,))], {}, 0, zeros=False, seed=0)
        assert len(made.data) == 5 * size


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ({}, "give --shape x:3,16"),
        ({"x": (4, 2)}, "does not fit"),
        ({"x": (3,)}, "does not fit"),
        ({"y": (3,)}, "no input 'y'"),
    ],
)
def test_shapes_that_do_not_fit(shapes: dict[str, tuple[int, ...]], reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        made_up([IMAGE], shapes, 1, zeros=True, seed=0)


def test_inputs_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    rows = [{"x": {"content": [[1, 2], [3, 4], [5, 6]], "shape": [3, 2]}, "w": ["a", "bc"]}]
    path.write_text(json.dumps({"data": rows}))
    ((x, w),) = from_file(path, [IMAGE, WORDS], 2)
    assert x.shape == (2, 3, 2)
    assert np.frombuffer(x.data, np.float32).tolist() == [1, 2, 3, 4, 5, 6] * 2
    assert w.data == b"\x01\0\0\0a\x02\0\0\0bc" * 2
    for text, reason in (
        ("{", "can not be read"),
        ('{"data": []}', "should be"),
        ('{"data": [{"w": ["a", "b"]}]}', "'x' is missing"),
        ('{"data": [{"z": 1}]}', "no input 'z'"),
        ('{"data": [{"x": [1], "w": ["a"]}]}', "input 'x'|input 'w'"),
    ):
        path.write_text(text)
        with pytest.raises(InvalidArgument, match=reason):
            from_file(path, [IMAGE, WORDS], 1)


def test_requests_as_bytes() -> None:
    inputs = made_up([IMAGE], {"x": (3, 2)}, 1, zeros=True, seed=0)
    request = http_request("h:1", "m", "2", inputs, ["y"])
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/models/m/versions/2/infer HTTP/1.1\r\nHost: h:1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    message = protos.message_class("inference.ModelInferRequest").FromString(
        grpc_request("m", "2", inputs, ["y"])
    )
    assert (message.model_name, message.model_version) == ("m", "2")
    assert list(message.inputs[0].shape) == [1, 3, 2] and message.raw_input_contents[0] == inputs[0].data


def test_a_scenario_is_read_back() -> None:
    scenario = Scenario("grpc", "h", 1, (b"\0\xff", b"x"), 3, 4.5, "poisson", 6)
    assert Scenario.from_json(scenario.to_json()) == scenario


def test_ranges() -> None:
    assert read_range("-", "8") == [8]
    assert read_range("-", "1:3") == [1, 2, 3]
    assert read_range("-", "0.5:2:0.5") == [0.5, 1, 1.5, 2]
    for wrong in ("", "0", "3:1", "1:2:0", "a", "1:2:3:4", "1:9999"):
        with pytest.raises(InvalidArgument):
            read_range("-", wrong)
    for wrong in ("x,3", "x:", "x:a"):
        with pytest.raises(InvalidArgument):
            read_shapes([wrong])


def test_addresses() -> None:
    assert (target_of("h", "http", "m", "").port, target_of("h", "grpc", "m", "").port) == (8000, 8001)
    assert target_of("http://h:9", "http", "m", "").port == 9
    for wrong in ("ftp://h", "h:port", "h/path"):
        with pytest.raises(InvalidArgument):
            target_of(wrong, "http", "m", "")


def test_rows() -> None:
    measured = window(0.001, 0.003, seconds=2)
    measured.client_cpu_s = 0.0001
    server = ServerTime(requests=4, executions=2, queue_ns=8000, compute_infer_ns=40_000)
    row = row_of("h:1", Level(8, 0.0, measured, server, True, 3), 2)
    assert tuple(row) == COLUMNS
    assert (row["inferences_per_second"], row["requests_per_second"]) == (2, 1)
    assert (row["server_queue_us"], row["server_compute_infer_us"], row["mean_batch"]) == (2, 10, 4)
    assert row["client_cpu_us_per_request"] == 50
    assert to_csv([row]).splitlines()[0] == ",".join(COLUMNS)
    assert results_table([row]).row_count == 1
    assert server.since(ServerTime(requests=1)).requests == 3


def test_tensors_as_json() -> None:
    inputs = made_up([IMAGE, WORDS], {"x": (3, 1)}, 1, zeros=False, seed=0)
    request = http_request("h:1", "m", "", inputs, ["y"], json_inputs=True, json_outputs=True)
    head, _, body = request.partition(b"\r\n\r\n")
    assert b"Inference-Header-Content-Length" not in head
    tree = json.loads(body)
    x, w = tree["inputs"]
    assert x["data"] == np.frombuffer(inputs[0].data, np.float32).tolist() and "parameters" not in x
    assert len(w["data"]) == 2 and all(word.startswith("w") for word in w["data"])
    assert tree["outputs"] == [{"name": "y", "parameters": {"binary_data": False}}]
    half = made_up([InputSpec("h", "FP16", (1,))], {}, 1, zeros=True, seed=0)
    with pytest.raises(InvalidArgument, match="'h' is FP16"):
        http_request("h:1", "m", "", half, ["y"], json_inputs=True)
