"""Business logic scripting: model.py files that call other models of the server."""

from __future__ import annotations

import concurrent.futures
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naiad

HEAD = """import asyncio, json, threading, time
import numpy as np
import triton_python_backend_utils as pb_utils
"""

DOUBLE = (
    'max_batch_size: 8 input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ] '
    'output [ { name: "Y" data_type: TYPE_FP32 dims: [ -1 ] } ]',
    "class TritonPythonModel:\n"
    "    def execute(self, requests):\n"
    "        return [pb_utils.InferenceResponse([pb_utils.Tensor('Y', r.inputs()[0].as_numpy() * 2)])\n"
    "                for r in requests]\n",
)

COUNT = (
    'input [ { name: "N" data_type: TYPE_INT32 dims: [ 1 ] } ] '
    'output [ { name: "I" data_type: TYPE_INT32 dims: [ 1 ] } ] '
    "model_transaction_policy { decoupled: true }",
    """
class TritonPythonModel:
    def execute(self, requests):
        for r in requests:
            arguments = r.inputs()[0].as_numpy()[0], r.get_response_sender()
            threading.Thread(target=self.send, args=arguments).start()

    def send(self, n, sender):
        i = 0
        while i != n and not sender.is_cancelled():
            sender.send(pb_utils.InferenceResponse([pb_utils.Tensor('I', np.array([i], np.int32))]))
            i += 1
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
""",
)

CALLER = (
    'input [ { name: "CASE" data_type: TYPE_STRING dims: [ 1 ] } ] '
    'output [ { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] } ]'
)

