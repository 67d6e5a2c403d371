"""Who may ask what, over the wire: each route, with each method, with each kind of key."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import openai
import pytest

from naiad.access.routes import GRPC_ROUTES, HTTP_ROUTES, METRICS_ROUTES, OPENAI_ROUTES
from naiad.access.scopes import WITHOUT_KEY, permissions_of
from naiad.engine import permission_bit

from .conftest import ServerProcess, Start, infer_request, until

SECRETS = {
    "infer": "naiad-test-key-to-ask-models",
    "read": "naiad-test-key-to-look-around",
    "admin": "naiad-test-key-for-everything",
    "logging": "naiad-test-key-of-one-group",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
REFUSED = (401, 403)
EXAMPLES = {
    "{file}": "main.js",
    "{model}": "identity",
    "{version}": "1",
    "{repository}": "r",
    "{region}": "x",
}


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys"
    digest = hashlib.sha256(SECRETS["admin"].encode()).hexdigest()
    file.write_text(
        "# of the tests\n"
        f"asker infer {SECRETS['infer']}\n"
        f"looker read {SECRETS['read']}\n"
        f"boss admin sha256:{digest}\n"
        f"logger logging {SECRETS['logging']}\n"
    )
    file.chmod(0o600)
    return file


@pytest.fixture(scope="module")
def guarded(start_server: Start, repository: Path, keys_file: Path) -> ServerProcess:
    return start_server(repository, f"--api-keys-file={keys_file}", "--log-access", "--log-verbose=1")


def bearer(secret: str | None) -> dict[str, str]:
    return {} if secret is None else {"Authorization": f"Bearer {secret}"}


def credentials() -> Iterator[tuple[str | None, int]]:
    """A key, and what it opens."""
    yield None, WITHOUT_KEY
    yield "nobody-has-this-key", WITHOUT_KEY
    for scope, secret in SECRETS.items():
        yield secret, permissions_of([scope])


class Client:
    """One connection that is kept while it can be."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=30)

    def close(self) -> None:
        self._connection.close()

    def status(self, method: str, path: str, secret: str | None) -> int:
        body = "{}" if method in ("POST", "PUT", "PATCH") else None
        try:
            self._connection.request(method, path, body=body, headers=bearer(secret))
            response = self._connection.getresponse()
            response.read()
        except (ConnectionError, http.client.HTTPException):
            self._connection.close()
            self._connection.request(method, path, body=body, headers=bearer(secret))
            response = self._connection.getresponse()
            response.read()
        return response.status


@pytest.fixture
def client(guarded: ServerProcess) -> Iterator[Client]:
    with contextlib.closing(Client(guarded.http)) as made:
        yield made


def test_matrix_of_http(client: Client) -> None:
    leaks, locked = [], []
    for row in HTTP_ROUTES:
        path = "/".join(EXAMPLES.get(segment, segment) for segment in row.path.split("/"))
        for method in METHODS:
            # A method that the route does not have asks for the most that it has.
            changes = row.methods.get(method, max(row.methods.values()))
            needed = permission_bit(row.group, changes=changes)
            for secret, opens in credentials():
                refused = client.status(method, path, secret) in REFUSED
                if not opens & needed and not refused:
                    leaks.append((method, path, secret))
                if opens & needed and refused:
                    locked.append((method, path, secret))
    assert leaks == []
    assert locked == []


def test_matrix_of_openai(client: Client) -> None:
    paths = [path.replace("{*}", name) for path in OPENAI_ROUTES for name in ("nothing", "org/nothing")]
    wrong = []
    for path in dict.fromkeys(paths):
        for method in METHODS:
            for secret, opens in credentials():
                changes = method != "GET"
                needed = permission_bit("openai", changes=changes)
                if path in ("/v1/models", "/v1/models/nothing", "/v1/models/org/nothing"):
                    needed = permission_bit("openai", changes=False)
                if path in ("/rerank", "/score", "/tokenize", "/detokenize"):
                    needed = permission_bit("openai", changes=True)
                if (client.status(method, path, secret) in REFUSED) != (not opens & needed):
                    wrong.append((method, path, secret))
    assert wrong == []


SPELLINGS = [
    "//v2/models/identity/infer", "/v2//models/identity/infer", "/v2/./models/identity/infer",
    "/v2/models/identity/../identity/infer", "/v2/models%2fidentity/infer", "/v2/models/identity%2Finfer",
    "/v2/models/identity/infer/", "/V2/models/identity/infer", "/v2/models/identity/INFER",
    "/v2/models/identity/infer;x", "/v2/models/identity/infer?x=/v2/health/live",
    "/v2/health/live/../../logging",
    "/v2/health/live/", "/v2/health/live;x", "/v2/health/live%00", "/v2/health%2flive",
    "/v2/health/LIVE",
    "/v2/models/health/infer", "/v2/models//ready",
    "/v2/models/identity/versions/-x/ready",
    "/", "/metrics", "/v2/models/identity/ready/",
    "http://127.0.0.1/v2/logging", "/v2/health/live#/v2/logging", "/v2/logging?",
]  # fmt: skip


