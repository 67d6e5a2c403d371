"""Memory comes back when models are unloaded, also after many of them, while others are served.

NAIAD_CYCLES says how often models are loaded and unloaded; ``make soak`` does so 10,000 times.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from .conftest import IDENTITY, ServerProcess, Start, exchange, infer_request, write_model
from .test_model_control import REQUEST, code, config, load

CYCLES = int(os.environ.get("NAIAD_CYCLES", "60"))
CLIENTS = 3
MB = 1 << 20
# Of a model that holds 192 MB; what the first model of a kind has imported stays.
HELD_MB = 192
STAYS_MB = 48
# Over all cycles: what is freed is not always given back at once.
GROWTH_MB = 24

HEAVY = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        # Large blocks and many small ones.
        self.large = np.ones(128 << 20, np.uint8)
        self.small = [np.ones(4096, np.uint8) for _ in range(16384)]

    def execute(self, requests):
        output = pb_utils.Tensor("Y", np.array([self.large[0]], np.int32))
        return [pb_utils.InferenceResponse([output]) for _ in requests]
"""


def resident_mb(server: ServerProcess) -> float:
    """Of the server and its workers."""
    process = psutil.Process(server.process.pid)
    whole = 0
    for each in (process, *process.children(recursive=True)):
        try:
            whole += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return whole / MB


def wait_below(server: ServerProcess, limit_mb: float) -> float:
    """Memory is given back a moment after the unload. Gives what it is at the end."""
    end = time.monotonic() + 20
    while (now := resident_mb(server)) > limit_mb and time.monotonic() < end:
        time.sleep(0.05)
    return now


def unload(server: ServerProcess, name: str) -> int:
    return server.json("POST", f"/v2/repository/models/{name}/unload")[0]


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_what_a_model_held_comes_back(start_server: Start, tmp_path: Path, isolation: str) -> None:
    text = config().replace('"thread"', f'"{isolation}"')
    write_model(tmp_path, "warm", text, code(1))
    write_model(tmp_path, "heavy", text, HEAVY)
    server = start_server(tmp_path, "--model-control-mode=explicit", "--load-model=warm")
    before = resident_mb(server)
    assert load(server, "heavy")[0] == 200
    assert server.call("POST", "/v2/models/heavy/infer", REQUEST)[0] == 200
    held = resident_mb(server) - before
    assert held > 0.9 * HELD_MB
    # The log says what it took, and how long.
    said = re.search(r"loaded 'heavy' version 1 in \d+\.\d{3} s; memory \+(\d+)\.\d MB", server.log)
    assert said is not None and int(said[1]) > 0.9 * HELD_MB
    assert unload(server, "heavy") == 200
    left = wait_below(server, before + STAYS_MB) - before
    print(f"isolation {isolation}: {held:.0f} MB more with the model, {left:.0f} MB more after it")
    assert left < STAYS_MB


def steady(server: ServerProcess, model: str, stop: threading.Event, seen: Counter[object]) -> None:
    """Asks a model that stays, again and again."""
    connection = server.connect()
    body = json.dumps(infer_request(1.0, 2.0))
    while not stop.is_set():
        status, _, answer = exchange(connection, "POST", f"/v2/models/{model}/infer", body)
        right = status == 200 and json.loads(answer)["outputs"][0]["data"] == [1.0, 2.0]
        seen["right" if right else (status, answer)] += 1
        time.sleep(0.0005)
    connection.close()


@pytest.mark.timeout(120 if CYCLES < 1000 else 7200)
def test_models_come_and_go_under_traffic(start_server: Start, tmp_path: Path) -> None:
    for name in ("steady", "renewed", "cycled"):
        write_model(tmp_path, name, IDENTITY)
    flags = ("--model-control-mode=explicit", "--load-model=steady", "--load-model=renewed")
    server = start_server(tmp_path, *flags)
    server.json("POST", "/v2/logging", {"log_info": False})
    seen: Counter[object] = Counter()
    stop = threading.Event()
    clients = [
        threading.Thread(target=steady, args=(server, model, stop, seen))
        for model in ("steady", "renewed")
        for _ in range(CLIENTS)
    ]
    connection = server.connect()

    def control(what: str, name: str, body: object = None) -> int:
        path = f"/v2/repository/models/{name}/{what}"
        return exchange(connection, "POST", path, None if body is None else json.dumps(body))[0]

    def cycle(number: int) -> None:
        assert control("load", "cycled") == 200
        body = json.dumps(infer_request(1.0, 2.0))
        assert exchange(connection, "POST", "/v2/models/cycled/infer", body)[0] == 200
        assert control("unload", "cycled") == 200
        # Another configuration: the model that is asked all the time is loaded anew.
        text = IDENTITY + f"dynamic_batching {{ max_queue_delay_microseconds: {number % 2} }}\n"
        (tmp_path / "renewed" / "config.pbtxt").write_text(text.replace("dynamic_batching { }\n", ""))
        assert control("load", "renewed") == 200

    for client in clients:
        client.start()
    try:
        for number in range(max(20, CYCLES // 10)):
            cycle(number)
        time.sleep(1)
        before = resident_mb(server)
        start_s = time.monotonic()
        for number in range(CYCLES):
            cycle(number)
        seconds = time.monotonic() - start_s
    finally:
        stop.set()
        for client in clients:
            client.join()
        connection.close()
    after = wait_below(server, before + 1)
    failed = sum(seen.values()) - seen["right"]
    print(
        f"{CYCLES} cycles of load, unload and reload in {seconds:.1f} s; {seen['right']} requests "
        f"beside them, {failed} failed; memory {before:.1f} MB before, {after:.1f} MB after"
    )
    assert set(seen) == {"right"}, seen
    assert after - before < GROWTH_MB
