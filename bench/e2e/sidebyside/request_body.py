"""The request that the client repeats: built once, sent once by hand, its answer compared with what was sent.

The bytes come from tritonclient and are then the same for every server. The one verified answer tells how
long a good answer is, which is how each of the client's many answers is checked later.
"""

from __future__ import annotations

import http.client
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sidebyside.case import EDGE, Case

_MAX_GRPC_BYTES = 64 << 20
_GRPC_HEADERS = {"content-type": "application/grpc", "te": "trailers"}

FloatArrays = dict[str, npt.NDArray[np.float32]]


class WrongAnswerError(Exception):
    """A server answered something else than the model's output for the input it was sent."""


@dataclass(frozen=True)
class PreparedRequest:
    """Bytes to send and what a good answer to them weighs. `body` None means a GET."""

    protocol: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    answer_bytes: int


def make_inputs(case: Case) -> FloatArrays:
    """The input tensors of a case: float32 of shape (1, num_floats), the same on every call."""
    random = np.random.default_rng(20)
    return {
        f"INPUT{index}": random.standard_normal((1, case.num_floats), dtype=np.float32)
        for index in range(case.num_inputs)
    }


def expected_outputs(case: Case, inputs: FloatArrays) -> FloatArrays:
    """What a right server answers to `inputs`."""
    if case.model == "simple":
        first, second = inputs["INPUT0"], inputs["INPUT1"]
        return {"OUTPUT0": first + second, "OUTPUT1": first - second}
    return {"OUTPUT0": inputs["INPUT0"]} if inputs else {}


def length_prefixed(message: bytes) -> bytes:
    """A message as gRPC frames it: a byte for "not compressed", four for the length, the message."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def prepare(case: Case, http_port: int, grpc_port: int) -> PreparedRequest:
    """Build the request of `case` for the server on these ports and verify its answer. Blocks for one call.

    Raises WrongAnswerError when the call fails or its answer is not the model's.
    """
    if case.protocol == "http":
        return _prepare_http(case, http_port)
    return _prepare_grpc(case, grpc_port)


def _compare(answered: dict[str, Any], expected: FloatArrays) -> None:
    for name, array in expected.items():
        got = answered.get(name)
        if got is None or not np.array_equal(got, array):
            raise WrongAnswerError(f"{name} is not what the model gives for the input that was sent")


def _prepare_http(case: Case, port: int) -> PreparedRequest:
    client = importlib.import_module("tritonclient.http")
    inputs = make_inputs(case)
    path, headers, body = "/v2/health/live", {}, None
    if case.model != EDGE:
        tensors = []
        for name, array in inputs.items():
            tensor = client.InferInput(name, list(array.shape), "FP32")
            tensor.set_data_from_numpy(array, binary_data=True)
            tensors.append(tensor)
        # With no outputs named, the request asks for all of them as binary data.
        body, head_bytes = client.InferenceServerClient.generate_request_body(tensors)
        path = f"/v2/models/{case.model}/infer"
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(head_bytes),
        }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET" if body is None else "POST", path, body, headers)
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise WrongAnswerError(f"status {response.status}: {answer[:200]!r}")
    if case.model != EDGE:
        head_length = int(response.headers["Inference-Header-Content-Length"])
        parsed = client.InferenceServerClient.parse_response_body(answer, header_length=head_length)
        expected = expected_outputs(case, inputs)
        _compare({name: parsed.as_numpy(name) for name in expected}, expected)
    return PreparedRequest("http", f"http://127.0.0.1:{port}{path}", headers, body, len(answer))


def _prepare_grpc(case: Case, port: int) -> PreparedRequest:
    grpc = importlib.import_module("grpc")
    messages = importlib.import_module("tritonclient.grpc.service_pb2")
    inputs = make_inputs(case)
    method, message = "ServerLive", messages.ServerLiveRequest()
    if case.model != EDGE:
        method, message = "ModelInfer", messages.ModelInferRequest(model_name=case.model)
        for name, array in inputs.items():
            message.inputs.add(name=name, datatype="FP32", shape=array.shape)
            message.raw_input_contents.append(array.tobytes())
    full_method = f"/inference.GRPCInferenceService/{method}"
    sent = message.SerializeToString()
    limits = [(f"grpc.max_{way}_message_length", _MAX_GRPC_BYTES) for way in ("receive", "send")]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=limits) as channel:
        try:
            answer: bytes = channel.unary_unary(full_method)(sent, timeout=30)
        except grpc.RpcError as error:
            raise WrongAnswerError(f"{error.code().name}: {error.details()}") from error
    if case.model == EDGE:
        if not messages.ServerLiveResponse.FromString(answer).live:
            raise WrongAnswerError("the server says it is not live")
    else:
        parsed = messages.ModelInferResponse.FromString(answer)
        contents = zip(parsed.outputs, parsed.raw_output_contents, strict=True)
        arrays = {o.name: np.frombuffer(raw, np.float32).reshape(tuple(o.shape)) for o, raw in contents}
        _compare(arrays, expected_outputs(case, inputs))
    url = f"http://127.0.0.1:{port}{full_method}"
    return PreparedRequest("grpc", url, _GRPC_HEADERS, length_prefixed(sent), len(length_prefixed(answer)))