@pytest.mark.parametrize("path", SPELLINGS)
def test_no_spelling_leads_around(client: Client, path: str) -> None:
    for method in METHODS:
        # 400: bytes that are no request.
        assert client.status(method, path, None) in (*REFUSED, 400), method


def grpc_code(channel: grpc.Channel, path: str, secret: str | None) -> grpc.StatusCode:
    metadata = [("authorization", f"Bearer {secret}")] if secret else []
    # An empty message, then the first answer: of a stream that has no end, too.
    call = channel.stream_stream(path)(iter([b""]), metadata=metadata, timeout=30)
    try:
        next(iter(call))
    except StopIteration:
        return grpc.StatusCode.OK
    except grpc.RpcError as error:
        return error.code()
    call.cancel()
    return grpc.StatusCode.OK


def test_matrix_of_grpc(guarded: ServerProcess) -> None:
    refusals = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    wrong = []
    with grpc.insecure_channel(guarded.grpc) as channel:
        for path, (group, changes) in GRPC_ROUTES.items():
            for secret, opens in credentials():
                allowed = bool(opens & permission_bit(group, changes=changes))
                code = grpc_code(channel, path, secret)
                expected = refusals[1 if secret in SECRETS.values() else 0]
                if (code != expected) != allowed or (allowed and code in refusals):
                    wrong.append((path, secret, code))
        assert wrong == []
        for path in (
            "/inference.GRPCInferenceService/Nothing",
            "/a/b",
            "/inference.GRPCInferenceService/ModelInfer/",
        ):
            assert grpc_code(channel, path, None) == grpc.StatusCode.UNAUTHENTICATED
            assert grpc_code(channel, path, SECRETS["infer"]) == grpc.StatusCode.UNIMPLEMENTED


@pytest.fixture
def scraper(guarded: ServerProcess) -> Iterator[Client]:
    with contextlib.closing(Client(guarded.metrics)) as made:
        yield made


def test_matrix_of_metrics(scraper: Client) -> None:
    others = ["/", "/metrics/", "//metrics", "/v2/health/live", "/ui/api/", "/ui/v1/models", "/ui//api/fleet"]
    for template in [*METRICS_ROUTES, *others]:
        group, methods = METRICS_ROUTES.get(template, ("unknown", {"GET": False}))
        path = "/".join(EXAMPLES.get(segment, segment) for segment in template.split("/"))
        for method in METHODS:
            for secret, opens in credentials():
                status = scraper.status(method, path, secret)
                if method == "BREW":
                    # Bytes that are no request, to aiohttp.
                    assert status == 400
                    continue
                needed = permission_bit(group, changes=methods.get(method, max(methods.values())))
                # What is said of requests that are not the page's own comes behind the gate.
                assert (status in REFUSED) == (not opens & needed), (method, path, secret, status)
    assert scraper.status("GET", "/metrics", SECRETS["read"]) == 200


def test_what_clients_are_told(guarded: ServerProcess) -> None:
    status, headers, body = guarded.call("GET", "/v2")
    assert status == 401
    assert headers["www-authenticate"] == 'Bearer realm="naiad"'
    assert json.loads(body) == {
        "error": "An API key is needed, expecting header 'Authorization: Bearer <key>'"
    }
    status, headers, body = guarded.call("GET", "/v2", headers=bearer("nobody-has-this-key"))
    assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="naiad", error="invalid_token"')
    status, _, body = guarded.call("POST", "/v2/logging", "{}", bearer(SECRETS["read"]))
    assert (status, json.loads(body)) == (
        403,
        {"error": "The API key 'looker' is not allowed to change 'logging'"},
    )


def test_a_body_is_not_read_before_the_key_is_known(guarded: ServerProcess) -> None:
    for path in ("/v2/models/identity/infer", "/v2/repository/models/identity/load"):
        connection = guarded.connect()
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", str(60 << 20))
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        assert connection.getresponse().status == 401
        connection.close()


