"""The dashboard and the alerts of docs/monitoring, with a real Prometheus."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ServerProcess, Start, infer_request, until
from .test_metrics import scrape

DIRECTORY = Path(__file__).parents[2] / "docs/monitoring"
DASHBOARD: dict[str, Any] = json.loads((DIRECTORY / "dashboard.json").read_text())
ALERTS = (DIRECTORY / "alerts.yml").read_text()
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
NAME = re.compile(r"\b(?:nv|naiad)_[a-z0-9_]+")
# Where there is no GPU, there are no such figures.
OF_GPUS = "nv_gpu_"


def test_every_metric_that_is_named_exists(server: ServerProcess) -> None:
    assert server.json("POST", "/v2/models/identity/infer", infer_request(1.0))[0] == 200
    shown = set(re.findall(r"^# TYPE (\S+)", scrape(server), re.MULTILINE))
    queries = [each["query"]["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    named = set(NAME.findall("\n".join([*EXPRESSIONS, *queries, ALERTS])))
    assert len(named) > 20
    missing = {
        name
        for name in named
        if re.sub("_(bucket|sum|count)$", "", name) not in shown
        and name not in shown
        and not name.startswith(OF_GPUS)
    }
    assert missing == set()


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian's package prometheus)")
    return found


def test_the_files_are_what_prometheus_reads() -> None:
    for arguments in (["rules", "alerts.yml"], ["config", "prometheus.yml"]):
        checked = subprocess.run(
            [tool("promtool"), "check", *arguments], cwd=DIRECTORY, capture_output=True, text=True, timeout=60
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.fixture
def prometheus(server: ServerProcess, tmp_path: Path) -> Iterator[str]:
    with running_prometheus(server, tmp_path) as address:
        yield address


@contextlib.contextmanager
def running_prometheus(server: ServerProcess, tmp_path: Path, *flags: str) -> Iterator[str]:
    """Debian's Prometheus, which scrapes the server every second; its address."""
    executable = tool("prometheus")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    text = (DIRECTORY / "prometheus.yml").read_text()
    text = text.replace("127.0.0.1:8002", server.metrics).replace("15s", "1s")
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "alerts.yml").write_text(ALERTS)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [executable, "--config.file=prometheus.yml", f"--web.listen-address={address}",
             f"--storage.tsdb.path={tmp_path / 'data'}", *flags],
            cwd=tmp_path, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield address
    finally:
        process.terminate()
        process.wait(30)


def ask(address: str, path: str, **query: str) -> Any:
    url = f"http://{address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.loads(answer.read())["data"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{query}: {error.read().decode()}") from None


def answers(address: str) -> bool:
    try:
        return bool(ask(address, "query", query='up{job="naiad"} == 1')["result"])
    except (urllib.error.URLError, AssertionError):
        return False


def test_prometheus_scrapes_and_evaluates(prometheus: str, server: ServerProcess) -> None:
    until(lambda: answers(prometheus), "prometheus scrapes the server")
    for expression in EXPRESSIONS:
        query = expression.replace("$__rate_interval", "1m")
        ask(prometheus, "query", query=query.replace("$instance", ".*").replace("$model", ".*"))
    rules = [rule for group in ask(prometheus, "rules")["groups"] for rule in group["rules"]]
    assert len(rules) == ALERTS.count("- alert:")
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    assert firing == []
    until(
        lambda: all(
            rule["health"] == "ok" for group in ask(prometheus, "rules")["groups"] for rule in group["rules"]
        ),
        "prometheus evaluates the rules",
    )
    (target,) = ask(prometheus, "targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_prometheus_takes_exemplars(start_server: Start, repository: Path, tmp_path: Path) -> None:
    tracing = ("mode=opentelemetry", "level=TIMESTAMPS", "opentelemetry,url=http://127.0.0.1:9/v1/traces")
    traced = start_server(repository, *(f"--trace-config={each}" for each in tracing))
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    body = json.dumps(infer_request(1.0))
    assert traced.call("POST", "/v2/models/identity/infer", body, headers=headers)[0] == 200

    def exemplars(prometheus: str, metric: str) -> list[dict[str, Any]]:
        found = ask(prometheus, "query_exemplars", query=metric, start="0", end=f"{time.time() + 60:.0f}")
        return [each for series in found for each in series["exemplars"]]

    with running_prometheus(traced, tmp_path, "--enable-feature=exemplar-storage") as prometheus:
        until(lambda: answers(prometheus), "prometheus scrapes the server")
        for name in ("request_duration_seconds", "queue_duration_seconds", "compute_duration_seconds",
                     "first_response_seconds", "batch_size"):  # fmt: skip
            until(
                lambda name=name: exemplars(prometheus, f"naiad_{name}_bucket") != [], f"exemplars of {name}"
            )
            (exemplar,) = exemplars(prometheus, f"naiad_{name}_bucket")
            assert exemplar["labels"] == {"trace_id": TRACE}
        # Counters keep the names that dashboards ask for.
        (success,) = ask(prometheus, "query", query='nv_inference_request_success{model="identity"}')[
            "result"
        ]
        assert success["value"][1] == "1"
