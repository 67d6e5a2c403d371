"""The same faults on both servers: what becomes of requests, and whether all is as before afterwards."""

from __future__ import annotations

import http.client
import resource
import signal
import socket
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from .sides import PATIENCE_S, Pair, Side, until

FAULTS = "faults"


def process_of(side: Side) -> psutil.Process:
    """The server: who listens at its HTTP port."""
    port = int(side.http.rpartition(":")[2])
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            connections = process.net_connections("inet")
            if any(each.status == psutil.CONN_LISTEN and each.laddr[1] == port for each in connections):
                return process
    raise AssertionError(f"{side.name} does not listen")


def status(side: Side, path: str = "/v2/health/live", **how: Any) -> int:
    """Of one request on a connection of its own; 0: none was given."""
    connection = http.client.HTTPConnection(side.http, timeout=how.pop("timeout", 20))
    try:
        connection.request(how.pop("method", "GET"), path, **how)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def infer(side: Side, tag: int) -> Any:
    """Status, and the output if there is one."""
    try:
        code, body = side.infer("plain", tag)
    except (OSError, http.client.HTTPException):
        return 0, None
    return code, body["outputs"][0]["data"] if code == 200 else None


def test_json_that_is_deep(fault_pair: Pair) -> None:
    def scenario(side: Side) -> list[int]:
        bodies = ["[" * depth + "]" * depth for depth in (101, 100_000)]
        deep = [
            status(side, "/v2/models/plain/infer", method="POST", body=f'{{"inputs":{body}}}')
            for body in bodies
        ]
        return [*deep, status(side)]

    fault_pair.agree(FAULTS, "JSON 101 and 100,000 levels deep; then live", scenario, [400, 400, 200])


def test_a_body_beyond_the_limit(fault_pair: Pair) -> None:
    def scenario(side: Side) -> list[int]:
        large = status(side, "/v2/models/plain/infer", method="POST", body=b" " * (65 << 20))
        return [large, status(side)]

    fault_pair.differ(
        FAULTS,
        "a body of 65 MiB; then live",
        scenario,
        naiad=[400, 200],
        triton=[500, 200],
        why="what a client got wrong is no fault of the server's",
    )


def test_a_bomb(fault_pair: Pair) -> None:
    def scenario(side: Side) -> tuple[int, bool, int]:
        process = process_of(side)
        deflate = zlib.compressobj(9)
        bomb = b"".join(deflate.compress(b" " * (1 << 20)) for _ in range(1024)) + deflate.flush()
        before = process.memory_info().rss
        code = status(
            side, "/v2/models/plain/infer", method="POST", body=bomb, headers={"Content-Encoding": "deflate"}
        )
        peak = int(Path(f"/proc/{process.pid}/status").read_text().split("VmHWM:")[1].split()[0]) << 10
        return code, peak - before > (256 << 20), status(side)

    fault_pair.differ(
        FAULTS,
        "1 MiB that inflates to 1 GiB: status, whether it took over 256 MiB; then live",
        scenario,
        naiad=(400, False, 200),
        triton=(500, True, 200),
        why="the limit is kept while it is inflated, not afterwards",
    )


def test_a_head_that_does_not_end(fault_pair: Pair) -> None:
    def scenario(side: Side) -> str:
        host, _, port = side.http.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=15) as slow:
            slow.sendall(b"GET /v2 HTTP/1.1\r\nHost: a\r\n")
            try:
                said = slow.recv(4096)
            except TimeoutError:
                return "is waited for"
            return said[:12].decode() or "closed"

    fault_pair.differ(
        FAULTS,
        "half a head, then nothing for 15 s",
        scenario,
        naiad="HTTP/1.1 408",
        triton="is waited for",
        why="who asks nothing is not waited for",
    )


def test_no_descriptors(fault_pair: Pair) -> None:
    def scenario(side: Side) -> list[Any]:
        process = process_of(side)
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        kept = http.client.HTTPConnection(side.http, timeout=5)
        kept.request("GET", "/v2/health/live")
        kept.getresponse().read()
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (process.num_fds() + 8, hard))
        host, _, port = side.http.rpartition(":")
        crowd = []
        for _ in range(60):
            with suppress(OSError):
                crowd.append(socket.create_connection((host, int(port)), timeout=5))
        time.sleep(0.5)
        try:
            kept.request(
                "POST",
                "/v2/models/plain/infer",
                '{"inputs":[{"name":"TAG","datatype":"INT32","shape":[1,1],"data":[5]}]}',
            )
            connected = kept.getresponse().status
        except (OSError, http.client.HTTPException):
            connected = 0
        for each in crowd:
            each.close()
        kept.close()
        time.sleep(1)
        burnt = process.cpu_percent(1.0) > 50
        after = status(side, timeout=5)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))
        return [connected, burnt, after]

    what = "no descriptors: who is connected; a core burnt; live when the crowd has gone"
    fault_pair.agree(FAULTS, what, scenario, [200, False, 200])


def test_a_worker_that_is_killed(fault_pair: Pair) -> None:
    def scenario(side: Side) -> list[Any]:
        server = process_of(side)
        before = infer(side, 1)
        for worker in server.children(recursive=True):
            worker.send_signal(signal.SIGKILL)
        end = time.monotonic() + 10
        while (after := infer(side, 2))[0] != 200 and time.monotonic() < end:
            time.sleep(0.1)
        return [before, after, status(side, "/v2/health/live"), status(side, "/v2/health/ready")]

    fault_pair.differ(
        FAULTS,
        "the worker of a model gets SIGKILL: before, within 10 s after; live, ready",
        scenario,
        naiad=[(200, [1]), (200, [2]), 200, 200],
        triton=[(200, [1]), (500, None), 200, 200],
        why="another worker is started; Triton stays ready and fails every request",
    )


def test_sigterm_with_a_request_under_way(ending_pair: Pair) -> None:

    def scenario(side: Side) -> list[Any]:
        process = process_of(side)
        tag = side.next_held()
        under_way = side.start("plain", tag)
        until(lambda: side.has_seen("plain", tag), f"{side.name} runs {tag}")
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        live = status(side, timeout=5)
        new = infer(side, 1)[0]
        side.release("plain", tag)
        answer = under_way.result(PATIENCE_S)[0]
        with suppress(psutil.TimeoutExpired):
            process.wait(40)
        return [live, new, answer, not process.is_running()]

    ending_pair.differ(
        FAULTS,
        "SIGTERM with a request under way: live, a new request, that request; it ends",
        scenario,
        naiad=[200, 503, 200, True],
        triton=[0, 0, 200, True],
        why="health is answered and what is new told so until all is done; Triton closes its ports first",
    )
