"""HTTP and gRPC over TLS, with the clients that people have."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from tritonclient.utils import InferenceServerException

from naiad import protos

from .certificates import Authority, Identity, replace
from .conftest import ServerProcess, Start, exchange, infer_request
from .test_clients import ARRAY, fill
from .test_metrics import sample, scrape

INFER = "/v2/models/identity/infer"


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """Signed by another authority of the same name."""
    return Authority(tmp_path_factory.mktemp("other")).found().issue("client")


def flags(files: Identity, roots: Path | None = None) -> list[str]:
    """Of a server that has TLS on both ports."""
    given = []
    for protocol in ("http", "grpc"):
        given += [
            f"--{protocol}-use-ssl=true",
            f"--{protocol}-server-cert={files.certificate}",
            f"--{protocol}-server-key={files.key}",
        ]
        if roots is not None:
            given += [f"--{protocol}-use-ssl-mutual=true", f"--{protocol}-root-cert={roots}"]
    return given


@pytest.fixture(scope="module")
def tls_server(start_server: Start, repository: Path, authority: Authority) -> ServerProcess:
    return start_server(repository, *flags(authority.issue("server")))


@pytest.fixture(scope="module")
def mutual_server(start_server: Start, repository: Path, authority: Authority) -> ServerProcess:
    return start_server(repository, *flags(authority.issue("server"), authority.certificate))


def curl(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(["curl", "-sS", "--max-time", "30", *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout


def s_client(server: str, *arguments: str) -> str:
    """All that ``openssl s_client`` says of a handshake."""
    command = ["openssl", "s_client", "-connect", server, *arguments]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=30)
    return done.stdout + done.stderr


def channel(server: ServerProcess, authority: Authority, identity: Identity | None = None) -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(
        authority.certificate.read_bytes(),
        identity.key.read_bytes() if identity else None,
        identity.certificate.read_bytes() if identity else None,
    )
    return grpc.secure_channel(server.grpc, credentials)


def ask_ready(over: grpc.Channel) -> bool:
    stub = over.unary_unary("/inference.GRPCInferenceService/ServerReady")
    return bool(protos.ServerReadyResponse.FromString(stub(b"", timeout=30)).ready)


def test_curl(tls_server: ServerProcess, authority: Authority) -> None:
    url = f"https://{tls_server.http}"
    trust = ("--cacert", str(authority.certificate))
    assert curl(*trust, "-w", "%{http_code} %{http_version}", url + "/v2/health/ready") == (0, "200 1.1")
    code, out = curl(*trust, "-d", json.dumps(infer_request(1.5)), url + INFER)
    assert code == 0 and json.loads(out)["outputs"][0]["data"] == [1.5]
    # Several requests on one connection.
    assert curl(*trust, url + "/v2", url + "/v2")[0] == 0
    assert curl(url + "/v2")[0] == 60  # not trusted


def test_plain_http_is_told_where_to_go(tls_server: ServerProcess) -> None:
    code, out = curl("-w", " %{http_code}", f"http://{tls_server.http}/v2")
    assert code == 0 and out == '{"error":"plain HTTP was sent to a port of TLS: use https"} 400'


def test_curl_with_a_certificate(
    mutual_server: ServerProcess, authority: Authority, client: Identity, stranger: Identity
) -> None:
    url = f"https://{mutual_server.http}/v2/health/ready"
    trust = ("--cacert", str(authority.certificate))

    def shown(identity: Identity) -> tuple[str, ...]:
        return ("--cert", str(identity.certificate), "--key", str(identity.key))

    before = sample(scrape(mutual_server), "naiad_failed_handshakes")
    assert curl(*trust, *shown(client), "-w", "%{http_code}", url) == (0, "200")
    assert curl(*trust, url)[0] != 0
    assert curl(*trust, *shown(stranger), url)[0] != 0
    # Counted when the client has closed.
    while sample(scrape(mutual_server), "naiad_failed_handshakes") != before + 2:
        assert mutual_server.process.poll() is None, mutual_server.log


def test_large_bodies(tls_server: ServerProcess, authority: Authority) -> None:
    values = np.arange(3_000_000, dtype=np.float32).reshape(1, -1)
    header = json.dumps(
        {
            "inputs": [
                {
                    "name": "INPUT0",
                    "shape": list(values.shape),
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": values.nbytes},
                }
            ],
            "outputs": [{"name": "OUTPUT0", "parameters": {"binary_data": True}}],
        }
    ).encode()
    connection = http.client.HTTPSConnection(tls_server.http, timeout=60, context=authority.trusting())
    for _ in range(3):
        status, _, body = exchange(
            connection,
            "POST",
            INFER,
            header + values.tobytes(),
            {"Inference-Header-Content-Length": str(len(header))},
        )
        assert status == 200 and body.endswith(values.tobytes())
    connection.close()


def test_grpcio(tls_server: ServerProcess, authority: Authority) -> None:
    with channel(tls_server, authority) as over:
        assert ask_ready(over)
        request = protos.ModelInferRequest(model_name="identity")
        request.inputs.add(name="INPUT0", datatype="FP32", shape=[1, 500_000])
        request.raw_input_contents.append(np.arange(500_000, dtype=np.float32).tobytes())
        stub = over.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for _ in range(3):
            answer = protos.ModelInferResponse.FromString(stub(request.SerializeToString(), timeout=60))
            assert answer.raw_output_contents == request.raw_input_contents
    with grpc.insecure_channel(tls_server.grpc) as plain, pytest.raises(grpc.RpcError) as caught:
        ask_ready(plain)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_grpcio_with_a_certificate(
    mutual_server: ServerProcess, authority: Authority, client: Identity, stranger: Identity
) -> None:
    with channel(mutual_server, authority, client) as over:
        assert ask_ready(over)
    for shown in (None, stranger):
        with channel(mutual_server, authority, shown) as over, pytest.raises(grpc.RpcError) as caught:
            ask_ready(over)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_triton_http(
    tls_server: ServerProcess, mutual_server: ServerProcess, authority: Authority, client: Identity
) -> None:
    trust: dict[str, Any] = {"ssl": True, "ssl_options": {"ca_certs": str(authority.certificate)}}
    shown = trust["ssl_options"] | {"certfile": str(client.certificate), "keyfile": str(client.key)}
    for server, options in ((tls_server, trust), (mutual_server, trust | {"ssl_options": shown})):
        with triton_http.InferenceServerClient(server.http, **options) as over:
            assert over.is_server_ready()
            result = over.infer("identity", [fill(triton_http, ARRAY)])
            np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), ARRAY)


def test_triton_http_aio(tls_server: ServerProcess, authority: Authority) -> None:
    async def ask() -> Any:
        async with triton_http_aio.InferenceServerClient(
            tls_server.http, ssl=True, ssl_context=authority.trusting()
        ) as over:
            return await over.infer("identity", [fill(triton_http_aio, ARRAY)])

    np.testing.assert_array_equal(asyncio.run(ask()).as_numpy("OUTPUT0"), ARRAY)


def test_triton_grpc(
    tls_server: ServerProcess, mutual_server: ServerProcess, authority: Authority, client: Identity
) -> None:
    trust: dict[str, Any] = {"ssl": True, "root_certificates": str(authority.certificate)}
    shown = trust | {"private_key": str(client.key), "certificate_chain": str(client.certificate)}
    for server, options in ((tls_server, trust), (mutual_server, shown)):
        with triton_grpc.InferenceServerClient(server.grpc, **options) as over:
            assert over.is_server_ready()
            result = over.infer("identity", [fill(triton_grpc, ARRAY)])
            np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), ARRAY)
    with (
        triton_grpc.InferenceServerClient(mutual_server.grpc, **trust) as over,
        pytest.raises(InferenceServerException, match="UNAVAILABLE"),
    ):
        over.is_server_ready()


def test_triton_grpc_aio(tls_server: ServerProcess, authority: Authority) -> None:
    async def ask() -> Any:
        async with triton_grpc_aio.InferenceServerClient(
            tls_server.grpc, ssl=True, root_certificates=str(authority.certificate)
        ) as over:
            return await over.infer("identity", [fill(triton_grpc_aio, ARRAY)])

    np.testing.assert_array_equal(asyncio.run(ask()).as_numpy("OUTPUT0"), ARRAY)


def test_what_is_negotiated(tls_server: ServerProcess, authority: Authority) -> None:
    trust = ("-CAfile", str(authority.certificate), "-verify_return_error")
    for version, words in (("-tls1_2", "New, TLSv1.2, Cipher is ECDHE-"), ("-tls1_3", "New, TLSv1.3")):
        said = s_client(tls_server.http, version, *trust, "-alpn", "h2,http/1.1")
        assert words in said and "ALPN protocol: http/1.1" in said and "Verify return code: 0 (ok)" in said
        said = s_client(tls_server.grpc, version, *trust, "-alpn", "http/1.1,h2")
        assert words in said and "ALPN protocol: h2" in said
    old = s_client(tls_server.http, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "Cipher is (NONE)" in old
    weak = s_client(tls_server.http, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA")
    assert "Cipher is (NONE)" in weak
    assert "no application protocol" in s_client(tls_server.grpc, "-alpn", "http/1.1")


def test_one_port_alone(start_server: Start, repository: Path, authority: Authority) -> None:
    given = [flag for flag in flags(authority.issue("alone")) if flag.startswith("--grpc")]
    server = start_server(repository, *given)
    assert server.call("GET", "/v2/health/ready")[0] == 200
    with channel(server, authority) as over:
        assert ask_ready(over)
    assert "GRPCInferenceService uses TLS" in server.log and "HTTPService uses TLS" not in server.log
    server.signal()
    assert server.wait() == 0, server.log


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda files: files.key.unlink(), "No such file"),
        (lambda files: files.key.write_text("hello"), "no private key in PEM is in it"),
        (lambda files: files.certificate.write_text("hello"), "no certificate in PEM is in it"),
        (
            lambda files: files.key.write_bytes((files.key.parent / "authority.key").read_bytes()),
            "does not match",
        ),
    ],
)
def test_files_of_no_use_end_the_start_before_models_are_loaded(
    start_server: Start,
    repository: Path,
    authority: Authority,
    change: Callable[[Identity], Any],
    words: str,
) -> None:
    files = authority.issue("refused")
    change(files)
    server = start_server(repository, *flags(files), expect_ready=False)
    assert server.wait() == 1
    assert words in server.log and str(files.certificate.with_suffix("")) in server.log
    assert "Models" not in server.log and "Traceback" not in server.log
    assert "PRIVATE KEY" not in server.log


def wait_for(server: ServerProcess, words: str, count: int = 1) -> None:
    """Until the log has it so often."""
    while server.log.count(words) < count:
        assert server.process.poll() is None, server.log


def served_certificate(address: str, authority: Authority, alpn: str) -> str:
    return s_client(address, "-CAfile", str(authority.certificate), "-alpn", alpn)


def test_renewed_certificates_under_load(start_server: Start, repository: Path, authority: Authority) -> None:
    files = authority.issue("renewed")
    server = start_server(repository, *flags(files), "--io-threads=2")
    kept = http.client.HTTPSConnection(server.http, timeout=30, context=authority.trusting())
    assert exchange(kept, "GET", "/v2/health/ready")[0] == 200
    stopping = threading.Event()

    def over_http() -> int:
        """Half of the requests on connections of their own."""
        done = 0
        while not stopping.is_set():
            connection = http.client.HTTPSConnection(server.http, timeout=30, context=authority.trusting())
            for _ in range(2):
                status, _, body = exchange(connection, "POST", INFER, json.dumps(infer_request(2.5)))
                assert status == 200 and json.loads(body)["outputs"][0]["data"] == [2.5]
                done += 1
            connection.close()
        return done

    def over_grpc() -> int:
        done = 0
        while not stopping.is_set():
            with channel(server, authority) as over:
                done += ask_ready(over)
        return done

    with channel(server, authority) as kept_channel, ThreadPoolExecutor(4) as pool:
        assert ask_ready(kept_channel)
        load = [pool.submit(each) for each in (over_http, over_http, over_grpc, over_grpc)]
        for turn in range(1, 6):
            replace(files, authority.issue(f"server{turn}"))
            server.signal(signal.SIGHUP)
            wait_for(server, "HTTPService has a new certificate", turn)
            wait_for(server, "GRPCInferenceService has a new certificate", turn)
            assert f"CN = server{turn}\n" in served_certificate(server.http, authority, "http/1.1")
            assert f"CN = server{turn}\n" in served_certificate(server.grpc, authority, "h2")
        stopping.set()
        assert all(future.result() > 0 for future in load)
        # Those that were there before all of it.
        assert exchange(kept, "GET", "/v2/health/ready")[0] == 200
        assert ask_ready(kept_channel)
    kept.close()
    assert sample(scrape(server), "naiad_failed_handshakes") == 0
    files.key.write_text("broken")
    server.signal(signal.SIGHUP)
    wait_for(server, "HTTPService keeps its certificate: the private key")
    assert "CN = server5\n" in served_certificate(server.http, authority, "http/1.1")
    server.signal()
    assert server.wait() == 0, server.log
