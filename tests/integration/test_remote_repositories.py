"""Models that lie in S3 (a server of moto's) and behind an HTTP server."""

from __future__ import annotations

import functools
import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ServerProcess, Start, until, write_model
from .test_model_control import code, config, load, value_of

moto_server = pytest.importorskip("moto.server", reason="moto is not installed")
boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
pytest.importorskip("s3fs", reason="s3fs is not installed")

KEYS = {"key_id": "testing", "secret_key": "testing", "region": "us-east-1"}


class Bucket:
    """One bucket of an S3 server."""

    def __init__(self, endpoint: str, name: str) -> None:
        self.endpoint = endpoint
        self.name = name
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=KEYS["key_id"],
            aws_secret_access_key=KEYS["secret_key"],
            region_name=KEYS["region"],
        )
        self._client.create_bucket(Bucket=name)

    @property
    def host(self) -> str:
        return self.endpoint.removeprefix("http://")

    def put(self, key: str, text: str) -> None:
        self._client.put_object(Bucket=self.name, Key=key, Body=text.encode())

    def put_model(self, key: str, value: int) -> None:
        self.put(f"{key}/1/model.py", code(value))
        self.put(f"{key}/config.pbtxt", config())

    def delete(self, *keys: str) -> None:
        for key in keys:
            self._client.delete_object(Bucket=self.name, Key=key)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, request: pytest.FixtureRequest) -> Bucket:
    return Bucket(endpoint, request.node.name.replace("_", "-")[:60].rstrip("-"))


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's file of credentials; none are in the environment."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps({"s3": {"": KEYS}}))
    monkeypatch.setenv("TRITON_CLOUD_CREDENTIAL_PATH", str(path))


def start_of(start_server: Start, address: str, tmp_path: Path, *flags: str) -> ServerProcess:
    (tmp_path / "local").mkdir(exist_ok=True)
    # The flag for a directory is given by the fixture already.
    return start_server(
        tmp_path / "local",
        f"--model-repository={address}",
        f"--repository-cache-directory={tmp_path / 'cache'}",
        *flags,
    )


def test_s3_explicit(start_server: Start, bucket: Bucket, secrets: None, tmp_path: Path) -> None:
    bucket.put_model("models/first", 1)
    bucket.put_model("models/second", 2)
    bucket.put("other/third/1/model.py", code(3))
    address = f"s3://{bucket.host}/{bucket.name}/models"
    server = start_of(start_server, address, tmp_path, "--model-control-mode=explicit", "--load-model=first")
    assert value_of(server, "first") == 1
    assert server.json("POST", "/v2/repository/index")[1] == [
        {"name": "first", "version": "1", "state": "READY"},
        {"name": "second"},
    ]
    assert load(server, "second")[0] == 200
    bucket.put("models/second/1/model.py", code(22))
    assert value_of(server, "second") == 2
    assert load(server, "second")[0] == 200
    assert value_of(server, "second") == 22
    bucket.put("models/second/1/model.py", "raise RuntimeError('broken')")
    assert load(server, "second")[0] == 400
    assert value_of(server, "second") == 22
    for name in ("third", "absent"):
        status, body = load(server, name)
        assert status == 400 and "is not in the model repository" in str(body)
    bucket.put("models/bad/1/../../../escape", "x")
    status, body = load(server, "bad")
    assert status == 400
    server.signal()
    assert server.wait() == 0, server.log
    assert not (tmp_path / "escape").exists() and not (tmp_path / "cache" / "escape").exists()
    again = start_of(start_server, address, tmp_path, "--model-control-mode=explicit", "--load-model=first")
    assert value_of(again, "first") == 1
    assert "copied model 'first'" not in again.log


def test_s3_poll(start_server: Start, bucket: Bucket, secrets: None, tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    bucket.put_model("first", 1)
    address = f"s3://{bucket.endpoint}/{bucket.name}"
    server = start_of(
        start_server, address, tmp_path, "--model-control-mode=poll", "--repository-poll-secs=1"
    )
    assert value_of(server, "first") == 1
    bucket.put_model("second", 2)
    until(lambda: server.call("GET", "/v2/models/second/ready")[0] == 200)
    bucket.put("first/1/model.py", code(11))
    until(lambda: value_of(server, "first") == 11)
    bucket.delete("second/config.pbtxt", "second/1/model.py")
    until(lambda: "successfully unloaded 'second'" in server.log)
    assert value_of(server, "first") == 11


def test_a_bucket_that_is_not_there_ends_the_start(
    start_server: Start, endpoint: str, secrets: None, tmp_path: Path
) -> None:
    (tmp_path / "local").mkdir()
    server = start_server(
        tmp_path / "local", f"--model-repository=s3://{endpoint}/absent/models", expect_ready=False
    )
    assert server.wait() == 1
    assert "a model repository is not there" in server.log and "Traceback" not in server.log
    nobody = start_server(
        tmp_path / "local", "--model-repository=s3://http://127.0.0.1:1/bucket", expect_ready=False
    )
    assert nobody.wait() == 1
    assert "the s3 model repository can not be read" in nobody.log and "Traceback" not in nobody.log


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return None


def test_http(start_server: Start, tmp_path: Path) -> None:
    write_model(tmp_path / "served" / "models", "first", config(), code(1))
    handler = functools.partial(_Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{files.server_address[1]}/models"
        server = start_of(start_server, address, tmp_path, "--model-control-mode=explicit", "--load-model=*")
        assert value_of(server, "first") == 1
        (tmp_path / "served" / "models" / "first" / "1" / "model.py").write_text(code(123456))
        assert load(server, "first")[0] == 200
        assert value_of(server, "first") == 123456
        files.shutdown()
