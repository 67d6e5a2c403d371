"""naiad bench with streams, sequences, shared memory, header fields and TLS, against a live server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from naiad.cli.app import app

from .certificates import Authority, Identity
from .conftest import IDENTITY, ServerProcess, Start, until, write_model
from .test_bench_command import QUICK

KEY = "a-key-of-enough-characters"

# Answers three times, and then says that it has.
WORDS = """
backend: "python"
input [ { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] },
        { name: "stream" data_type: TYPE_BOOL dims: [ 1 ] optional: true } ]
output [ { name: "text_output" data_type: TYPE_STRING dims: [ 1 ] } ]
model_transaction_policy { decoupled: true }
"""
WORDS_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            text = pb_utils.get_input_tensor_by_name(request, "text_input").as_numpy()[0]
            asked = pb_utils.get_input_tensor_by_name(request, "stream")
            for index in range(3 if asked is not None and asked.as_numpy()[0] else 1):
                if text == b"bad" and index == 1:
                    error = pb_utils.TritonError("no more words")
                    sender.send(pb_utils.InferenceResponse([], error=error))
                    break
                word = pb_utils.Tensor("text_output", np.array([b"w%d" % index], np.object_))
                sender.send(pb_utils.InferenceResponse([word]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""

# Fails where a request is not the one that is due in its sequence, and for X of 7.
COUNTED = """
backend: "python"
max_batch_size: 4
input [ { name: "X" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "Y" data_type: TYPE_INT32 dims: [ 1 ] } ]
sequence_batching {
  max_sequence_idle_microseconds: 60000000
  control_input [
    { name: "START" control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } ] },
    { name: "END" control [ { kind: CONTROL_SEQUENCE_END int32_false_true: [ 0, 1 ] } ] },
    { name: "ID" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } ] } ]
}
instance_group [ { kind: KIND_CPU count: 1 } ]
parameters { key: "log" value { string_value: "@LOG@" } }
"""
COUNTED_MODEL = """
import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        path = json.loads(args["model_config"])["parameters"]["log"]["string_value"]
        self.log = open(path, "a", buffering=1)

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        values = {tensor.name(): tensor.as_numpy().ravel()[0] for tensor in request.inputs()}
        told = [int(values[name]) for name in ("ID", "START", "END", "X")]
        if told[0]:  # an empty slot of the batch has none
            self.log.write(json.dumps(told) + "\\n")
        if told[3] == 7:
            return pb_utils.InferenceResponse([], error=pb_utils.TritonError("seven"))
        return pb_utils.InferenceResponse([pb_utils.Tensor("Y", np.array([[told[3]]], np.int32))])
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "requests"


@pytest.fixture(scope="module")
def forms(start_server: Start, tmp_path_factory: pytest.TempPathFactory, log: Path) -> ServerProcess:
    path = tmp_path_factory.mktemp("forms")
    write_model(path, "identity", IDENTITY)
    write_model(path, "words", WORDS, WORDS_MODEL)
    write_model(path, "counted", COUNTED.replace("@LOG@", str(log)), COUNTED_MODEL)
    return start_server(path, "--allow-client-shm=true")


