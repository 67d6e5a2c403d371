"""Which sockets a server has: the ports that it says, on this machine alone; none leads elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil

from .conftest import ServerProcess, Start, infer_request, write_model
from .test_cuts import ECHO, ECHO_MODEL


def sockets(server: ServerProcess) -> list[tuple[str, tuple[Any, ...], tuple[Any, ...]]]:
    """State, own and other address of those of the server and its workers."""
    process = psutil.Process(server.process.pid)
    return [
        (connection.status, connection.laddr, connection.raddr)
        for each in (process, *process.children(recursive=True))
        for connection in each.net_connections("inet")
    ]


def listening(server: ServerProcess) -> set[str]:
    return {f"{own[0]}:{own[1]}" for status, own, _ in sockets(server) if status == psutil.CONN_LISTEN}


def test_only_the_ports_that_the_log_names_on_this_machine(start_server: Start, tmp_path: Path) -> None:
    write_model(tmp_path, "echo", ECHO, ECHO_MODEL)
    server = start_server(tmp_path, "--openai-port=0")
    (line,) = (line for line in server.lines if "Started OpenAI Service" in line)
    openai = line.rpartition(" ")[2].strip().strip('"')
    assert listening(server) == {server.http, server.grpc, server.metrics, openai}
    assert all(address.startswith("127.0.0.1:") for address in listening(server))


def test_nothing_that_a_request_names_is_fetched(start_server: Start, tmp_path: Path) -> None:
    """Addresses in a name, in a parameter, in a load, in a header."""
    write_model(tmp_path, "echo", ECHO, ECHO_MODEL)
    server = start_server(tmp_path, "--model-control-mode=explicit", "--load-model=echo")
    url = "http://192.0.2.1/model"
    request = infer_request(1.0) | {"parameters": {"url": url}, "id": url}
    assert server.json("POST", "/v2/models/echo/infer", request)[0] == 200
    for path, body in (
        ("/v2/models/http:%2F%2F192.0.2.1%2Fmodel/infer", infer_request(1.0)),
        ("/v2/repository/models/http:%2F%2F192.0.2.1%2Fmodel/load", None),
        ("/v2/repository/models/echo/load", {"parameters": {"config": url}}),
        ("/v2/repository/models/new/load", {"parameters": {"config": "{}", f"file:{url}": "QQ=="}}),
    ):
        assert 400 <= server.json("POST", path, body)[0] < 500
    fields = {"Host": "192.0.2.1", "X-Forwarded-Host": "192.0.2.1", "Referer": url}
    assert server.call("GET", "/v2", headers=fields)[0] == 200
    assert server.call("GET", "/v2/health/live", headers=fields)[0] == 200
    others = {other[0] for _, _, other in sockets(server) if other}
    assert others <= {"127.0.0.1"}
    assert listening(server) == {server.http, server.grpc, server.metrics}