Serve = Callable[..., naiad.Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Writes models, given as name -> (config, source), and serves them."""
    servers: list[naiad.Server] = []

    def start(models: dict[str, tuple[str, str]], **settings: Any) -> naiad.Server:
        for name, (config, source) in models.items():
            version = tmp_path / name / "1"
            version.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / "config.pbtxt").write_text(f'name: "{name}" backend: "python" {config}')
            (version / "model.py").write_text(HEAD + source)
        server = naiad.Server(model_repository=tmp_path, pool_bytes=64 << 20, **settings)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


def caller(body: str, *, asynchronous: bool = False) -> tuple[str, str]:
    """A model that answers with the JSON of what ``body``, a function of ``case``, returns."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    word, wait = ("async ", "await ") if asynchronous else ("", "")
    return CALLER, (
        "class TritonPythonModel:\n"
        f"    {word}def execute(self, requests):\n"
        "        out = []\n"
        "        for r in requests:\n"
        "            self.request = r\n"
        f"            shown = json.dumps({wait}self.run(r.inputs()[0].as_numpy()[0].decode()))\n"
        "            out.append(pb_utils.InferenceResponse(\n"
        "                [pb_utils.Tensor('OUT', np.array([shown], object))]))\n"
        "        return out\n"
        "    def double(self, value, **more):\n"
        "        x = pb_utils.Tensor('X', np.array([value], np.float32))\n"
        "        return pb_utils.InferenceRequest(model_name='double', inputs=[x],\n"
        "                                         requested_output_names=['Y'], **more)\n"
        "    def count(self, n):\n"
        "        return pb_utils.InferenceRequest(model_name='count', requested_output_names=['I'],\n"
        "                                         inputs=[pb_utils.Tensor('N', np.array([n], np.int32))])\n"
        f"    {word}def run(self, case):\n{lines}"
    )


def ask(server: naiad.Server, model: str, case: str = "") -> Any:
    result = server.model(model).infer({"CASE": np.array([case.encode()], object)})
    return json.loads(result["OUT"][0])


def test_a_model_calls_another_one(serve: Serve) -> None:
    body = (
        "r = self.double([1, 2.5]).exec()\n"
        "return pb_utils.get_output_tensor_by_name(r, 'Y').as_numpy().tolist()"
    )
    server = serve({"double": DOUBLE, "caller": caller(body)})
    assert ask(server, "caller") == [[2.0, 5.0]]


def test_calls_side_by_side_share_batches(serve: Serve) -> None:
    config, source = DOUBLE
    batching = "dynamic_batching { preferred_batch_size: [ 4 ] max_queue_delay_microseconds: 5000000 }"
    body = (
        "rs = await asyncio.gather(*[self.double([i]).async_exec() for i in range(4)])\n"
        "return [float(r.output_tensors()[0].as_numpy()[0][0]) for r in rs]"
    )
    server = serve({"double": (f"{config} {batching}", source), "caller": caller(body, asynchronous=True)})
    assert ask(server, "caller") == [0.0, 2.0, 4.0, 6.0]
    assert server.model("double").statistics()["execution_count"] == 1


def test_the_responses_of_a_decoupled_model_come_one_by_one(serve: Serve) -> None:
    body = (
        "if case == 'wrong':\n"
        "    return self.count(3).exec().error().message()\n"
        "if case == 'twice':\n"
        "    answers = self.count(2).exec(decoupled=True)\n"
        "    return [len(list(answers)), len(list(answers))]\n"
        "if case == 'stop':\n"
        "    answers = self.count(-1).exec(decoupled=True)\n"
        "    first = next(answers)\n"
        "    answers.cancel()\n"
        "    return len(list(answers)) > 0\n"
        "answers = self.count(3).exec(decoupled=True)\n"
        "return [[t.as_numpy().tolist() for t in r.output_tensors()] for r in answers]"
    )
    server = serve({"count": COUNT, "caller": caller(body)})
    assert ask(server, "caller") == [[[0]], [[1]], [[2]], []]
    assert ask(server, "caller", "twice") == [3, 3]
    assert ask(server, "caller", "stop") is True
    assert "use 'decoupled=True' argument" in ask(server, "caller", "wrong")


def test_coroutines_take_the_responses_of_a_decoupled_model(serve: Serve) -> None:
    body = "return len(list(await self.count(3).async_exec(decoupled=True)))"
    server = serve({"count": COUNT, "caller": caller(body, asynchronous=True)})
    assert ask(server, "caller") == 4


def test_a_refused_call_is_a_response_with_an_error_as_in_triton(serve: Serve) -> None:
    body = (
        "if case == 'unknown':\n"
        "    r = pb_utils.InferenceRequest(model_name='nope', inputs=[], requested_output_names=['Y'])\n"
        "elif case == 'inputs':\n"
        "    r = pb_utils.InferenceRequest(model_name='double', inputs=[], requested_output_names=['Y'])\n"
        "elif case == 'version':\n"
        "    r = self.double([1], model_version=7)\n"
        "e = r.exec().error()\n"
        "return [e.message(), e.code().name]"
    )
    server = serve({"double": DOUBLE, "caller": caller(body)})
    prefix = "Error when running inference: "
    not_ready = "Failed for execute the inference request. Model '{}' is not ready."
    assert ask(server, "caller", "unknown") == [
        f"Model nope - {prefix}{not_ready.format('nope')}",
        "NOT_FOUND",
    ]
    assert ask(server, "caller", "version")[0] == f"Model double - {prefix}{not_ready.format('double')}"
    message, code = ask(server, "caller", "inputs")
    assert message.startswith(
        f"Model double - {prefix}[request id: <id_unknown>] expected 1 inputs but got 0"
    )
    assert code == "INVALID_ARG"


def test_a_failure_of_the_called_model_comes_with_its_text_and_code(serve: Serve) -> None:
    failing = (
        DOUBLE[0],
        "class TritonPythonModel:\n"
        "    def execute(self, requests):\n"
        "        return [pb_utils.InferenceResponse(error=pb_utils.TritonError('too late',\n"
        "                pb_utils.TritonError.UNAVAILABLE)) for r in requests]\n",
    )
    body = "e = self.double([1]).exec().error()\nreturn [e.message(), e.code().name]"
    server = serve({"double": failing, "caller": caller(body)})
    assert ask(server, "caller") == ["too late", "UNAVAILABLE"]


def test_threads_of_a_model_may_call_too(serve: Serve) -> None:
    body = (
        "got = []\n"
        "thread = threading.Thread(target=lambda: got.append(self.double([4]).exec()))\n"
        "thread.start(); thread.join()\n"
        "return got[0].output_tensors()[0].as_numpy().tolist()"
    )
    server = serve({"double": DOUBLE, "caller": caller(body)})
    assert ask(server, "caller") == [[8.0]]


def test_a_call_that_nobody_could_ever_answer_is_refused(serve: Serve) -> None:
    body = (
        "r = pb_utils.InferenceRequest(model_name='caller', requested_output_names=['OUT'],\n"
        "    inputs=[pb_utils.Tensor('CASE', np.array([b'stop'], object))])\n"
        "if case == 'stop':\n"
        "    return 'answered'\n"
        "r = r.exec()\n"
        "return r.error().message() if r.has_error() else json.loads(r.output_tensors()[0].as_numpy()[0])"
    )
    server = serve({"caller": caller(body)})
    assert "would wait for ever" in ask(server, "caller", "go")
    server.close()
    config, source = caller(body)
    server = serve({"caller": (config + " instance_group [ { count: 2 kind: KIND_CPU } ]", source)})
    assert ask(server, "caller", "go") == "answered"


def test_models_that_call_one_another_under_load_never_stand_still(serve: Serve) -> None:
    def calls(other: str) -> tuple[str, str]:
        return caller(
            f"if case == '0': return 'end'\n"
            f"r = pb_utils.InferenceRequest(model_name='{other}', requested_output_names=['OUT'],\n"
            "    inputs=[pb_utils.Tensor('CASE', np.array([str(int(case) - 1).encode()], object))]).exec()\n"
            "return 'busy' if r.has_error() else json.loads(r.output_tensors()[0].as_numpy()[0])"
        )

    server = serve({"ping": calls("pong"), "pong": calls("ping")})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, server, "ping" if i % 2 else "pong", "1") for i in range(200)]
        answers = [each.result(timeout=60) for each in asked]
    assert set(answers) <= {"end", "busy"}
    assert "end" in answers