def test_inference_with_a_key(guarded: ServerProcess, client: Client) -> None:
    request = json.dumps(infer_request(1.5))
    path = "/v2/models/identity/infer"
    assert guarded.call("POST", path, request, bearer(SECRETS["infer"]))[0] == 200
    assert guarded.call("POST", path, request, bearer(SECRETS["read"]))[0] == 403
    # On one connection: what one request may, the next one may not.
    for secret, expected in ((SECRETS["infer"], 400), (None, 401), (SECRETS["admin"], 400), ("x" * 20, 401)):
        assert client.status("POST", path, secret) == expected


def test_a_client_cannot_name_its_key(guarded: ServerProcess) -> None:
    guarded.call("POST", "/v2/logging", "{}", bearer(SECRETS["admin"]) | {"Naiad-Key-Name": "forged"})
    until(lambda: "POST /v2/logging by API key 'boss'" in guarded.log)
    assert "forged" not in guarded.log


def test_no_key_is_shown_anywhere(guarded: ServerProcess) -> None:
    shown = guarded.log
    shown += guarded.call("GET", "/v2", headers=bearer(SECRETS["admin"]))[2].decode()
    with contextlib.closing(http.client.HTTPConnection(guarded.metrics, timeout=30)) as connection:
        connection.request("GET", "/metrics", headers=bearer(SECRETS["admin"]))
        metrics = connection.getresponse().read().decode()
    shown += metrics + Path(f"/proc/{guarded.process.pid}/cmdline").read_text()
    for secret in SECRETS.values():
        assert secret not in shown
    assert 'naiad_http_requests{code="401",group="inference"}' in metrics
    assert 'naiad_grpc_calls{code="PERMISSION_DENIED",group="logging"}' in metrics
    assert "access http 127.0.0.1:" in shown and " key=asker" in shown


def test_models_do_not_see_keys(start_server: Start, repository: Path, keys_file: Path) -> None:
    server = start_server(
        repository, f"--api-keys-file={keys_file}", "--http-header-forward-pattern=.*", "--http-port=0"
    )
    headers = bearer(SECRETS["infer"])
    status, _, body = server.call(
        "POST", "/v2/models/identity/infer", json.dumps(infer_request(1.0)), headers
    )
    assert status == 200
    assert SECRETS["infer"] not in body.decode()


def test_the_port_of_openai_obeys(start_server: Start, repository: Path, keys_file: Path) -> None:
    server = start_server(repository, f"--api-keys-file={keys_file}", "--openai-port=0")
    (port,) = (line.rpartition(":")[2] for line in server.lines if "Started OpenAI Service" in line)
    with contextlib.closing(Client(f"127.0.0.1:{port.strip().rstrip(chr(34))}")) as client:
        for path in ("/v1/models", "/v1/models/a/b", "/v1/chat/completions", "/v1", "/", "/v2", "/metrics"):
            for method in ("GET", "POST", "DELETE"):
                assert client.status(method, path, None) == 401, (method, path)
        assert client.status("GET", "/v1/models", SECRETS["infer"]) == 200
        assert client.status("GET", "/v1/models", SECRETS["read"]) == 200
        assert client.status("GET", "/v1/models", SECRETS["logging"]) == 403
        assert client.status("POST", "/v1/chat/completions", SECRETS["read"]) == 403


@pytest.mark.parametrize("port", ["HTTP port", "port of its own"])
def test_openais_clients_understand_refusals(
    start_server: Start, repository: Path, keys_file: Path, port: str, request: pytest.FixtureRequest
) -> None:
    server = start_server(
        repository, f"--api-keys-file={keys_file}", "--openai-port=0", "--max-wrong-keys=1",
        "--http-max-input-size=1024",
    )  # fmt: skip
    address = server.http
    if port != "HTTP port":
        (line,) = (line for line in server.lines if "Started OpenAI Service" in line)
        address = line.rpartition(" ")[2].strip().rstrip('"')

    clients = contextlib.ExitStack()
    request.addfinalizer(clients.close)

    def asking(secret: str) -> openai.OpenAI:
        url = f"http://{address}/v1"
        return clients.enter_context(openai.OpenAI(base_url=url, api_key=secret, max_retries=0))

    def error(refused: pytest.ExceptionInfo[openai.APIStatusError]) -> tuple[int, str | None, str | None]:
        assert isinstance(refused.value.body, dict)
        assert refused.value.body.keys() == {"message", "type", "param", "code"}
        return refused.value.status_code, refused.value.type, refused.value.code

    with pytest.raises(openai.PermissionDeniedError, match="is not allowed") as forbidden:
        asking(SECRETS["logging"]).models.list()
    assert error(forbidden) == (403, "request_forbidden", None)
    with pytest.raises(openai.BadRequestError, match="exceeds the maximum") as large:
        asking(SECRETS["infer"]).completions.create(model="m", prompt="x" * 2000)
    assert error(large) == (400, "invalid_request_error", None)
    with pytest.raises(openai.AuthenticationError, match="The API key is not valid") as unknown:
        asking("nobody-has-this-key").models.list()
    assert error(unknown) == (401, "invalid_request_error", "invalid_api_key")
    with pytest.raises(openai.RateLimitError, match="Too many wrong API keys") as limited:
        asking("nobody-has-this-one-either").models.list()
    assert error(limited) == (429, "rate_limit_error", "rate_limit_exceeded")
    assert 0 < int(limited.value.response.headers["retry-after"]) <= 60
    # One limit for all ports; none for what needs no key, and for a key that was good before.
    third = bearer("nor-has-anybody-this-one")
    assert server.call("GET", "/v2", headers=third)[0] == 429
    assert server.call("GET", "/v2/health/live", headers=third)[0] == 200
    with grpc.insecure_channel(server.grpc) as channel:
        path = "/inference.GRPCInferenceService/ServerMetadata"
        assert grpc_code(channel, path, "a-fourth-one") == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.call("GET", "/v2", headers=bearer(SECRETS["infer"]))[0] == 200


