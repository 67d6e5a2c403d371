"""The queue delay that is found, on a server."""

from __future__ import annotations

import concurrent.futures
import http.client
from pathlib import Path

from .conftest import IDENTITY, ServerProcess, Start, infer_request, write_model

AUTO = """
parameters { key: "max_queue_delay_microseconds" value { string_value: "auto" } }
parameters { key: "latency_target_microseconds" value { string_value: "50000" } }
"""


def metric(server: ServerProcess, name: str, model: str) -> float | None:
    connection = http.client.HTTPConnection(server.metrics, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    for line in text.splitlines():
        if line.startswith(name + "{") and f'model="{model}"' in line:
            return float(line.rsplit(" ", 1)[1])
    return None


def test_the_found_delay_is_shown_and_requests_are_answered(start_server: Start, tmp_path: Path) -> None:
    write_model(tmp_path, "auto", IDENTITY + AUTO)
    write_model(tmp_path, "fixed", IDENTITY)
    server = start_server(tmp_path)
    assert metric(server, "naiad_queue_delay_microseconds", "auto") == 0
    assert metric(server, "naiad_queue_delay_microseconds", "fixed") is None

    def ask(number: int) -> list[float]:
        status, answer = server.json("POST", "/v2/models/auto/infer", infer_request(float(number)))
        assert status == 200
        assert isinstance(answer, dict)
        return list(answer["outputs"][0]["data"])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(400))) == [[float(number)] for number in range(400)]
    delay = metric(server, "naiad_queue_delay_microseconds", "auto")
    assert delay is not None
    assert 0 <= delay < 50000