@pytest.fixture(scope="module")
def guarded(
    start_server: Start, repository: Path, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> ServerProcess:
    """TLS with certificates of clients, and keys."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"tester read,infer {KEY}\n")
    keys.chmod(0o600)
    files = authority.issue("server")
    flags = [f"--api-keys-file={keys}"]
    for protocol in ("http", "grpc"):
        flags += [
            f"--{protocol}-use-ssl=true", f"--{protocol}-use-ssl-mutual=true",
            f"--{protocol}-server-cert={files.certificate}", f"--{protocol}-server-key={files.key}",
            f"--{protocol}-root-cert={authority.certificate}",
        ]  # fmt: skip
    return start_server(repository, *flags)


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bench", *arguments])


def address(server: ServerProcess, protocol: str) -> str:
    return server.http if protocol == "http" else server.grpc


def levels(ran: Result) -> list[dict[str, Any]]:
    assert ran.exit_code == 0, ran.stderr
    found: list[dict[str, Any]] = json.loads(ran.stdout)["levels"]
    assert all(level["requests_per_second"] > 0 and level["errors"] == 0 for level in found)
    return found


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_streams(forms: ServerProcess, protocol: str) -> None:
    load = ("words", "-u", address(forms, protocol), "-i", protocol, *QUICK[:3], "--concurrency-range=2")
    ran = bench(*load, "--streaming", "--json")
    (level,) = levels(ran)
    assert level["responses_per_request"] == pytest.approx(3, abs=0.5)
    assert 0 < level["time_to_first_response_p50_us"] <= level["time_to_first_response_p99_us"]
    assert level["time_between_responses_mean_us"] > 0
    assert level["responses_per_second"] > level["requests_per_second"]
    ran = bench(*load)
    assert ran.exit_code == 2 and "--streaming" in ran.stderr


def test_streams_that_fail(forms: ServerProcess, tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('{"data": [{"text_input": ["bad"], "stream": [true]}]}')
    ran = bench("words", "-u", forms.grpc, "-i", "grpc", *QUICK[:3], "--streaming", f"--input-data={path}")
    assert ran.exit_code == 1 and "the stream failed: no more words" in ran.stderr
    assert "Resp/req" in ran.stdout


@pytest.mark.parametrize(
    ("protocol", "load"),
    [
        ("http", ("--concurrency-range=3", "--processes=2")),
        ("grpc", ("--concurrency-range=3:4", "--processes=2")),
        ("http", ("--request-rate-range=100",)),
        ("grpc", ("--request-rate-range=100",)),
    ],
)
def test_sequences(forms: ServerProcess, log: Path, protocol: str, load: tuple[str, ...]) -> None:
    log.write_text("")
    ran = bench("counted", "-u", address(forms, protocol), "-i", protocol, *QUICK[:3], *load,
                "--sequence-length=4", "--start-sequence-id=100", "--json")  # fmt: skip
    levels(ran)
    sequences: dict[int, list[tuple[int, int]]] = {}
    for line in log.read_text().splitlines():
        number, start, end, _ = json.loads(line)
        sequences.setdefault(number, []).append((start, end))
    assert min(sequences) == 100 and len(sequences) > 1
    whole = [(1, 0), (0, 0), (0, 0), (0, 1)]
    for requests in sequences.values():
        # The same ids come again at the next level; what has begun ends, also when the load does.
        assert requests[0][0] == 1 and requests[-1][1] == 1
        for before, after in zip(requests, requests[1:], strict=False):
            assert before[1] == after[0]
    assert any(requests[:4] == whole for requests in sequences.values())


@pytest.mark.parametrize("protocol", ["grpc"])
def test_a_sequence_with_a_failure_begins_anew(
    forms: ServerProcess, log: Path, protocol: str, tmp_path: Path
) -> None:
    log.write_text("")
    path = tmp_path / "data.json"
    path.write_text('{"data": [{"X": [1]}, {"X": [2]}, {"X": [7]}, {"X": [3]}]}')
    ran = bench("counted", "-u", address(forms, protocol), "-i", protocol, *QUICK[:3], "--sequence-length=4",
                f"--input-data={path}")  # fmt: skip
    assert ran.exit_code == 1 and "seven" in ran.stderr
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert {(start, value) for _, start, _, value in told[:-1]} == {(1, 1), (0, 2), (0, 7)}
    assert len({number for number, *_ in told}) == 1


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_shared_memory(forms: ServerProcess, protocol: str) -> None:
    ran = bench("identity", "-u", address(forms, protocol), "-i", protocol, *QUICK, "-b", "2", "--json",
                "--shared-memory=system", "--output-shared-memory-size=32")  # fmt: skip
    levels(ran)
    ran = bench("identity", "-u", address(forms, protocol), "-i", protocol, *QUICK, "-b", "2",
                "--shared-memory=system", "--output-shared-memory-size=31")  # fmt: skip
    assert ran.exit_code == 1 and "requests failed" in ran.stderr
    assert left(forms, os.getpid()) == ([], [])


def left(server: ServerProcess, process: int) -> tuple[Any, list[str]]:
    """Regions that the server knows, and objects of a process."""
    _, regions = server.json("GET", "/v2/systemsharedmemory/status")
    return regions, [path.name for path in Path("/dev/shm").glob(f"naiad-bench-{process}-*")]


def test_ctrl_c_leaves_no_shared_memory(forms: ServerProcess) -> None:
    command = [sys.executable, "-m", "naiad", "bench", "identity", "-u", forms.http, "--shape=INPUT0:4",
               "--shared-memory=system", "--measurement-interval=60000"]  # fmt: skip
    running = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until(lambda: len(left(forms, running.pid)[0]) == 2)
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert left(forms, running.pid) == ([], [])


def test_a_server_without_shared_memory(server: ServerProcess) -> None:
    for protocol in ("http", "grpc"):
        ran = bench(
            "identity", "-u", address(server, protocol), "-i", protocol, *QUICK, "--shared-memory=system"
        )
        assert ran.exit_code == 2
        assert "takes no shared memory of clients; start it with --allow-client-shm=true" in ran.stderr


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_tls_and_keys(guarded: ServerProcess, authority: Authority, client: Identity, protocol: str) -> None:
    url = ("https://" if protocol == "http" else "grpcs://") + address(guarded, protocol)
    shown = (f"--ssl-cert-file={client.certificate}", f"--ssl-key-file={client.key}")
    key = ("-H", f"Authorization: Bearer {KEY}")
    trusted = f"--ssl-ca-file={authority.certificate}"
    load = ("identity", "-u", url, "-i", protocol, *QUICK, "--concurrency-range=2", "--json")
    levels(bench(*load, *shown, trusted, *key))
    if protocol == "grpc":
        levels(bench(*load, *shown, "--ssl-no-verify", *key))
    for flags, words in (
        ((*shown, *key), "is not trusted"),
        ((trusted, *key), "server answers at"),
        ((*shown, trusted), "401" if protocol == "http" else "UNAUTHENTICATED"),
    ):
        ran = bench(*load, *flags)
        assert ran.exit_code in (1, 2) and words in ran.stderr, ran.stderr


def test_tensors_as_json(server: ServerProcess) -> None:
    forms = ("--input-tensor-format=json", "--output-tensor-format=json", "--json")
    (level,) = levels(bench("identity", "-u", server.http, *QUICK, *forms))
    assert level["requests_per_second"] > 0 and level["errors"] == 0
    ran = bench("identity", "-u", server.grpc, "-i", "grpc", *QUICK, *forms)
    assert ran.exit_code == 2 and "--protocol http" in ran.stderr


def test_flags_that_do_not_fit(forms: ServerProcess, tmp_path: Path) -> None:
    for flags, words in (
        (("words", "--streaming", "--shared-memory=system"), "do not go together"),
        (("words", "--streaming", "--sequence-length=2"), "needs --protocol grpc"),
        (("identity", "--streaming", "-b", "2", "--shape=INPUT0:4"), "takes --batch-size 1"),
        (("identity", "--ssl-no-verify"), "has no TLS"),
        (("identity", "-H", "nothing"), "NAME:VALUE"),
        (("identity", "-H", "Content-Length: 3"), "writes this field itself"),
    ):
        ran = bench(*flags, "-u", forms.http)
        assert ran.exit_code == 2 and words in ran.stderr, ran.stderr
    ran = bench("identity", "-u", "https://127.0.0.1:1", f"--ssl-ca-file={tmp_path / 'none'}")
    assert ran.exit_code == 2 and "can not be read" in ran.stderr