def test_keys_are_rotated(start_server: Start, repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    old, new = "the-old-key-of-the-tests", "the-new-key-of-the-tests"
    file.write_text(f"old admin {old}\n")
    server = start_server(repository, f"--api-keys-file={file}")

    def status(secret: str) -> int:
        return server.call("GET", "/v2", headers=bearer(secret))[0]

    assert (status(old), status(new)) == (200, 401)
    file.write_text(f"old admin {old}\nnew admin {new}\n")
    server.signal(signal.SIGHUP)
    until(lambda: status(new) == 200)
    assert status(old) == 200
    file.write_text(f"new admin {new}\n")
    server.signal(signal.SIGHUP)
    until(lambda: status(old) == 401)
    file.write_text("nonsense\n")
    server.signal(signal.SIGHUP)
    until(lambda: "API keys are as they were" in server.log)
    assert status(new) == 200
    assert "2 API keys are good; new: new (admin)" in server.log
    assert "1 API keys are good; gone: old (admin)" in server.log
    assert old not in server.log and new not in server.log


def test_a_server_without_usable_keys_does_not_start(
    start_server: Start, repository: Path, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text("a infer short\n")
    server = start_server(repository, f"--api-keys-file={file}", expect_ready=False)
    assert server.wait() == 1
    assert "keys:1: a key should have 16 to 512 characters" in server.log
    assert "Started" not in server.log


def test_keys_of_the_environment(
    start_server: Start, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAIAD_API_KEYS", f"only read {SECRETS['read']}")
    server = start_server(repository)
    assert server.call("GET", "/v2")[0] == 401
    assert server.call("GET", "/v2", headers=bearer(SECRETS["read"]))[0] == 200


def test_restricted_apis(start_server: Start, repository: Path) -> None:
    server = start_server(
        repository,
        "--http-restricted-api=model-repository,logging:admin-key=se=cret",
        "--http-restricted-api=inference:infer-key=value",
        "--grpc-restricted-protocol=inference,health:infer-key=value",
    )
    words = {"error": "This API is restricted, expecting header 'admin-key'"}
    for method, path in (
        ("POST", "/v2/repository/index"),
        ("GET", "/v2/repository/index"),
        ("GET", "/v2/logging"),
    ):
        status, answer = server.json(method, path)
        assert (status, answer) == (403, words)
    assert server.call("POST", "/v2/repository/index", headers={"Admin-Key": "se=cret"})[0] == 200
    assert server.call("POST", "/v2/repository/index", headers={"admin-key": "Se=cret"})[0] == 403
    request = json.dumps(infer_request(1.0))
    for verb in ("infer", "generate", "generate_stream"):
        assert server.call("POST", f"/v2/models/identity/{verb}", request)[0] == 403
    path = "/v2/models/identity/infer"
    assert server.call("POST", path, request, {"infer-key": "value"})[0] == 200
    assert server.call("GET", "/v2/health/live")[0] == 200
    with grpc.insecure_channel(server.grpc) as channel:
        for method in ("inference.GRPCInferenceService/ServerLive", "grpc.health.v1.Health/Check"):
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(f"/{method}")(b"", timeout=30)
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
            assert (
                caught.value.details()
                == "This protocol is restricted, expecting header 'triton-grpc-protocol-infer-key'"
            )
            channel.unary_unary(f"/{method}")(
                b"", metadata=[("triton-grpc-protocol-infer-key", "value")], timeout=30
            )
        channel.unary_unary("/inference.GRPCInferenceService/ServerMetadata")(b"", timeout=30)