def test_a_call_ends_when_nobody_waits_for_its_batch(serve: Serve) -> None:
    slow = (
        DOUBLE[0],
        "class TritonPythonModel:\n"
        "    def execute(self, requests):\n"
        "        while not all(r.is_cancelled() for r in requests):\n"
        "            time.sleep(0.002)\n"
        "        return [pb_utils.InferenceResponse(error=pb_utils.TritonError('gone')) for r in requests]\n",
    )
    server = serve({"double": slow, "caller": caller("return self.double([1]).exec().error().message()")})
    stream = server.model("caller").stream({"CASE": np.array([b""], object)})
    ended = threading.Event()
    watcher = threading.Thread(target=lambda: (stream.close(), ended.set()))
    while server.model("caller").statistics()["inference_count"] or not _is_executing(server):
        time.sleep(0.002)
    watcher.start()
    assert ended.wait(30)
    watcher.join()


def _is_executing(server: naiad.Server) -> bool:
    return server._core.repository.find("caller").model.pending == 0


def test_models_control_other_models(serve: Serve) -> None:
    body = (
        "try:\n"
        "    ready = pb_utils.is_model_ready\n"
        "    if case == 'ready':\n"
        "        return [ready('double'), ready('double', '1'), ready('double', '2'), ready('nope')]\n"
        "    if case == 'unload': return [pb_utils.unload_model('double'), ready('double')]\n"
        "    if case == 'load': return [pb_utils.load_model('double'), ready('double')]\n"
        "    return pb_utils.load_model('nope')\n"
        "except pb_utils.TritonModelException as error:\n"
        "    return str(error)"
    )
    server = serve({"double": DOUBLE, "caller": caller(body)}, control_mode="explicit", load_models=["*"])
    assert ask(server, "caller", "ready") == [True, True, False, False]
    assert ask(server, "caller", "unload") == [None, False]
    assert ask(server, "caller", "load") == [None, True]
    assert ask(server, "caller", "nope").startswith("Failed to load model: failed to load 'nope'")


def test_models_control_others_in_explicit_mode_alone(serve: Serve) -> None:
    body = (
        "try:\n"
        "    pb_utils.load_model('double')\n"
        "except pb_utils.TritonModelException as error:\n"
        "    return str(error)"
    )
    server = serve({"double": DOUBLE, "caller": caller(body)})
    assert "--model-control-mode=explicit" in ask(server, "caller")


def test_sequences_and_parameters_go_with_a_call(serve: Serve) -> None:
    config, _ = DOUBLE
    told = (
        config,
        "class TritonPythonModel:\n"
        "    def execute(self, requests):\n"
        "        return [pb_utils.InferenceResponse(error=pb_utils.TritonError(json.dumps(\n"
        "            [r.request_id(), r.correlation_id(), r.flags(), json.loads(r.parameters()),\n"
        "             r.model_name(), r.model_version(), r.timeout()]))) for r in requests]\n",
    )
    body = (
        "r = self.double([1], request_id='me', correlation_id='s', flags=3, parameters={'a': 1},\n"
        "                timeout=9000000)\n"
        "return json.loads(r.exec().error().message())"
    )
    server = serve({"double": told, "caller": caller(body)})
    assert ask(server, "caller") == ["me", "s", 3, {"a": 1}, "double", 1, 9000000]
